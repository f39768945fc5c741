/**
 * What the benchmarks were to show, beside what their saved results say.
 * @module
 */

/** Rows `{ what, goal, seen, met }` of a table. @param read the rows of `bench/results/NAME.json`, by name */
export function goals(read) {
  const codec = (engine, op, size, sas = 1) =>
    read('codec').find(
      (r) =>
        (r.engine === engine || (engine === 'DPDK' && r.engine.startsWith('DPDK '))) &&
        r.op === op &&
        r.size === size &&
        r.batch === 64 &&
        r.sas === sas,
    )?.ratio;
  const of = (bench, name, what) => read(bench).find((r) => r.contender === name && r.what === what)?.ratio;
  const tunnel = (name, what = 'tcp1') => of('tunnel', name, what);
  const toWireGuard = (what) => tunnel('esplane udp', what) / tunnel('wireguard-go', what);
  const best = Math.max(...['raw', 'packet'].map((link) => tunnel(`esplane ${link}`) ?? 0));
  const captures = read('capture').filter((r) => r.contender === 'esplane decrypt -q');
  const cases = [
    ['ipsec-mb', 64, 1, 1.4, 2.45],
    ['ipsec-mb', 1400, 1, 1.15, 1.32],
    ['ipsec-mb', 64, 4096, 2.6, 5],
    ['openssl', 1400, 1, 1.08, 1.15],
  ];
  const rows = [
    ...cases.flatMap(([engine, size, sas, seal, open]) => {
      const what = `bare cipher, ${engine}, ${size} bytes, ${sas === 1 ? '1 SA' : `${sas} SAs`}`;
      return [
        most(`seal / ${what}`, codec(engine, 'seal', size, sas), seal),
        most(`open / ${what}`, codec(engine, 'open', size, sas), open),
      ];
    }),
    ...['seal', 'open'].flatMap((op) => [
      most(
        `${op}, 64 bytes, 1 SA: ratio of esplane / ratio of DPDK rte_ipsec`,
        codec('ipsec-mb', op, 64) / codec('DPDK', op, 64),
        1,
      ),
      most(
        `${op}, 64 bytes, 4096 SAs: ratio of esplane / ratio of DPDK rte_ipsec`,
        codec('ipsec-mb', op, 64, 4096) / codec('DPDK', op, 64, 4096),
        0.5,
      ),
    ]),
    least('tunnel: esplane udp / clear veth', tunnel('esplane udp'), 0.4),
    least('tunnel: better of esplane raw and packet / clear veth', best, 0.16),
    least('tunnel: esplane udp / wireguard-go, 1 stream', toWireGuard('tcp1'), 2.3),
    least('tunnel: esplane udp / wireguard-go, 4 streams', toWireGuard('tcp4'), 2.3),
    least('tunnel: esplane udp / wireguard-go, UDP of 64 bytes', toWireGuard('udp64'), 3.1),
    least('tunnel: esplane udp / wireguard-go, UDP of 64 bytes by GSO', toWireGuard('udp64gso'), 1.2),
    least('xfrm: esplane udp / kernel xfrm', of('xfrm', 'esplane udp', 'tcp1'), 2.1),
    least('capture: esplane decrypt / tshark', captures.at(-1)?.ratio, 20),
  ];
  for (const { node, minutes, bytesPerPacket, collections, rssEarlyMiB, rssLateMiB, ok } of read('steady'))
    rows.push({
      what: `steady: ${node}, ${minutes} minutes under load`,
      goal: 'no allocation per packet, memory flat',
      seen: `${bytesPerPacket} bytes a packet, ${collections} collections, ${rssEarlyMiB} -> ${rssLateMiB} MiB`,
      met: ok,
    });
  return rows;
}

/** The table in Markdown. */
export function goalsTable(read) {
  return [
    '| what | goal | seen | |',
    '|---|---|---|---|',
    ...goals(read).map(
      ({ what, goal, seen, met }) =>
        `| ${what} | ${goal} | ${seen} | ${met === undefined ? '' : met ? 'met' : '**missed**'} |`,
    ),
  ];
}

const most = (what, ratio, goal) => row(what, ratio, `≤ ${goal}`, ratio <= goal);
const least = (what, ratio, goal) => row(what, ratio, `≥ ${goal}`, ratio >= goal);

function row(what, ratio, goal, met) {
  if (!Number.isFinite(ratio) || ratio === 0) return { what, goal, seen: 'not measured', met: undefined };
  return { what, goal, seen: String(Number(ratio.toPrecision(3))), met };
}
