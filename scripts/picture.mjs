/**
 * Draws the race of tunnels: one bar a contender, one TCP stream, with the least and the most of its rounds.
 * @module
 */

const WIDTH = 788;
const LABEL = 248;
const FIGURES = 190;
const BAR = { height: 20, gap: 12 };
const TOP = 58;
const BOTTOM = 44;
const SCALE = WIDTH - LABEL - FIGURES;

const KINDS = [
  { of: /^clear/, kind: 'clear' },
  { of: /no cipher/, kind: 'null' },
  { of: /^esplane/, kind: 'own' },
  { of: /./, kind: 'peer' },
];

// An <img> has its own style sheet, and follows the reader's colour scheme by itself.
const STYLE = `
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 15px; }
  .small { font-size: 12px; fill: #59636e; }
  .own { fill: #1a7f37; } .null { fill: #9bd3a8; } .peer { fill: #bc4c00; } .clear { fill: #818b98; }
  .axis { stroke: #d1d9e0; } .spread { stroke: #1f2328; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .small { fill: #9198a1; }
    .own { fill: #3fb950; } .null { fill: #23633a; } .peer { fill: #f0883e; } .clear { fill: #656c76; }
    .axis { stroke: #3d444d; } .spread { stroke: #f0f6fc; }
  }
`;

/** @param results `bench/results/tunnel.json` @returns an SVG document */
export function tunnelPicture({ machine, rows }) {
  const tcp = rows.filter(({ what }) => what === 'tcp1');
  const missing = rows.filter(({ error }) => error).map(({ contender }) => contender);
  const most = Math.max(...tcp.map(({ max }) => max));
  const x = (gbps) => Number((LABEL + (gbps / most) * SCALE).toFixed(1));
  const height = TOP + tcp.length * (BAR.height + BAR.gap) + BOTTOM;
  const bars = tcp.map((row, k) => bar(row, TOP + k * (BAR.height + BAR.gap), x));
  const below = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, ${machine.date}; thin lines: least and most of the rounds`,
    ...(missing.length > 0 ? [`not here: ${missing.join(', ')}`] : []),
  ];
  const list = tcp.map(({ contender, gbps, ratio }) => `${contender} ${gbps} Gbit/s (${ratio})`).join('; ');
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title desc">
<title id="title">Tunnels between two namespaces, one TCP stream</title>
<desc id="desc">${escapeXml(list)}</desc>
<style>${STYLE}</style>
<text x="12" y="24" class="title">Tunnels between two namespaces, one TCP stream</text>
<text x="12" y="43" class="small">Gbit/s, and in brackets the ratio to the bare veth pair of the same round</text>
<line class="axis" x1="${LABEL}" y1="${TOP - 6}" x2="${LABEL}" y2="${height - BOTTOM}"/>
${bars.join('\n')}
${below.map((line, k) => `<text x="12" y="${height - BOTTOM + 18 + k * 17}" class="small">${escapeXml(line)}</text>`).join('\n')}
</svg>
`;
}

function bar({ contender, gbps, min, max, ratio }, y, x) {
  const { kind } = KINDS.find(({ of }) => of.test(contender));
  const middle = y + BAR.height / 2;
  const base = y + 15;
  return [
    `<text x="${LABEL - 10}" y="${base}" text-anchor="end">${escapeXml(contender)}</text>`,
    `<rect class="${kind}" x="${LABEL}" y="${y}" width="${Math.max(1, x(gbps) - LABEL).toFixed(1)}" height="${BAR.height}" rx="2"/>`,
    `<line class="spread" x1="${x(min)}" y1="${middle}" x2="${x(max)}" y2="${middle}"/>`,
    `<text x="${x(max) + 8}" y="${base}">${figure(gbps)} (${figure(ratio)})</text>`,
  ].join('');
}

/** Two digits that count. */
function figure(value) {
  return value >= 10 ? value.toFixed(1) : String(Number(value.toPrecision(2)));
}

function escapeXml(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
