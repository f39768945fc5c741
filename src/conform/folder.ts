/**
 * The folder of a conformance test: its files, made and read. Keys in them are throw-away keys, made from the seed.
 *
 * ```text
 * wire.pcapng     the frames, and in a secrets block the keys
 * verdicts.jsonl  for each frame what is to become of it, and why
 * peer.sh         `ip` commands that set up a Linux peer: addresses, states, policies
 * esp_sa          the SA for Wireshark
 * sas.json        both SAs, keys included
 * peer.state      both SAs as the peer's `ip xfrm state` prints them
 * state policy    both SAs and the policies as that of the tester prints them, and
 * node.yaml       a configuration with them, for `esplane conform run`
 * README.md       how to run it
 * ```
 * @module
 */
import { toHex } from '../base/bytes.ts';
import { InputError } from '../base/errors.ts';
import { linesOf } from '../base/lines.ts';
import { SECRETS_TYPE_ESP } from '../capture/pcapng.ts';
import { PcapngWriter } from '../capture/pcapng-writer.ts';
import { authencNames } from '../crypto/suite.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Policy } from '../ipsec/spd.ts';
import { writeDsbCsv } from '../sa-text/dsb-csv.ts';
import { writeEspSa } from '../sa-text/esp-sa.ts';
import { saRows } from '../sa-text/sa-table.ts';
import { writeXfrmPolicy, writeXfrmState } from '../sa-text/xfrm-write.ts';
import { type Address, formatAddress, formatPrefix, singlePrefix } from '../wire/address.ts';
import * as ethernet from '../wire/ethernet.ts';
import { LINK_ETHERNET } from '../wire/link-type.ts';
import { KINDS } from './catalogue.ts';
import type { ConformFrame } from './make.ts';
import type { EchoHosts, EchoName } from './reference.ts';

/** What a folder is made of. */
export interface ConformPlan {
  /** From the tester to the peer. */
  readonly sa: SaConfig;
  /** The other way, for replies. */
  readonly back: SaConfig;
  readonly hosts: EchoHosts;
  readonly frames: readonly ConformFrame[];
  /** The command that made it, without the folder. */
  readonly command: string;
}

/** A line of `verdicts.jsonl`. */
export interface VerdictLine {
  readonly frame: number;
  readonly behaviour: string;
  readonly says: string;
  readonly verdict: ConformFrame['verdict'];
  readonly reason: string | null;
  readonly counter: string | null;
  readonly elsewhere: string | null;
  readonly rfc: ConformFrame['rule'];
  /** The whole sequence number as the receiver takes it, decimal. */
  readonly seq: string | null;
  /** The echo request that was put in; null where none was. */
  readonly echo: EchoName | null;
  /** A host behind the receiver answers it. */
  readonly answered: boolean;
  /** The packet that comes out, in hexadecimal. */
  readonly inner: string | null;
}

/** Frames lie a millisecond apart, from here on: seconds since 1970. */
const START = 1_800_000_000;
const MAC = { tester: Uint8Array.of(2, 0, 0, 0, 0, 1), peer: Uint8Array.of(2, 0, 0, 0, 0, 2) };

/** All files by name; those that are no capture are text. */
export function writeConform(plan: ConformPlan): Map<string, string | Uint8Array> {
  const { sa, back, hosts, frames } = plan;
  const both = [sa, back];
  return new Map<string, string | Uint8Array>([
    ['wire.pcapng', capture(plan)],
    ['verdicts.jsonl', frames.map((frame) => `${JSON.stringify(verdictLine(frame))}\n`).join('')],
    ['peer.sh', peerCommands(plan)],
    ['esp_sa', writeEspSa(both, { showKeys: true })],
    ['sas.json', `${JSON.stringify(saRows(both, { showKeys: true }), null, 2)}\n`],
    ['state', both.map((one, i) => printedState(one, i === 0 ? 'out' : 'in')).join('')],
    ['peer.state', both.map((one, i) => printedState(one, i === 0 ? 'in' : 'out')).join('')],
    ['policy', policiesOf(plan, 'tester').map(printedPolicy).join('')],
    ['node.yaml', nodeConfig(sa, hosts)],
    ['README.md', readme(plan)],
  ]);
}

/** What `verdicts.jsonl` says of a frame. */
export function verdictLine({ frame, behaviour, rule, seq, inner, ...rest }: ConformFrame): VerdictLine {
  const { verdict, reason, counter, elsewhere, echo, answered } = rest;
  return {
    frame,
    behaviour,
    says: KINDS[behaviour]!.says,
    verdict,
    reason,
    counter,
    elsewhere,
    rfc: rule,
    seq: seq === null ? null : String(seq),
    echo,
    answered,
    inner: inner === null ? null : toHex(inner),
  };
}

/**
 * Reads `verdicts.jsonl`.
 * @param source its name, for errors
 * @throws {InputError} naming the line that is none
 */
