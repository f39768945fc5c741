/**
 * A Linux kernel sends, and esplane does the same: it opens what the kernel sealed, seals the same bytes, stops where
 * the kernel stops, and chooses the policy that the kernel chooses.
 *
 * One guest sends everything before the first test; the tests compare.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { hex, toHex, u32 } from '../../src/base/bytes.ts';
import { seededBytes } from '../../src/base/rng.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { Spd } from '../../src/ipsec/spd.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { LINK_ETHERNET } from '../../src/wire/link-type.ts';
import { decryptBytes, type Line } from '../support/decrypt.ts';
import { frameOf } from '../support/ethernet.ts';
import { fullEngine } from '../support/full-engine.ts';
import { KERNEL_NEEDS, KernelPlan, sayRefused } from '../support/kernel.ts';
import {
  command,
  FAR,
  gcm,
  NEAR,
  nextSpi,
  outPolicy,
  PROTOCOL,
  SHAPES,
  type Shape,
  SUITES,
  saltOf,
  TUNNEL_4IN4,
} from '../support/kernel-network.ts';
import { needs } from '../support/needs.ts';
import { pcapOf } from '../support/pcap.ts';
import { address, ipv4Packet, saConfig } from '../support/sa.ts';

const WORD = 2n ** 32n;

/** One SA of the sending kernel, and packets for it. */
interface Sending {
  readonly name: string;
  readonly config: SaConfig;
  /** Packets to this prefix take the SA. */
  readonly to: string;
  readonly clear: readonly Uint8Array[];
}

let sendings = 0;

/** An SA to a destination of its own, so that a policy leads there. */
function sending(
  name: string,
  { given, inner }: Shape,
  more: Partial<SaConfig>,
  lengths: readonly number[],
): Sending {
  const n = ++sendings;
  const isTunnel = given.mode !== 'transport';
  const isV4 = inner(64)[0]! >>> 4 === 4;
  const networks = isTunnel ? { 4: '10.1.0.', 6: 'fd00:9::' } : { 4: '192.0.2.', 6: '2001:db8::' };
  const to = `${networks[isV4 ? 4 : 6]}${100 + n}`;
  const dst = address(to);
  const config = saConfig({ ...given, ...(!isTunnel && { dst }), ...more, reqid: n, spi: nextSpi() });
  const clear = lengths.map((len) => {
    const packet = inner(len);
    packet.set(dst, isV4 ? ipv4.DST_AT : ipv6.DST_AT);
    if (isV4) ipv4.fillChecksum(packet, 0);
    return packet;
  });
  return { name, config, to: `${to}/${dst.length * 8}`, clear };
}

const LENGTHS = [60, 61, 62, 63, 576, 1200];
const SENT: readonly Sending[] = [
  ...SUITES.map(([name, keys]) => ({ name, keys, shape: TUNNEL_4IN4 })),
  ...SHAPES.map((shape) => ({ name: shape.name, keys: gcm(16), shape })),
].flatMap(({ name, keys, shape }) => {
  const counters = { seqHi: 6, seq: 0xffff_fffc, oseqHi: 6, oseq: 0xffff_fffc };
  return [
    sending(`${name}, no ESN`, shape, { keys, esn: false, replayWindow: 32 }, LENGTHS),
    sending(`${name}, ESN over 2^32`, shape, { keys, sequence: counters }, LENGTHS),
  ];
});

/** SAs that come to their end while they send. */
const ENDING: readonly Sending[] = (
  [
    ['no ESN, the last number', { esn: false, sequence: { seqHi: 0, seq: 0, oseqHi: 0, oseq: 0xffff_fffd } }],
    ['ESN, the last number', { sequence: { seqHi: 0, seq: 0, oseqHi: 0xffff_ffff, oseq: 0xffff_fffd } }],
    ['three packets', { lifetime: { hardPackets: 3 } }],
    ['100 bytes', { lifetime: { hardBytes: 100 } }],
  ] as const
).map(([name, more]) => sending(name, TUNNEL_4IN4, more, [60, 60, 60, 60, 60]));

const both = (prefix: string) => ({ src: parsePrefix(prefix)!, dst: parsePrefix(prefix)! });

/** SAs with selectors: not all of them cover what their policy gives them. */
const UNFIT: readonly Sending[] = [
  sending('selector of another network', TUNNEL_4IN4, { selector: both('10.77.0.0/16') }, [60, 60]),
  sending('selector of the other IP version', TUNNEL_4IN4, { selector: both('::/0') }, [60, 60]),
  sending('selector for all', TUNNEL_4IN4, { selector: both('0.0.0.0/0') }, [60, 60]),
];

/** Policies of one priority, in the order in which they are added; the packet goes to 10.2.0.1. */
const POLICIES: readonly (readonly string[])[] = [
  ['10.2.0.0/24', '10.2.0.0/25'],
  ['10.2.0.0/25', '10.2.0.0/24'],
  ['10.2.0.1/32', '10.2.0.0/24'],
  ['10.2.0.0/24', '10.2.0.1/32'],
  ['10.0.0.0/8', '10.2.0.0/28'],
  ['0.0.0.0/0', '10.2.0.1/32'],
];

/** The out-policies with a template each that asks for the SA of its place. */
const CHOICE = POLICIES[0]!.map((_, i) => saConfig({ spi: nextSpi(), reqid: 10_000 + i }));

