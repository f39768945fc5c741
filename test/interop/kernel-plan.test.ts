/**
 * What `esplane sas --node` prints for every mode and release, loaded into a Linux kernel: it takes all of it, says back
 * what was planned, encrypts what bears a planned mark to the very bytes that esplane makes, and blocks what bears the
 * mark of no peer. What `esplane xfrm --commands` makes of its text sets up the same in another kernel.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/base/bytes.ts';
import { seededBytes } from '../../src/base/rng.ts';
import { type AgentPlan, planAgent } from '../../src/cilium/agent-plan.ts';
import type { RoutingMode } from '../../src/cilium/tunnel.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import type { Policy } from '../../src/ipsec/spd.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { readPolicies } from '../../src/sa-text/to-policy.ts';
import { parseXfrmState } from '../../src/sa-text/xfrm-sas.ts';
import { formatAddress, formatPrefix, type Prefix } from '../../src/wire/address.ts';
import { GCM, keysFrom, nodesFrom } from '../support/cilium-cluster.ts';
import { esplane, tempFolder } from '../support/cli.ts';
import { KERNEL_NEEDS, KernelPlan } from '../support/kernel.ts';
import { FAR, NEAR, PROTOCOL, saltOf } from '../support/kernel-network.ts';
import { needs } from '../support/needs.ts';
import { address, ipv4Packet, ipv6Packet } from '../support/sa.ts';
import { podNode } from '../support/two-nodes.ts';

interface Case {
  readonly name: string;
  readonly version: string;
  readonly mode: RoutingMode;
  /** The text of the keys file. */
  readonly keys: string;
  /** States and policies for two peers, of both families: docs/cilium.md, "States" and "Policies". */
  readonly states: number;
  readonly policies: number;
}

const NEXT = GCM.replace('4443', '5554');
// Shared policies: block, fwd, and one in; to 1.16 two in.
const CASES: readonly Case[] = [
  { name: 'native', version: '1.18', mode: 'native', keys: `3+ ${GCM}`, states: 8, policies: 10 },
  {
    name: 'native, two keys',
    version: '1.18',
    mode: 'native',
    keys: `15+ ${GCM}\n1+ ${NEXT}`,
    states: 16,
    policies: 14,
  },
  { name: 'VXLAN in ESP', version: '1.18', mode: 'tunnel', keys: `3+ ${GCM}`, states: 16, policies: 14 },
  { name: 'ESP in VXLAN', version: '1.17', mode: 'tunnel', keys: `3+ ${GCM}`, states: 8, policies: 10 },
  { name: 'ENI and Azure', version: '1.18', mode: 'eni', keys: `3+ ${GCM}`, states: 12, policies: 10 },
  {
    name: 'native, per-tunnel keys of 1.16',
    version: '1.16',
    mode: 'native',
    keys: `3+ ${GCM}`,
    states: 8,
    policies: 12,
  },
  {
    name: 'native, one key for all of 1.16',
    version: '1.16',
    mode: 'native',
    keys: `3 ${GCM}`,
    states: 8,
    policies: 12,
  },
  // One state in a family for all peers.
  { name: 'native of 1.14', version: '1.14.0', mode: 'native', keys: `3 ${GCM}`, states: 6, policies: 12 },
];

const OBJECTS = [1, 2, 3].map((i) => podNode(i));
const NODES = nodesFrom(...OBJECTS);
const IDS = new Map([
  ['node-2', 0xcb9],
  ['node-3', 0xffff],
]);
/** Key 3 for a peer with an id that no node has. */
const STRANGER = 0x0001_3e00;

/** An SA as the kernel keeps it. */
const kept = ({ src, dst, spi, mode, keys, esn, replayWindow, reqid, mark, outputMark, ...rest }: SaConfig) =>
  JSON.stringify({
    ends: `${formatAddress(src)} ${formatAddress(dst)} ${spi} ${mode}`,
    suite: keys.suite.name,
    icvLen: keys.suite.icvLen,
    key: toHex(keys.key()) + toHex(keys.salt()),
    more: [esn, replayWindow, reqid, mark, outputMark, rest.flags, rest.lifetime ?? {}],
    selector: rest.selector && [formatPrefix(rest.selector.src), formatPrefix(rest.selector.dst)],
  });

