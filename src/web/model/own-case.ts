/**
 * A reader's own capture, and what can be done with it: read it, explain one of its frames, save what came out of it.
 * Each goes through the file anew, slice by slice, so that no more than a slice of it is in memory.
 * @module
 */
import { EsplaneError, InputError } from '../../base/errors.ts';
import { secureBytes } from '../../base/rng.ts';
import { TextBuffer } from '../../base/text-buffer.ts';
import { unpacked } from '../../capture/compression.ts';
import { decompress } from '../../capture/decompress.ts';
import type { FrameInfo, FrameSink } from '../../capture/frame.ts';
import { PcapngWriter } from '../../capture/pcapng-writer.ts';
import { captureReader } from '../../capture/reader.ts';
import { parseNodes } from '../../cilium/nodes.ts';
import { readKeys } from '../../cilium/secret.ts';
import { type CiliumVersion, parseVersion } from '../../cilium/version.ts';
import { NobleEngine } from '../../crypto/noble.ts';
import { aggregateText } from '../../inspect/aggregate.ts';
import { clearInterface, putClear } from '../../inspect/clear-packets.ts';
import { type ClusterTexts, clusterEvidence } from '../../inspect/cluster-texts.ts';
import { besideCounts, dropCounts } from '../../inspect/decrypt-counts.ts';
import { PacketJson, seqText } from '../../inspect/decrypt-json.ts';
import { Diagnoser } from '../../inspect/diagnose/diagnoser.ts';
import { InnerPacket } from '../../inspect/diagnose/inner.ts';
import type { EspEvent } from '../../inspect/esp-event.ts';
import type { Evidence } from '../../inspect/evidence.ts';
import { type ReadEvidence, readEvidence } from '../../inspect/evidence-texts.ts';
import { ExplainSink, guessLinkType } from '../../inspect/explain/explain.ts';
import type { Explanation } from '../../inspect/explain/tree.ts';
import { packetLine } from '../../inspect/packet-line.ts';
import { timeText } from '../../inspect/packet-time.ts';
import { CaptureSession, type CaptureSink } from '../../inspect/session.ts';
import { WirePackets } from '../../inspect/wire-packets.ts';
import { dropRow } from '../../ipsec/drop.ts';
import { CaptureSas } from '../../sa-text/capture-sas.ts';
import type { NamedText } from '../../sa-text/sa-texts.ts';
import { PASS } from '../../wire/packet.ts';
import type { OwnInput, OwnResult, OwnRow, Saved } from './own-messages.ts';
import type { TextKind } from './own-pieces.ts';

/** Bytes of the file that are in memory at a time. */
const SLICE = 1 << 20;
/** Rows of the table; what comes after is only counted, … */
export const MOST_ROWS = 5000;
/** … but of dropped packets so many more are kept. */
export const MOST_DROPPED = 1000;
/** Bytes worth a part of a file to be saved, which the browser then keeps where it likes. */
const PART = 4 << 20;

/** Told after each slice how many bytes are done. False ends the work. */
export type OnProgress = (done: number, size: number) => boolean;

/** Takes the rows that a slice has yielded: those of the table, and dropped packets beyond its end. */
export type OnRows = (rows: readonly OwnRow[], dropped: readonly OwnRow[]) => void;

export class OwnCase {
  readonly #input: OwnInput;
  readonly #version: CiliumVersion;
  readonly #cluster: ClusterTexts;
  /** Nodes that cannot be used. */
  readonly #leftOut: string[] = [];

