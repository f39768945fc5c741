/**
 * `esplane conform run`: sends the frames of a conformance test to a live peer and reads its verdicts: from its echo
 * replies, and from its counters where a command prints them.
 * @module
 */
import { execFile } from 'node:child_process';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { equalBytes } from '../base/bytes.ts';
import { grouped } from '../base/count-text.ts';
import { EsplaneError, InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import { verdictLine } from '../conform/folder.ts';
import { echoKey, judgeReplies, ledgerOf, type Sight } from '../conform/ledger.ts';
import { type ConformFrame, leastFrames, makeConform } from '../conform/make.ts';
import { type EchoHosts, EchoReader, Reference } from '../conform/reference.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { DeviceLink } from '../link/link.ts';
import { Poller } from '../native/system.ts';
import { readPolicies } from '../sa-text/to-policy.ts';
import { parseXfrmState } from '../sa-text/xfrm-sas.ts';
import { parseXfrmStat, risen, type XfrmStat } from '../sa-text/xfrm-stat.ts';
import { type Address, formatAddress, parseAddress } from '../wire/address.ts';
import { Batch } from '../wire/packet.ts';
import { PORT_ESP } from '../wire/udp.ts';
import { printLedger } from './conform-judge.ts';
import { makeEngine } from './engine.ts';
import { readText } from './files.ts';
import { type NodeConfig, readNodeConfig } from './node-config.ts';
import { Output, Progress, say } from './output.ts';
import { openOutside } from './running-node.ts';
import { EXIT_INTERRUPTED, Interrupt } from './signals.ts';

export interface RunOptions {
  readonly config: string;
  readonly from?: Address;
  readonly target?: Address;
  readonly frames: number;
  readonly seed: number;
  readonly skip: readonly string[];
  /** ms for a reply. */
  readonly wait: number;
  readonly xfrmStatCommand?: string;
  readonly json?: boolean;
}

/** ms for a text of the peer's counters. */
const COMMAND_TIMEOUT = 20_000;
/** ms between two looks at what came. */
const STEP = 5;

const run = promisify(execFile);

/** Runs it. @throws {EsplaneError} when it cannot start, or the peer answers nothing at all */
export async function runConform(options: RunOptions): Promise<void> {
  const { seed, frames: count, skip, wait } = options;
  const config = await readNodeConfig(options.config);
  const { sa, back } = sasOf(config);
  const hosts = hostsOf(config, sa, options);
  const engine = await makeEngine(config.crypto);
  const { link: kind } = config.outside;
  const given = { sa, skip, sendsAsIs: kind === 'packet', choosesSource: kind !== 'udp' };
  const frames = makeConform({
    ...given,
    hosts,
    frames: Math.max(count, leastFrames(given)),
    seed,
    engine,
    random: secureBytes,
  });
  const interrupt = new Interrupt();
  const peer = new Peer(
    openOutside(config, {}, sa.encap?.sport ?? PORT_ESP),
    new Reference(back, engine, secureBytes),
    hosts,
  );
  const counters = options.xfrmStatCommand === undefined ? undefined : new Counters(options.xfrmStatCommand);
  const progress = new Progress('conform run');
  const rose: (readonly string[])[] = [];
  try {
    await counters?.of(null, 0);
    for (const frame of frames) {
      if (interrupt.isAsked) break;
      peer.send(frame.packet);
      await peer.answers(frame, wait, interrupt);
      if (frame.frame === 1 && !counters && peer.replies.size === 0 && !interrupt.isAsked)
        throw silent(sa, hosts);
      try {
        rose.push((await counters?.of(frame.counter, wait)) ?? []);
      } catch (error) {
        // Ctrl-C ends the command, too.
        if (interrupt.isAsked) break;
        throw error;
      }
      progress.update(() => `${grouped(frame.frame)} of ${grouped(frames.length)} frames`);
    }
    await peer.listen(wait, interrupt);
  } finally {
    progress.done();
    peer.close();
  }
  const sent = frames.slice(0, rose.length).map(verdictLine);
  const byReply = judgeReplies(sent, peer.replies);
  const sights = counters
    ? byReply.map((sight, i) => withCounters(sight, sent[i]!.counter, rose[i]!))
    : byReply;
  const out = new Output();
  printLedger(out, ledgerOf(sent, sights), options);
  await out.flush();
  if (!interrupt.isAsked) return;
  say(`esplane: interrupted after ${grouped(sent.length)} of ${grouped(frames.length)} frames`);
  process.exit(EXIT_INTERRUPTED);
}

/** The SA to the peer, and the one back. */
function sasOf({ outside, xfrm }: NodeConfig): { readonly sa: SaConfig; readonly back: SaConfig } {
  if (!xfrm)
    throw new InputError(
      { source: 'xfrm' },
      'the SAs of a test are those of a text',
      'Give xfrm with state and policy.',
    );
  const here = parseAddress(outside.address);
  const sas = xfrm.state.flatMap((file) => parseXfrmState(readText(file), file));
  const out = sas.filter(({ src }) => here && equalBytes(src, here));
  const source = xfrm.state.join(', ');
  if (out.length !== 1)
    throw new InputError(
      { source },
      `${out.length} states from ${outside.address}, and a test is of one`,
      'Give the two states of one peer.',
    );
  const sa = out[0]!;
  const back = sas.find(({ src, dst }) => equalBytes(src, sa.dst) && equalBytes(dst, sa.src));
  if (!back)
    throw new InputError(
      { source },
      `no state from ${formatAddress(sa.dst)}`,
      'Give the state for replies, too.',
    );
  const { oseq = 0, oseqHi = 0 } = sa.sequence ?? {};
  if (oseq > 0 || oseqHi > 0)
    throw new InputError(
      { source },
      'packets were sent under the state already, so the window of the peer is not known',
      'Set up a new SA on both ends.',
    );
  if ((sa.encap !== undefined) !== (outside.link === 'udp'))
    throw new InputError(
      { source: 'outside.link' },
      sa.encap ? 'the state is ESP in UDP' : 'the state has no UDP encapsulation',
      sa.encap ? 'Write link: udp.' : 'Write link: raw or link: packet.',
    );
  return { sa, back };
}

/** Who pings whom: what the options say, or the policy out. */
function hostsOf({ xfrm }: NodeConfig, sa: SaConfig, { from, target }: RunOptions): EchoHosts {
  if (sa.mode === 'transport') return { src: sa.src, dst: sa.dst };
  const [file = ''] = xfrm!.policy;
  const policies = readPolicies(readText(file), file).policies;
  const selector = policies.find(
    ({ direction, templates }) => direction === 'out' && templates.length > 0,
  )?.selector;
  const single = (prefix: { readonly address: Address; readonly bits: number } | undefined) =>
    prefix && prefix.bits === 8 * prefix.address.length ? prefix.address : undefined;
  const src = from ?? single(selector?.src);
  const dst = target ?? single(selector?.dst);
  if (!src || !dst)
    throw new InputError(
      { source: file },
      'the policy out is not for two hosts',
      'Give --from, and --target: an address behind the peer that answers echo requests.',
    );
  return { src, dst };
}

function silent({ dst }: SaConfig, hosts: EchoHosts): EsplaneError {
  return new EsplaneError(
    'ERR_PEER',
    `${formatAddress(dst)} does not answer the first frame, an echo request from ${formatAddress(hosts.src)} to ${formatAddress(hosts.dst)}. Look whether its SA is new, and whether its policies and routes lead the reply back through ESP.`,
  );
}

/** Counters and reply of one frame together. */
function withCounters({ seen, agrees }: Sight, expected: string | null, rose: readonly string[]): Sight {
  const isSame = expected === null ? rose.length === 0 : rose.length === 1 && rose[0] === expected;
  const counted = rose.length > 0 ? rose.join(' and ') : undefined;
  return {
    seen: counted === undefined ? seen : seen === 'answered' ? `answered and ${counted}` : counted,
    agrees: isSame && agrees !== false,
  };
}

/** The other end. */
class Peer {
  /** How many replies came, by `echoKey`. */
  readonly replies = new Map<string, number>();
  readonly #link: DeviceLink;
  readonly #poller: Poller;
  readonly #batch = new Batch({ capacity: 1, maxPacket: 0xffff });

  constructor(link: DeviceLink, back: Reference, hosts: EchoHosts) {
    this.#link = link;
    this.#poller = new Poller(link.fds);
    const reader = new EchoReader();
    link.receive((batch) => {
      for (let i = 0; i < batch.count; i++) {
        const { inner } = back.take(batch.copy(i));
        const echo = inner && reader.read(inner, hosts, 'reply');
        if (echo) this.replies.set(echoKey(echo), (this.replies.get(echoKey(echo)) ?? 0) + 1);
      }
    });
  }

  send(packet: Uint8Array): void {
    this.#batch.clear();
    this.#batch.push(packet);
    this.#link.send(this.#batch);
  }

  /** Waits for the reply to a frame that is to have one. Another does not make it wait: a reply that comes all the same is known by its name. */
  async answers({ answered, echo }: ConformFrame, wait: number, interrupt: Interrupt): Promise<void> {
    const before = answered && echo ? this.replies.get(echoKey(echo)) : undefined;
    await this.#until(
      answered ? wait : 0,
      interrupt,
      () => !answered || this.replies.get(echoKey(echo!)) !== before,
    );
  }

  /** Takes what comes late. */
  async listen(wait: number, interrupt: Interrupt): Promise<void> {
    await this.#until(wait, interrupt, () => false);
  }

  close(): void {
    this.#poller.close();
    this.#link.close();
  }

  async #until(wait: number, interrupt: Interrupt, isThere: () => boolean): Promise<void> {
    const end = performance.now() + wait;
    for (;;) {
      while (this.#link.pump() > 0);
      if (isThere() || interrupt.isAsked) return;
      const left = end - performance.now();
      if (left <= 0) return;
      this.#poller.wait(Math.min(STEP, left));
      // Ctrl-C gets its turn.
      await setImmediate();
    }
  }
}