/** A policy of either kind. */
const policyLine = (
  policy: Omit<Policy, 'templates' | 'selector'> & { src: Prefix; dst: Prefix; tmpl: string[] },
) =>
  JSON.stringify([
    policy.dir,
    formatPrefix(policy.src),
    formatPrefix(policy.dst),
    policy.action,
    policy.priority,
    policy.mark ?? null,
    policy.tmpl,
  ]);

function planned({ selector, templates, ...policy }: Policy): string {
  const any = new Uint8Array(selector.dst.address.length);
  const tmpl = templates.map(({ src = any, dst = any, spi = 0, reqid = 0, mode, level }) =>
    [formatAddress(src), formatAddress(dst), spi, reqid, mode, level].join(' '),
  );
  return policyLine({ ...policy, ...selector, tmpl });
}

function said(text: string): string[] {
  return readPolicies(text, 'kernel')
    .policies.map(({ direction, selector, templates, ...policy }) => {
      const tmpl = templates.map(({ src, dst, spi = 0, reqid, mode, optional }) =>
        [formatAddress(src), formatAddress(dst), spi, reqid, mode, optional ? 'use' : 'required'].join(' '),
      );
      return policyLine({ ...policy, ...selector, dir: direction, tmpl });
    })
    .sort();
}

/** A packet that a policy selects. */
function packetFor({ selector: { src, dst } }: Policy): Uint8Array {
  const own = (pod: string) => (src.bits === src.address.length * 8 ? src.address : address(pod));
  const to = dst.address.slice();
  if (dst.bits < to.length * 8) to[to.length - 1] = 20;
  if (dst.bits === 0) to[0] = to.length === 4 ? 10 : 0xfd;
  return to.length === 4
    ? ipv4Packet(84, { protocol: PROTOCOL, src: own('10.244.1.1'), dst: to })
    : ipv6Packet(84, { nextHeader: PROTOCOL, src: own('fd00:10:244:1::1'), dst: to });
}

