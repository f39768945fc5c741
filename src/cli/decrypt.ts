/**
 * `esplane decrypt`: clear packets out of a capture of ESP.
 * @module
 */
import type { Command } from 'commander';
import { EsplaneError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import type { TextBuffer } from '../base/text-buffer.ts';
import { SECRETS_TYPE_ESP } from '../capture/pcapng.ts';
import { PcapngWriter } from '../capture/pcapng-writer.ts';
import { captureReader } from '../capture/reader.ts';
import { CaptureDecryptor, type DecryptTotals, type EspRecord } from '../inspect/decrypt.ts';
import { putDecryptJson, putSeq, putTime, seqText } from '../inspect/decrypt-json.ts';
import { parseDsbCsv } from '../inspect/dsb-csv.ts';
import { OverlayFinder } from '../inspect/overlay.ts';
import { putPacketLine } from '../inspect/packet-line.ts';
import { joinSources, SaList } from '../inspect/sa-source.ts';
import { dropRow } from '../ipsec/drop.ts';
import { LINK_RAW } from '../wire/link-type.ts';
import { PASS } from '../wire/packet.ts';
import { addEngineOption, type EngineName, makeEngine } from './engine.ts';
import { OutputFile, readChunks, sizeOf } from './files.ts';
import { grouped, Output, Progress, say } from './output.ts';
import { addSaOptions, loadNamedSas, namesSas, noSas, type SaOptions } from './sa-options.ts';

/** What shells expect of a program that Ctrl-C ended. */
const EXIT_INTERRUPTED = 130;

interface DecryptCommandOptions extends SaOptions {
  readonly write?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly crypto: EngineName;
}

/** Adds the command. */
export function decryptCommand(program: Command): void {
  const command = program
    .command('decrypt')
    .description(
      'Decrypt the ESP packets of a capture, with the verdict that the receiving kernel gives each.',
    )
    .argument('<capture>', 'pcap or pcapng file; - is standard input')
    .option('-w, --write <out.pcapng>', 'write the clear packets, with their times and a comment each')
    .option('--json', 'one JSON object a line for every ESP packet')
    .option('-q, --quiet', 'no line for each packet, only the summary');
  addEngineOption(addSaOptions(command))
    .addHelpText(
      'after',
      `
Example:
  kubectl -n kube-system get secret cilium-ipsec-keys -o yaml > keys.yaml
  kubectl get ciliumnodes -o json > nodes.json
  esplane decrypt node-2.pcap --keys keys.yaml --nodes nodes.json -w clear.pcapng

A pcapng file with a decryption secrets block (ESPS) needs no options.

Exit status: 0 the capture was read to its end (packets may have been dropped), 2 unusable input.`,
    )
    .action(decrypt);
}

async function decrypt(capture: string, options: DecryptCommandOptions): Promise<void> {
  const sas = await loadNamedSas(options);
  for (const warning of sas.warnings) say(`warning: ${warning}`);
  const out = new Output();
  const clear = options.write === undefined ? undefined : new ClearFile(options.write);
  const overlays = new OverlayFinder();
  const own = new SaList();
  const decryptor = new CaptureDecryptor({
    source: capture,
    sas: joinSources([sas.source, own]),
    engine: await makeEngine(options.crypto),
    random: secureBytes,
    udpPorts: sas.udpPorts,
    inPlace: true,
    onPacket: (record) => {
      if (options.json) putDecryptJson(out.text, record, overlays);
      else if (!options.quiet && !clear) putTextLine(out.text, record);
      out.settle();
      clear?.add(record);
    },
  });
  let hasSas = namesSas(options);
  const reader = captureReader(capture, {
    frame: (b, at, end, info) => {
      if (!hasSas) throw noSas();
      decryptor.frame(b, at, end, info);
    },
    release: () => decryptor.release(),
    // A capture that was made to be handed around brings its SAs with it.
    secrets: (type, data) => {
      if (type !== SECRETS_TYPE_ESP) return;
      own.add(parseDsbCsv(new TextDecoder().decode(data), `${capture} (secrets)`));
      hasSas = true;
    },
  });
  const size = sizeOf(capture);
  const progress = new Progress('decrypt');
  let bytes = 0;
  let interrupted = false;
  process.once('SIGINT', () => {
    interrupted = true;
  });
  let failure: unknown;
  try {
    for await (const chunk of readChunks(capture)) {
      reader.feed(chunk);
      await out.flush();
      bytes += chunk.length;
      const share = size ? `${Math.floor((100 * bytes) / size)} %, ` : '';
      progress.update(`${share}${grouped(decryptor.totals.frames)} frames`);
      if (interrupted) break;
    }
    if (!interrupted) {
      reader.end();
      if (!hasSas) throw noSas();
    }
  } catch (error) {
    if (!(error instanceof EsplaneError)) throw error;
    failure = error;
  }
  // What could be read is worth having, even when the rest could not.
  decryptor.flush();
  await out.flush();
  progress.done();
  if (decryptor.totals.frames > 0) say(summary(capture, decryptor));
  if (failure === undefined && !interrupted) {
    if (decryptor.totals.frames === 0) say('warning: the capture holds no frames');
    clear?.finish();
    return;
  }
  const left = clear?.stopEarly();
  if (left !== undefined) say(`What was decrypted before that is in ${left}.`);
  if (failure !== undefined) throw failure;
  say('esplane: interrupted');
  process.exitCode = EXIT_INTERRUPTED;
}

/** One line a packet, for people. */
function putTextLine(out: TextBuffer, r: EspRecord): void {
  out.decimal(r.frame);
  out.text(' ');
  if (r.hasTime) {
    putTime(out, r.seconds, r.nanoseconds);
    out.text(' ');
  }
  out.text(r.src);
  out.text(' > ');
  out.text(r.dst);
  if (r.hasSpi) {
    out.text(': ESP(spi=0x');
    out.hex32(r.spi);
    out.text(',seq=');
    putSeq(out, r.seqHi, r.seqLo);
    out.text(') ');
  } else out.text(': ESP(short) ');
  const row = dropRow(r.verdict);
  if (row) out.text(`dropped: ${row.reason} (${row.counter ?? row.elsewhere})`);
  else putPacketLine(out, r.bytes, r.at, r.end);
  out.text('\n');
}

/** The clear packets as a pcapng file of raw IP packets. */
class ClearFile {
  readonly #file: OutputFile;
  readonly #writer: PcapngWriter;
  readonly #interfaceId: number;
  #packets = 0;

  constructor(name: string) {
    this.#file = new OutputFile(name);
    this.#writer = new PcapngWriter((bytes) => this.#file.write(bytes));
    this.#interfaceId = this.#writer.interface({ linkType: LINK_RAW, snapLength: 0, name: 'decrypted' });
  }

  add(r: EspRecord): void {
    if (r.verdict !== PASS) return;
    this.#packets++;
    const carrier = r.carrierVni < 0 ? '' : `, in VXLAN ${r.carrierVni}`;
    this.#writer.comment(
      `frame ${r.frame}: ${r.src} > ${r.dst} ESP spi 0x${r.spi.toString(16)} seq ${seqText(r.seqHi, r.seqLo)}${carrier}`,
    );
    this.#writer.frame(r.bytes, r.at, r.end, {
      seconds: r.seconds,
      nanoseconds: r.nanoseconds,
      interfaceId: this.#interfaceId,
      originalLength: r.end - r.at,
    });
  }

  /** Gives the whole file its name. */
  finish(): void {
    this.#writer.flush();
    this.#file.finish();
  }

  /**
   * Ends the file where the work ended.
   * @returns the name it is kept under, or `undefined` when nothing was in it
   */
  stopEarly(): string | undefined {
    if (this.#packets === 0) {
      this.#file.discard();
      return undefined;
    }
    this.#writer.flush();
    return this.#file.partialName;
  }
}