/** The peer's counters. */
class Counters {
  readonly #command: string;
  #last: XfrmStat | undefined;

  constructor(command: string) {
    this.#command = command;
  }

  /**
   * Rows of the way in that rose since the last call, a row as often as it rose.
   * @param expected one that is to rise; the peer may not have come to it when it is first asked
   */
  async of(expected: string | null, wait: number): Promise<string[]> {
    const end = performance.now() + wait;
    const rose = await this.#risen();
    while (rose.length === 0 && expected !== null && performance.now() < end)
      rose.push(...(await this.#risen()));
    return rose;
  }

  async #risen(): Promise<string[]> {
    const now = parseXfrmStat(await this.#ask(), '--xfrm-stat-command');
    const rose = this.#last ? risen(this.#last, now) : new Map<string, number>();
    this.#last = now;
    return [...rose].flatMap(([name, n]) =>
      name.startsWith('XfrmOut') || n <= 0 ? [] : Array<string>(n).fill(name),
    );
  }

  async #ask(): Promise<string> {
    try {
      return (await run('sh', ['-c', this.#command], { timeout: COMMAND_TIMEOUT })).stdout;
    } catch (error) {
      const { stderr = '', code } = error as { stderr?: string; code?: number };
      throw new InputError(
        { source: '--xfrm-stat-command' },
        `it ended with ${code ?? 'a signal'}: ${stderr.trim().split('\n')[0] ?? ''}`,
        'Give a command that prints /proc/net/xfrm_stat of the peer.',
      );
    }
  }
}
