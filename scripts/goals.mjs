/**
 * What the benchmarks were to show, beside what their saved results say.
 * @module
 */

/** Rows `{ what, goal, seen, met }` of a table. @param read the rows of `bench/results/NAME.json`, by name */
export function goals(read) {
  const codec = (engine, op, size) =>
    read('codec').find(
      (r) => r.engine === engine && r.op === op && r.size === size && r.batch === 64 && r.sas === 1,
    )?.ratio;
  const tcp = (bench, name) => read(bench).find((r) => r.contender === name && r.what === 'tcp1')?.ratio;
  const tunnel = (name) => tcp('tunnel', name);
  const best = Math.max(...['raw', 'packet'].map((link) => tunnel(`esplane ${link}`) ?? 0));
  const captures = read('capture').filter((r) => r.contender === 'esplane decrypt -q');
  const rows = [
    most('seal / bare cipher, ipsec-mb, 1400 bytes', codec('ipsec-mb', 'seal', 1400), 1.25),
    most('seal / bare cipher, ipsec-mb, 64 bytes', codec('ipsec-mb', 'seal', 64), 1.6),
    most('open / bare cipher, ipsec-mb, 1400 bytes', codec('ipsec-mb', 'open', 1400), 1.4),
    most('open / bare cipher, ipsec-mb, 64 bytes', codec('ipsec-mb', 'open', 64), 1.9),
    most('seal / bare cipher, OpenSSL, 1400 bytes', codec('openssl', 'seal', 1400), 1.15),
    least('tunnel: esplane udp / clear veth', tunnel('esplane udp'), 0.4),
    least('tunnel: better of esplane raw and packet / clear veth', best, 0.16),
    least('tunnel: esplane udp / wireguard-go', tunnel('esplane udp') / tunnel('wireguard-go'), 10),
    least(
      'tunnel: esplane udp / strongSwan libipsec with generic AES, as the goal was set',
      tunnel('esplane udp') / tunnel('strongSwan libipsec, generic AES'),
      100,
    ),
    least(
      'tunnel: esplane udp / strongSwan libipsec with AES-NI',
      tunnel('esplane udp') / tunnel('strongSwan libipsec'),
      100,
    ),
    least('xfrm: esplane udp / kernel xfrm', tcp('xfrm', 'esplane udp'), 1.5),
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