  /** @throws {InputError} when a text cannot be used */
  constructor(input: OwnInput) {
    this.#input = input;
    this.#version = parseVersion(input.cilium, 'Cilium version');
    const [keys, nodes] = [this.#texts('keys'), this.#texts('nodes')];
    if (keys.length > 0 && nodes.length === 0) {
      throw new InputError(
        { source: keys[0]!.source },
        'keys alone open nothing',
        'Add the nodes too: kubectl get ciliumnodes -o json.',
      );
    }
    if (nodes.length > 0 && keys.length === 0) {
      throw new InputError(
        { source: nodes[0]!.source },
        'nodes alone open nothing',
        'Add the keys too: kubectl -n kube-system get secret cilium-ipsec-keys -o yaml.',
      );
    }
    this.#cluster = {
      keys: keys.map(({ source, text }) => readKeys(text, source, this.#version)),
      nodes: nodes.map(({ source, text }) =>
        parseNodes(text, source, ({ message }) => this.#leftOut.push(`left out: ${message}`)),
      ),
    };
    // What cannot be used is to be said at once.
    this.#evidence(new CaptureSas(isSaid));
  }

  /** Reads the whole, and says what became of it; of a damaged capture, of what could be read. */
  async read(onRows: OnRows, onProgress: OnProgress): Promise<OwnResult> {
    const omitted: string[] = [];
    const own = new CaptureSas((line) => omitted.push(line));
    const read = this.#evidence(own);
    const { evidence, warnings } = read;
    const diagnoser = new Diagnoser(evidence);
    const rows = new Rows(evidence);
    const session = this.#session(own, [rows, diagnoser], read);
    const { receiver } = session;
    let problem: string | null = null;
    try {
      await this.#feed(session, (done, size) => {
        rows.hand(onRows);
        return onProgress(done, size);
      });
    } catch (error) {
      if (!(error instanceof EsplaneError)) throw error;
      problem = error.message;
    }
    receiver.flush();
    rows.hand(onRows);
    const { frames, esp, ok, dropped } = receiver.totals;
    const { hasSas } = evidence;
    return {
      frames,
      esp,
      ok,
      hasSas,
      drops: hasSas
        ? dropCounts(dropped).map(({ row: { reason, counter, elsewhere, look }, count }) => {
            return { reason, counter: counter ?? elsewhere, look, count };
          })
        : [],
      beside: besideCounts(receiver),
      warnings: [...this.#leftOut, ...warnings, ...omitted],
      problem,
      diagnosis: hasSas ? diagnoser.finish() : null,
    };
  }

  /**
   * Explains a frame, with the windows as the frames before it have left them.
   * @returns `undefined` when there is no such frame, or the work was ended
   */
  async explain(frame: number, onProgress: OnProgress): Promise<Explanation | undefined> {
    const own = new CaptureSas(isSaid);
    const read = this.#evidence(own);
    let found: Explanation | undefined;
    const sink = new ExplainSink({
      ...read,
      wants: ({ number }) => number === frame,
      onExplanation: (explanation) => {
        found = explanation;
      },
    });
    const session = this.#session(own, [sink], read);
    await this.#feed(
      {
        frame: (b, at, end, info) => {
          if (!found) session.frame(b, at, end, info);
        },
        release: () => session.release(),
        secrets: (type, data) => {
          if (!found) session.secrets(type, data);
        },
      },
      (done, size) => !found && onProgress(done, size),
    );
    return found;
  }

  /**
   * Makes a file of the whole: the clear packets as pcapng, the frames as they came with the keys that open them, or the
   * lines of `decrypt --json`.
   * @returns `undefined` when the work was ended
   */
  async save(what: Saved, onProgress: OnProgress): Promise<Blob | undefined> {
    const parts = new Parts();
    const writer = new PcapngWriter((bytes) => parts.add(bytes));
    const text = new TextBuffer(2 * SLICE);
    const { subject } = this.#input;
    const session = this.#session(new CaptureSas(isSaid), [sinkOf(what, writer, text)]);
    // A packet that was pasted comes from no capture, which would have said this.
    if (subject.kind === 'packet')
      session.interface({ linkType: guessLinkType(subject.bytes), snapLength: 0 });
    let isWanted = true;
    try {
      await this.#feed(session, (done, size) => {
        if (text.length >= SLICE) {
          parts.add(text.written);
          text.clear();
        }
        isWanted = onProgress(done, size);
        return isWanted;
      });
    } catch (error) {
      // What could be read is worth having; that the rest could not, reading it has said.
      if (!(error instanceof EsplaneError)) throw error;
    }
    if (!isWanted) return undefined;
    session.receiver.flush();
    if (what === 'lines') parts.add(text.written);
    else writer.flush();
    return parts.whole(what === 'lines' ? 'application/jsonl' : 'application/x-pcapng');
  }

  /** @param own SAs that the capture brings along: of the evidence, where that is given */
  #session(own: CaptureSas, sinks: readonly CaptureSink[], read = this.#evidence(own)): CaptureSession {
    return new CaptureSession({
      ...read,
      source: this.#input.subject.name,
      own,
      engine: new NobleEngine(),
      random: secureBytes,
      sinks,
    });
  }

  #evidence(own: CaptureSas): ReadEvidence {
    const { udpPort } = this.#input;
    return readEvidence(
      {
        xfrmState: this.#texts('xfrm-state'),
        espSa: this.#texts('esp-sa'),
        xfrmPolicy: this.#texts('xfrm-policy'),
        cluster: clusterEvidence(this.#cluster, { version: this.#version, udpPort }),
        udpPort,
      },
      own,
    );
  }

  #texts(wanted: TextKind): NamedText[] {
    return this.#input.texts
      .filter(({ kind }) => kind === wanted)
      .map(({ name, text }) => ({ source: name, text }));
  }

  /** Shows the sink every frame. */
  async #feed(sink: FrameSink, onProgress: OnProgress): Promise<void> {
    const { subject } = this.#input;
    if (subject.kind === 'packet') {
      const b = subject.bytes.slice();
      sink.frame(b, 0, b.length, infoOf(b));
      sink.release?.();
      onProgress(b.length, b.length);
      return;
    }
    const { blob, name } = subject;
    const reader = captureReader(name, sink);
    let done = 0;
    const slices = async function* () {
      for (let at = 0; at < blob.size; at += SLICE) {
        const slice = new Uint8Array(await sliceOf(blob, at, name));
        done = at + slice.length;
        yield slice;
      }
    };
    for await (const chunk of unpacked(slices(), name, () => decompress)) {
      reader.feed(chunk);
      if (!onProgress(done, blob.size)) return;
    }
    reader.end();
  }
}