needs(KERNEL_NEEDS, 'a Linux kernel sends', () => {
  const plan = new KernelPlan();
  plan.setUp('near', NEAR);
  plan.setUp('far', FAR);

  const all = [...SENT, ...ENDING, ...UNFIT];
  const states = all.map(({ config }) => command(config));
  const refused = plan.ip('near', states);
  plan.ip('far', states);
  plan.setUp(
    'near',
    all.flatMap(({ config, to }) => (config.mode === 'transport' ? [`addr add ${to} dev lo nodad`] : [])),
  );
  plan.setUp(
    'far',
    all.map(({ config, to }) => outPolicy(config, to, 0)),
  );
  const sent = new Map(all.map((each) => [each, plan.send(each.clear)]));
  const text = plan.show('near', '-s xfrm state');

  plan.setUp('far', CHOICE.map(command));
  const chosen = POLICIES.map((prefixes) => {
    plan.setUp(
      'far',
      prefixes.map((to, i) => outPolicy(CHOICE[i]!, to, 7)),
    );
    const answer = plan.send([ipv4Packet(60, { protocol: PROTOCOL, dst: address('10.2.0.1') })]);
    plan.setUp('far', ['xfrm policy flush']);
    return answer;
  });

  beforeAll(async () => {
    await plan.run(60_000);
    sayRefused(
      refused(),
      all.map(({ name }) => name),
    );
  }, 70_000);

  /** Does the guest's kernel have the suite? */
  const has = (each: Sending) => !(all.indexOf(each) in refused());

  describe('seals what esplane opens', () => {
    let lines: readonly Line[] = [];
    beforeAll(async () => {
      const folder = mkdtempSync(join(tmpdir(), 'esplane-kernel-'));
      try {
        // As a user has it: a capture of the wire, and what `ip` says.
        const state = join(folder, 'xfrm_state.txt');
        writeFileSync(state, text());
        const frames = SENT.flatMap((each) =>
          sent.get(each)!().flatMap(({ wire }) => wire.map((b) => frameOf(hex(b)))),
        );
        const options = { xfrmState: [state] };
        ({ lines } = await decryptBytes(pcapOf(frames, LINK_ETHERNET), options, fullEngine()));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });

    it.each(SENT.map((each) => ({ ...each, each })))('$name', ({ each }) => {
      if (!has(each)) return;
      const { config, clear } = each;
      const own = lines.filter((line) => line.spi === config.spi);
      const { oseqHi = 0, oseq = 0 } = config.sequence ?? {};
      const first = BigInt(oseqHi) * WORD + BigInt(oseq) + 1n;
      // Without an ICV nothing tells the high half.
      const known = (seq: bigint) => (config.keys.suite.icvLen > 0 ? seq : seq % WORD);
      expect(own.map(({ verdict, seq, inner }) => ({ verdict, seq: known(BigInt(seq!)), inner }))).toEqual(
        clear.map((packet, i) => ({ verdict: 'ok', seq: known(first + BigInt(i)), inner: toHex(packet) })),
      );
      // The other kernel thinks so, too. Its sockets get IPv6 without the header.
      const taken = clear.map((packet) => [toHex(packet, packet[0]! >>> 4 === 6 ? ipv6.HEADER_LEN : 0)]);
      expect(sent.get(each)!().map((seen) => seen.taken)).toEqual(taken);
    });
  });

  // Linux makes the IV of these suites as esplane does: from the number, and a salt drawn once for each SA.
  describe('seals the bytes that esplane seals, outer header and all', () => {
    const counted = SENT.filter(({ config }) => config.keys.suite.saltLen > 0);

    it.each(counted.map((each) => ({ ...each, each })))('$name', ({ each }) => {
      if (!has(each)) return;
      const { config, clear } = each;
      const wire = sent.get(each)!().map((seen) => seen.wire);
      const { oseqHi: hi = 0, oseq: lo = 0 } = config.sequence ?? {};
      const sender = new TunnelEnd(config, fullEngine(), {
        random: seededBytes(1),
        startAfter: { hi, lo },
        ivSalt: saltOf(hex(wire[0]![0]!), hi, lo + 1),
      });
      const ours = clear.map((packet) => {
        const outcome = sender.encapsulate(packet);
        return outcome.verdict === 'ok' ? [toHex(outcome.packet)] : outcome;
      });
      expect(ours).toEqual(wire);
    });
  });

  describe('stops sending when esplane does', () => {
    it.each([...ENDING, ...UNFIT].map((each) => ({ ...each, each })))('$name', ({ each }) => {
      const { oseqHi: hi = 0, oseq: lo = 0 } = each.config.sequence ?? {};
      const sender = new TunnelEnd(each.config, fullEngine(), {
        random: seededBytes(1),
        startAfter: { hi, lo },
      });
      const ours = each.clear.map((packet) => {
        const outcome = sender.encapsulate(packet);
        return outcome.verdict === 'ok' ? {} : { [outcome.counter!]: 1 };
      });
      expect(ours).toEqual(sent.get(each)!().map((seen) => seen.sender));
    });
  });

  describe('chooses the policy that esplane chooses', () => {
    it.each(POLICIES.map((prefixes, i) => ({ prefixes, i })))('$prefixes', ({ prefixes, i }) => {
      const spd = new Spd();
      for (const [k, to] of prefixes.entries()) {
        const { spi, reqid } = CHOICE[k]!;
        const selector = { src: parsePrefix('0.0.0.0/0')!, dst: parsePrefix(to)! };
        const templates = [{ spi, reqid, mode: 'tunnel', level: 'required' } as const];
        spd.set({ dir: 'out', selector, action: 'allow', priority: 7, templates });
      }
      const packet = ipv4Packet(60, { protocol: PROTOCOL, dst: address('10.2.0.1') });
      const [wire = ''] = chosen[i]!()[0]!.wire;
      expect(spd.lookup('out', packet, 0, 0)?.templates[0]?.spi).toBe(u32(hex(wire), ipv4.HEADER_LEN));
    });
  });
});