needs(KERNEL_NEEDS, 'planned states and policies in a kernel', () => {
  const folder = tempFolder();
  const first = new KernelPlan();
  const second = new KernelPlan();
  const lines = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => line.replace(/^ip /, ''));

  /** One case in the first kernel. */
  const runs = CASES.map((one, i) => {
    const version = parseVersion(one.version);
    const plan: AgentPlan = planAgent(NODES[0]!, keysFrom(one.keys, one.version), NODES, IDS, {
      version,
      mode: one.mode,
    });
    const keysFile = join(folder, `keys-${i}`);
    const nodesFile = join(folder, 'nodes.json');
    writeFileSync(keysFile, `${one.keys}\n`);
    writeFileSync(nodesFile, JSON.stringify(OBJECTS));
    const { stdout, stderr, code } = esplane([
      ...['sas', '--keys', keysFile, '--nodes', nodesFile, '--node', 'node-1', '--cilium', one.version],
      ...['--mode', one.mode, '--node-id', 'node-2=0xcb9', '--node-id', 'node-3=0xffff'],
      ...['--format', 'ip-xfrm', '--policies', '--show-keys'],
    ]);
    if (code !== 0) throw new Error(stderr);
    // The guest has no cilium_host, which the routes lead to.
    return { one, plan, text: stdout.replace(/^(?!ip xfrm ).*\n/gm, '') };
  });

  const OWN = ['10.244.1.1/32', '192.168.7.1/32', 'fd00:10:244:1::1/128', 'fd07::1/128'];
  first.setUp('near', NEAR);
  first.setUp('far', [
    ...FAR,
    ...OWN.map((own) => `addr add ${own} dev lo${own.includes(':') ? ' nodad' : ''}`),
  ]);
  const asked = runs.map(({ plan, text }) => {
    first.setUp('far', lines(text));
    const outbound = plan.policies.filter(({ dir, action }) => dir === 'out' && action === 'allow');
    const answers = {
      states: first.show('far', '-s xfrm state'),
      policies: first.show('far', 'xfrm policy'),
      sent: outbound.map((policy) => {
        const packet = packetFor(policy);
        return { policy, packet, seen: first.send([packet], policy.mark!.value) };
      }),
      stranger: first.send([packetFor(outbound[0]!)], STRANGER),
      unmarked: first.send([packetFor(outbound[0]!)]),
    };
    first.setUp('far', ['xfrm state flush', 'xfrm policy flush']);
    return answers;
  });
  let copies: (() => string)[][] = [];

  beforeAll(async () => {
    await first.run(120_000);
    copies = asked.map(({ states, policies }, i) => {
      const file = join(folder, `kernel-${i}`);
      writeFileSync(file, states() + policies());
      const { code, stdout, stderr } = esplane(['xfrm', '--commands', '--show-keys', file]);
      expect([code, stderr]).toEqual([0, '']);
      second.setUp('near', lines(stdout));
      const shown = [second.show('near', '-s xfrm state'), second.show('near', 'xfrm policy')];
      second.setUp('near', ['xfrm state flush', 'xfrm policy flush']);
      return shown;
    });
    await second.run(60_000);
  }, 200_000);

  describe.each(CASES.map((one, i) => ({ ...one, i })))('$name, $version', ({ i, states, policies }) => {
    it('are taken, and said back', () => {
      const { plan } = runs[i]!;
      const read = parseXfrmState(asked[i]!.states(), 'kernel');
      expect(read).toHaveLength(states);
      expect(read.map(kept).sort()).toEqual(plan.sas.map(kept).sort());
      expect(said(asked[i]!.policies())).toEqual(plan.policies.map(planned).sort());
      expect(plan.policies).toHaveLength(policies);
    });

    it('encrypt what bears a mark, to the bytes that esplane makes', () => {
      const { plan } = runs[i]!;
      const senders = new Map<SaConfig, TunnelEnd>();
      expect(asked[i]!.sent.length).toBeGreaterThan(3);
      for (const { policy, packet, seen } of asked[i]!.sent) {
        const [template] = policy.templates;
        const sa = plan.sas.find(
          ({ direction, src, dst, spi }) =>
            direction === 'out' &&
            spi === template!.spi &&
            toHex(src) === toHex(template!.src!) &&
            toHex(dst) === toHex(template!.dst!),
        )!;
        const { wire, sender } = seen()[0]!;
        expect([wire.length, sender]).toEqual([1, {}]);
        if (!senders.has(sa)) {
          const ivSalt = saltOf(hex(wire[0]!), 0, 1);
          senders.set(sa, new TunnelEnd(sa, new NodeEngine(), { random: seededBytes(1), ivSalt }));
        }
        const ours = senders.get(sa)!.encapsulate(packet);
        expect(ours.verdict === 'ok' ? toHex(ours.packet) : ours).toBe(wire[0]);
      }
    });

    it('block the mark of no peer, and let pass what has none', () => {
      expect(asked[i]!.stranger()).toMatchObject([{ wire: [], inner: [], sender: { XfrmOutPolBlock: 1 } }]);
      const [passed] = asked[i]!.unmarked();
      expect([passed!.wire, passed!.inner.length, passed!.sender]).toEqual([[], 1, {}]);
    });

    it('are copied by `esplane xfrm --commands`', () => {
      const [copied, copiedPolicies] = copies[i]!.map((text) => text());
      const { plan } = runs[i]!;
      expect(parseXfrmState(copied!, 'copy').map(kept).sort()).toEqual(plan.sas.map(kept).sort());
      expect(said(copiedPolicies!)).toEqual(plan.policies.map(planned).sort());
    });
  });
});