/** A file that changes or goes away while it is read is the reader's, not ours. */
async function sliceOf(blob: Blob, at: number, name: string): Promise<ArrayBuffer> {
  try {
    return await blob.slice(at, at + SLICE).arrayBuffer();
  } catch {
    throw new InputError({ source: name, byte: at }, 'the file cannot be read any more', 'Drop it again.');
  }
}

/** What is left out of secrets {@link OwnCase.read} has said. */
const isSaid = () => {};

/** Writes one kind of file. */
function sinkOf(what: Saved, writer: PcapngWriter, text: TextBuffer): CaptureSink {
  if (what === 'wire') return new WirePackets(writer, { withSecrets: true });
  if (what === 'lines') {
    const json = new PacketJson();
    return { packet: (event) => json.put(text, event) };
  }
  const interfaceId = clearInterface(writer);
  return {
    packet: (event) => {
      if (event.verdict === PASS) putClear(writer, interfaceId, event);
    },
  };
}

/** What a capture would say of a packet that comes from none. */
function infoOf(b: Uint8Array): FrameInfo {
  const linkType = guessLinkType(b);
  const zero = { seconds: 0, nanoseconds: 0, hasTime: false, interfaceId: 0, byte: 0 };
  return { ...zero, number: 1, linkType, originalLength: b.length };
}

/** Rows as they come up, until there are enough. */
class Rows implements CaptureSink {
  readonly #evidence: Evidence;
  readonly #inner = new InnerPacket();
  #rows: OwnRow[] = [];
  #dropped: OwnRow[] = [];
  #left = MOST_ROWS;
  #leftDropped = MOST_DROPPED;

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
  }

  packet(event: EspEvent): void {
    if (this.#left > 0) {
      this.#left--;
      this.#rows.push(this.#rowOf(event));
    } else if (this.#evidence.hasSas && event.verdict !== PASS && this.#leftDropped > 0) {
      this.#leftDropped--;
      this.#dropped.push(this.#rowOf(event));
    }
  }

  hand(onRows: OnRows): void {
    if (this.#rows.length + this.#dropped.length === 0) return;
    onRows(this.#rows, this.#dropped);
    this.#rows = [];
    this.#dropped = [];
  }

  /** The VNI of VXLAN that ESP carried. */
  #vniIn({ bytes, at, end }: EspEvent): number | null {
    this.#inner.read(bytes, at, end);
    return this.#inner.vxlan?.vni ?? null;
  }

  #rowOf(r: EspEvent): OwnRow {
    const { hasSas } = this.#evidence;
    const drop = hasSas ? dropRow(r.verdict) : undefined;
    const isOpen = r.verdict === PASS;
    return {
      frame: r.frame,
      time: r.hasTime ? timeText(r) : null,
      src: r.src,
      dst: r.dst,
      spi: r.hasSpi ? r.spi : null,
      seq: r.hasSpi ? seqText(r.seqHi, r.seqLo) : null,
      verdict: isOpen ? 'ok' : hasSas && !r.isUnopened ? 'drop' : 'closed',
      reason: drop?.reason ?? null,
      counter: r.isUnopened ? null : (drop?.counter ?? null),
      inner: isOpen ? insideText(r) : null,
      overlay: isOpen && !r.aggregate ? this.#vniIn(r) : null,
      carrier: r.carrier.vni < 0 ? null : r.carrier.vni,
    };
  }
}

/** What came out of ESP: one packet, or in IP-TFS any number of them. */
function insideText({ bytes, at, end, aggregate }: EspEvent): string {
  if (!aggregate) return packetLine(bytes, at, end);
  return [aggregateText(aggregate), ...aggregate.inners.map((one) => packetLine(one, 0, one.length))].join(
    '; ',
  );
}

/** A file that grows: what is whole goes to the browser, which need not keep it in memory. */
class Parts {
  readonly #whole: Blob[] = [];
  #loose: Uint8Array<ArrayBuffer>[] = [];
  #length = 0;

  /** Takes a copy. */
  add(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#loose.push(bytes.slice() as Uint8Array<ArrayBuffer>);
    this.#length += bytes.length;
    if (this.#length < PART) return;
    this.#whole.push(new Blob(this.#loose));
    this.#loose = [];
    this.#length = 0;
  }

  whole(type: string): Blob {
    return new Blob([...this.#whole, ...this.#loose], { type });
  }
}
