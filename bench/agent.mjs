/**
 * `npm run bench -- agent`: an agent of a large cluster starts. All keys of all peers are derived, and a node of the
 * data plane holds the SAs, policies and routes. One core, since nothing here is threaded.
 * @module
 */
import { Agent } from '../dist/cilium/agent.js';
import { parseNodes } from '../dist/cilium/nodes.js';
import { NodeEngine } from '../dist/crypto/node.js';
import { memoryPair, VirtualClock } from '../dist/index.js';
import { Node } from '../dist/node/node.js';

/** The goal: 1000 nodes, both families, tunnel mode, in 3 s and 400 MB. */
const NODES = 1000;
const GOAL_SECONDS = 3;
const GOAL_MB = 400;
const KEY = (id, digit) => `${id}+ rfc4106(gcm(aes)) ${digit.repeat(40)} 128`;

export async function agent({ quick, log }) {
  const count = quick ? 100 : NODES;
  const nodes = parseNodes(JSON.stringify(Array.from({ length: count }, (_, i) => clusterNode(i))), 'nodes');
  const random = counter();
  const clock = new VirtualClock(0);
  const { a } = memoryPair(clock, { name: 'up', mtu: 1500 });
  const made = new Agent({ local: nodes[0], mode: 'tunnel', random });
  const node = new Node({
    name: 'node-0',
    plan: made.plan,
    outside: a,
    engine: new NodeEngine(),
    clock,
    random: (out) => {
      for (let i = 0; i < out.length; i++) out[i] = random() & 0xff;
    },
  });
  const rows = [];
  const measure = (what, run) => {
    const start = performance.now();
    run();
    const seconds = (performance.now() - start) / 1000;
    const mb = process.memoryUsage.rss() / 2 ** 20;
    const sas = node.sad.size;
    rows.push({
      bench: 'agent',
      case: `${count} nodes, v4 and v6, tunnel: ${what}`,
      seconds: round(seconds),
      sas,
      sasPerSecond: Math.round(sas / seconds),
      mb: Math.round(mb),
      ok: seconds < GOAL_SECONDS && mb < GOAL_MB,
    });
    log(`  ${what}: ${round(seconds)} s, ${sas} SAs, ${Math.round(mb)} MB`);
  };
  const apply = () => node.applyPlan(made.plan);
  measure('starts', () => {
    made.setNodes(nodes, 0);
    made.loadKeys(KEY(3, '1'), 'keys', 0);
    apply();
  });
  measure('a new key beside the old one', () => {
    made.loadKeys(KEY(4, '2'), 'keys', 1000);
    apply();
  });
  measure('the old key reclaimed', () => {
    made.advance(600_000);
    apply();
  });
  measure('one node was rebooted', () => {
    made.setNode({ ...nodes[7], bootId: '00000000-0000-4000-8000-000000000000' }, 601_000);
    apply();
  });
  return rows;
}

/** Node `i` of the cluster, as a CiliumNode. */
export function clusterNode(i) {
  const hex = i.toString(16);
  const [hi, lo] = [i >> 8, i & 0xff];
  return {
    kind: 'CiliumNode',
    metadata: { name: `node-${i}` },
    spec: {
      addresses: [
        { type: 'InternalIP', ip: `192.168.${hi}.${lo}` },
        { type: 'InternalIP', ip: `fd07::${hex}` },
        { type: 'CiliumInternalIP', ip: `10.${100 + hi}.${lo}.1` },
        { type: 'CiliumInternalIP', ip: `fd00:10:${hex}::1` },
      ],
      bootid: `3f2a6c1e-8d4b-4e57-9a30-${hex.padStart(12, '0')}`,
      encryption: { key: 3 },
      ipam: { podCIDRs: [`10.${100 + hi}.${lo}.0/24`, `fd00:10:${hex}::/64`] },
    },
  };
}

/** Chance that repeats itself. */
export function counter() {
  let x = 1;
  return () => {
    x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0;
    return x >>> 8;
  };
}

function round(seconds) {
  return Math.round(seconds * 1000) / 1000;
}