/** What was read and what became of it, in a few lines. */
function summary(capture: string, decryptor: CaptureDecryptor): string {
  const t: DecryptTotals = decryptor.totals;
  const lines = [
    `${capture}: ${grouped(t.frames)} frames, ${grouped(t.esp)} ESP packets: ${grouped(t.ok)} decrypted, ${grouped(t.esp - t.ok)} dropped`,
  ];
  for (const [verdict, count] of [...t.dropped].sort((a, b) => b[1] - a[1])) {
    const row = dropRow(verdict)!;
    lines.push(`  ${grouped(count)} ${row.reason} (${row.counter ?? row.elsewhere}): ${row.look}`);
  }
  const { pending, stats } = decryptor.reassembler;
  const beside = [
    [t.other, 'without ESP'],
    [t.keepalives, 'NAT keepalives'],
    [t.ike, 'IKE'],
    [t.broken, 'not readable as IP'],
    [pending + stats.timedOut + stats.evicted, 'packets of which fragments are missing'],
    [stats.overlapping + stats.malformed, 'fragments that contradict others'],
  ] as const;
  const parts = beside.filter(([count]) => count > 0).map(([count, what]) => `${grouped(count)} ${what}`);
  if (parts.length > 0) lines.push(`  other frames: ${parts.join(', ')}`);
  return lines.join('\n');
}