export function readVerdicts(text: string, source: string): VerdictLine[] {
  const lines: VerdictLine[] = [];
  for (const { number, text: line } of linesOf(text, source)) {
    if (line.trim() === '') continue;
    const value = parseLine(line);
    if (!value)
      throw new InputError(
        { source, line: number },
        'is no line of verdicts.jsonl',
        'Make the folder again with esplane conform make.',
      );
    lines.push(value);
  }
  if (lines.length === 0)
    throw new InputError({ source }, 'holds no verdicts', 'Make the folder again with esplane conform make.');
  return lines;
}

function parseLine(line: string): VerdictLine | undefined {
  try {
    const value = JSON.parse(line) as Partial<VerdictLine> | null;
    const isOne =
      Number.isInteger(value?.frame) &&
      typeof value?.behaviour === 'string' &&
      ['accepted', 'dropped', 'passed'].includes(value.verdict ?? '') &&
      typeof value.rfc?.document === 'string' &&
      typeof value.answered === 'boolean' &&
      (value.echo === null || Number.isInteger(value.echo?.id));
    return isOne ? (value as VerdictLine) : undefined;
  } catch {
    return undefined;
  }
}

function capture({ sa, frames }: ConformPlan): Uint8Array {
  const parts: Uint8Array[] = [];
  const writer = new PcapngWriter((bytes) => parts.push(bytes.slice()));
  const interfaceId = writer.interface({ linkType: LINK_ETHERNET, snapLength: 0, name: 'conform' });
  writer.secrets(SECRETS_TYPE_ESP, new TextEncoder().encode(writeDsbCsv([sa], { showKeys: true })));
  for (const { frame, behaviour, verdict, counter, elsewhere, packet } of frames) {
    const type = packet[0]! >>> 4 === 6 ? ethernet.TYPE_IPV6 : ethernet.TYPE_IPV4;
    const bytes = new Uint8Array(ethernet.HEADER_LEN + packet.length);
    ethernet.emit({ dst: MAC.peer, src: MAC.tester, tags: [], type }, bytes);
    bytes.set(packet, ethernet.HEADER_LEN);
    writer.comment(`${behaviour}: ${verdict}${(counter ?? elsewhere) ? ` (${counter ?? elsewhere})` : ''}`);
    writer.frame(bytes, 0, bytes.length, {
      seconds: START + Math.floor(frame / 1000),
      nanoseconds: (frame % 1000) * 1_000_000,
      interfaceId,
      originalLength: bytes.length,
    });
  }
  writer.flush();
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The policies of one end: out to the other, and in from it. */
function policiesOf({ sa, back, hosts }: ConformPlan, end: 'tester' | 'peer'): Policy[] {
  const out = end === 'tester' ? sa : back;
  const way = (
    dir: 'in' | 'out',
    { src, dst, mode, reqid }: SaConfig,
    from: Address,
    to: Address,
  ): Policy => ({
    dir,
    selector: { src: singlePrefix(from), dst: singlePrefix(to) },
    action: 'allow',
    priority: 0,
    templates: [{ src, dst, reqid, mode, level: 'required' }],
  });
  const [here, there] = end === 'tester' ? [hosts.src, hosts.dst] : [hosts.dst, hosts.src];
  return [way('out', out, here, there), way('in', out === sa ? back : sa, there, here)];
}

function peerCommands(plan: ConformPlan): string {
  const { sa, back, hosts, command } = plan;
  const [tester, peer] = [formatAddress(sa.src), formatAddress(sa.dst)];
  const [echoes, answers] = [formatAddress(hosts.src), formatAddress(hosts.dst)];
  const isMixed = answers.includes(':') !== tester.includes(':');
  const inner =
    sa.mode === 'transport'
      ? ''
      : `# The address that answers, and the way back to the one that asks.
ip addr replace ${formatPrefix(singlePrefix(hosts.dst))} dev lo
ip route replace ${formatPrefix(singlePrefix(hosts.src))} ${isMixed ? `via ${tester.includes(':') ? 'inet6' : 'inet'} ${tester}` : `via ${tester} src ${answers}`}
`;
  const socket = sa.encap
    ? `# Linux takes ESP in UDP while a socket asks for it (UDP_ENCAP), as an IKE daemon's does. This one waits for it:
# python3 -c 'import socket, time; s = socket.socket(${tester.includes(':') ? 'socket.AF_INET6' : 'socket.AF_INET'}, socket.SOCK_DGRAM); s.bind(("", ${sa.encap.dport})); s.setsockopt(17, 100, 2); time.sleep(1e9)' &
`
    : '';
  return `#!/bin/sh -e
# A Linux peer for the frames of: ${command}
# It must have the address ${peer}, and reach ${tester}. Echo requests come from ${echoes} to ${answers}.
# The keys are throw-away keys made from the seed: everybody who knows it has them.
${writeXfrmState([sa, back], { showKeys: true })}${writeXfrmPolicy(policiesOf(plan, 'peer'))}${inner}${socket}`;
}

/** A state as `ip xfrm state` prints it: what the configuration of a node reads. */
function printedState(sa: SaConfig, direction: 'in' | 'out'): string {
  const { keys, esn, replayWindow, encap, flags } = sa;
  const { suite } = keys;
  const names = authencNames(suite);
  const bits = (bytes: Uint8Array) => `0x${toHex(bytes)} (${bytes.length * 8} bits)`;
  const cipherKey = keys.all().subarray(0, suite.keyLen + suite.saltLen);
  const algorithms = names
    ? `\tauth-trunc ${names.auth} ${keys.macKey().length > 0 ? bits(keys.macKey()) : ''} ${suite.icvLen * 8}\n\tenc ${names.enc} ${cipherKey.length > 0 ? bits(cipherKey) : ''}\n`
    : `\taead ${suite.name} ${bits(cipherKey)} ${suite.icvLen * 8}\n`;
  const isLong = esn || replayWindow > 32;
  const words = Math.ceil(replayWindow / 32);
  const long = isLong
    ? `\tanti-replay esn context:\n\t seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0\n\t replay_window ${replayWindow}, bitmap-length ${words}\n\t ${'00000000 '.repeat(words)}\n`
    : '';
  const flag = [...flags, ...(esn ? ['esn'] : [])].join(' ');
  const udp = encap ? `\tencap type espinudp sport ${encap.sport} dport ${encap.dport} addr 0.0.0.0\n` : '';
  return `src ${formatAddress(sa.src)} dst ${formatAddress(sa.dst)}
\tproto esp spi 0x${sa.spi.toString(16).padStart(8, '0')} reqid ${sa.reqid} mode ${sa.mode}
\treplay-window ${isLong ? 0 : replayWindow} ${flag === '' ? '' : `flag ${flag}`}
${algorithms}${udp}${long}\tdir ${direction}
`;
}

function printedPolicy({ dir, selector, priority, templates: [template] }: Policy): string {
  const { src, dst, reqid, mode } = template!;
  return `src ${formatPrefix(selector.src)} dst ${formatPrefix(selector.dst)}
\tdir ${dir} priority ${priority}
\ttmpl src ${formatAddress(src!)} dst ${formatAddress(dst!)}
\t\tproto esp reqid ${reqid} mode ${mode}
`;
}

function nodeConfig({ src, encap }: SaConfig, { src: inner }: EchoHosts): string {
  return `# For esplane conform run. Make link packet, or raw, as it suits the way to the peer.
name: conform
outside: { link: ${encap ? 'udp' : 'packet'}, address: '${formatAddress(src)}' }
xfrm: { state: state, policy: policy }
pods: ['${formatPrefix(singlePrefix(inner))}']
`;
}

function readme({ sa, hosts, frames, command }: ConformPlan): string {
  const count = (verdict: string) => frames.filter((frame) => frame.verdict === verdict).length;
  return `# ESP conformance: ${sa.keys.suite.name}

Made by \`${command}\`: ${frames.length} frames from ${formatAddress(sa.src)} to ${formatAddress(sa.dst)} under one SA
(SPI 0x${sa.spi.toString(16)}, ${sa.mode} mode, ${sa.esn ? 'ESN' : 'no ESN'}, window ${sa.replayWindow}${sa.encap ? ', ESP in UDP' : ''}); ${count('accepted')} are to be accepted, ${count('dropped')} dropped${count('passed') > 0 ? `, and ${count('passed')} are no ESP` : ''}.
The order matters: each frame meets the window that those before it left.

**The keys are throw-away keys**, made from the seed. Use them for nothing else.

| file | what |
|---|---|
| \`wire.pcapng\` | the frames, each with its verdict as a comment; the keys are in a secrets block |
| \`verdicts.jsonl\` | a line for each frame: verdict, counter of \`/proc/net/xfrm_stat\`, the behaviour, the RFC's sentence, the packet that comes out |
| \`peer.sh\` | sets up a Linux peer |
| \`esp_sa\`, \`sas.json\`, \`peer.state\` | the SA for Wireshark, for programs, and as the peer's kernel prints it |
| \`node.yaml\`, \`state\`, \`policy\` | the tester's side, for \`esplane conform run\` |

Echo requests from ${formatAddress(hosts.src)} to ${formatAddress(hosts.dst)} are inside, each with an id and number of its own: the reply tells that a frame was accepted.

## Live

On the peer, as root, with a fresh SA:

    sh peer.sh

On the tester, which has ${formatAddress(sa.src)}, as root:

    esplane conform run --config node.yaml --xfrm-stat-command 'ssh peer cat /proc/net/xfrm_stat'

Without \`--xfrm-stat-command\` the replies alone tell.

## From files

Send \`wire.pcapng\` in order by whatever means, then give what came of it:

    esplane conform judge . --replies replies.pcapng      # a capture of what the peer sent, ESP or clear
    esplane conform judge . --xfrm-stat before after      # /proc/net/xfrm_stat of the peer
    esplane conform judge . --decrypted clear.pcapng      # what the receiver made of the frames
`;
}
