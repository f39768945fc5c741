/**
 * `npm run bench -- sim`: a simulated cluster of 100 nodes, each with an agent and SAs for all others, under steady traffic:
 * how fast it comes up, and packets a second of real time. The yardstick is a pair of tunnel ends with the same engine
 * that carries packets of the same size one at a time: what is left is links, agents, hosts, books and virtual time.
 * @module
 */
import { NodeEngine } from '../dist/crypto/node.js';
import { TunnelEnd } from '../dist/ipsec/tunnel-end.js';
import { Cluster } from '../dist/sim/cluster.js';
import { reportOf } from '../dist/sim/report.js';
import { parseScenario } from '../dist/sim/scenario.js';
import { captureSa, innerPacket } from './lib/esp-capture.mjs';
import { median } from './lib/machine.mjs';

const SIZE = 200;
const NODES = 100;
const ROUNDS = 5;

export async function sim({ quick = false, log }) {
  const nodes = quick ? 20 : NODES;
  const seconds = quick ? 1 : 4;
  const text = `duration: ${seconds}s
nodes: ${nodes}
traffic: [{ kind: udp, pairs: ${nodes}, every: 20ms, size: ${SIZE - 28} }]
`;
  const rounds = [];
  for (let round = 0; round < (quick ? 1 : ROUNDS); round++) {
    const yardstick = carry(quick ? 2000 : 10_000);
    rounds.push({ ...run(text), yardstick });
    log(`  round ${round + 1}: ${Math.round(rounds.at(-1).packetsPerSecond)} packets/s`);
  }
  const [{ packets, sas }] = rounds;
  const of = (figure) => rounds.map(figure);
  const upSeconds = median(of((round) => round.upSeconds));
  const rates = of((round) => round.packetsPerSecond);
  return [
    {
      bench: 'sim',
      case: `${nodes} nodes come up`,
      seconds: Number(upSeconds.toFixed(3)),
      sas,
      sasPerSecond: Math.round(sas / upSeconds),
    },
    {
      bench: 'sim',
      case: 'two tunnel ends, one packet at a time',
      packetsPerSecond: Math.round(median(of(({ yardstick }) => yardstick))),
      ratio: 1,
    },
    {
      bench: 'sim',
      case: `${nodes} nodes, ${nodes} flows of ${SIZE} bytes`,
      packets,
      packetsPerSecond: Math.round(median(rates)),
      min: Math.round(Math.min(...rates)),
      max: Math.round(Math.max(...rates)),
      ratio: Number(median(of((round) => round.packetsPerSecond / round.yardstick)).toFixed(3)),
      ok: rounds.every(({ isWhole }) => isWhole),
    },
  ];
}

/** One whole run. */
function run(text) {
  const start = performance.now();
  const cluster = new Cluster({ scenario: parseScenario(text, 'bench'), engine: new NodeEngine() });
  let sas = 0;
  for (const { node } of cluster.members) sas += node.sad.size;
  const up = performance.now();
  cluster.runTo(cluster.end);
  const end = performance.now();
  const { accounted, totals } = reportOf(cluster);
  return {
    upSeconds: (up - start) / 1000,
    sas,
    packets: totals.sent,
    packetsPerSecond: (totals.sent * 1000) / (end - up),
    isWhole: accounted && totals.dropped === 0 && totals.sent > 0 && totals.delivered === totals.encrypted,
  };
}

/** Packets a second from one tunnel end to the other. */
function carry(packets) {
  const random = (out) => out.fill(7);
  const ends = [0, 1].map(() => new TunnelEnd(captureSa(), new NodeEngine(), { random }));
  const packet = innerPacket(SIZE);
  const start = performance.now();
  for (let i = 0; i < packets; i++) {
    const sealed = ends[0].encapsulate(packet);
    if (ends[1].decapsulate(sealed.packet).verdict !== 'ok') throw new Error('the yardstick lost a packet');
  }
  return (packets * 1000) / (performance.now() - start);
}
