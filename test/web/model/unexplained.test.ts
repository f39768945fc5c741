/**
 * What ends the build of the page.
 */
import { build } from 'vite';
import { describe, expect, it } from 'vitest';
import { webCheck } from '../../../scripts/web-check.ts';
import { webPackets } from '../../../scripts/web-packets.ts';
import type { Field, Packet } from '../../../src/inspect/explain/tree.ts';
import { unexplainedIn, unexplainedOn } from '../../../src/web/model/unexplained.ts';
import { takeWay } from '../../../src/web/model/way.ts';
import { PACKETS } from '../../../src/web/packets/packets.ts';
import { explainPacket } from '../../../src/web/packets/page-packet.ts';
import { type PacketChoice, SELECTION } from '../../../src/web/packets/selection.ts';

const { packet } = explainPacket(PACKETS[0]!);

/** The packet with one field changed, also where it is inside ESP. */
function withField({ layers, ...rest }: Packet, id: string, change: Partial<Field>): Packet {
  const changed = (field: Field): Field => ({
    ...field,
    ...(field.inner && { inner: withField(field.inner, id, change) }),
    children: field.children.map(changed),
    ...(field.id === id && change),
  });
  return { ...rest, layers: layers.map(changed) };
}

describe('a packet', () => {
  it.each([
    ['esp.seq', { meaning: '' }, /esp\.seq has no text/],
    ['esp.seq', { meaning: 'Counts undefined.' }, /esp\.seq has a slip/],
    ['esp.seq', { label: '' }, /esp\.seq has no name/],
    ['esp.seq', { reference: '' }, /esp\.seq does not say where to read on/],
    ['esp.seq', { end: 41 }, /esp\.iv starts at 42, not 41/],
    ['icmp.type', { meaning: '' }, /icmp\.type has no text/],
  ] as const)('%s with %j', (id, change, problem) => {
    const problems = unexplainedIn(withField(packet, id, change));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(problem);
  });
});

describe('a way', () => {
  const way = takeWay({ mode: 'native', family: 4, esn: true });
  const [step, ...others] = way.steps;

  it.each([
    [{ why: '' }, /step send has no sentence/],
    [{ references: [] }, /step send does not say where to read on/],
    [{ facts: [{ label: 'From', value: '' }] }, /step send has half a fact/],
    [{ after: { ...step!.after, parts: step!.after.parts.slice(1) } }, /step send has .* where 0 is next/],
    [
      { after: { ...step!.after, parts: step!.after.parts.slice(0, -1) } },
      /step send explains \d+ of \d+ bytes/,
    ],
  ])('with %#', (change, problem) => {
    const problems = unexplainedOn({ ...way, steps: [{ ...step!, ...change }, ...others] });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(problem);
  });
});

describe('a build', () => {
  const builds = (choices: readonly PacketChoice[]) =>
    build({
      configFile: false,
      logLevel: 'silent',
      plugins: [webCheck(choices), webPackets()],
      build: { write: false, rolldownOptions: { input: 'virtual:esplane-packets' } },
    });

  it('ends where a packet is not opened', async () => {
    const isGlobal = ({ id }: PacketChoice) => id === 'global-key';
    const choice = { ...SELECTION.find(isGlobal)!, cilium: '1.18' }; // from 1.17 on no key is global
    await expect(builds([choice])).rejects.toThrow(
      /global-key, frame 9 of linux-6\.1\/global-key-v4: ESP is not opened: Keys differ/,
    );
  });

  it('ends where a frame is missing', async () => {
    await expect(builds([{ ...SELECTION[0], frame: 9999 }])).rejects.toThrow(/has no frame 9999/);
  });

  it('goes on with what the page has', async () => {
    await expect(builds(SELECTION)).resolves.toBeDefined();
  });
});
