/** Every byte of every packet is explained once: over real frames, and over what is made of them by cutting and changing. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededBytes } from '../../../src/base/rng.ts';
import { NodeEngine } from '../../../src/crypto/node.ts';
import { explainBytes } from '../../../src/inspect/explain/explain.ts';
import { type Field, untiled, walkFields } from '../../../src/inspect/explain/tree.ts';
import * as linkType from '../../../src/wire/link-type.ts';
import { captureFiles, explainerWith, framesOf } from '../../support/explain.ts';
import { needs, shared } from '../../support/needs.ts';
import { runs, sample } from '../../support/sample.ts';

const RUNS = runs(200);

/** One field, by hand: for trees that do not tile. */
function field(given: Partial<Field>): Field {
  return {
    id: 'x',
    label: '',
    at: 0,
    end: 1,
    value: null,
    text: '',
    meaning: '',
    reference: '',
    protection: 'none',
    children: [],
    ...given,
  };
}

describe('the check itself', () => {
  const packet = (...layers: Field[]) => ({ origin: 'frame' as const, bytes: '0011', layers });

  it.each([
    ['a gap at the end', [field({ end: 1 })]],
    ['a gap between', [field({ end: 0 }), field({ at: 1, end: 2 })]],
    ['an overlap', [field({ end: 2 }), field({ at: 1, end: 2 })]],
    ['too many bytes', [field({ end: 3 })]],
    ['children that leave bytes out', [field({ end: 2, children: [field({ end: 1 })] })]],
    ['bits that leave bits out', [field({ end: 2, children: [field({ end: 2, bits: [8, 8] })] })]],
    [
      'bits that overlap',
      [field({ end: 2, children: [field({ end: 2, bits: [8, 8] }), field({ end: 2, bits: [0, 9] })] })],
    ],
    ['a packet inside that does not tile', [field({ end: 2, inner: packet() })]],
  ])('finds %s', (_, layers) => {
    expect(untiled(packet(...layers))).toBeTypeOf('string');
  });

  it('takes bytes, and bits of bytes', () => {
    const bits = [field({ end: 2, bits: [12, 4] }), field({ end: 2, bits: [0, 12] })];
    expect(untiled(packet(field({ end: 2, children: bits })))).toBeUndefined();
  });
});

needs([shared('captures')], 'frames of a Linux kernel, tiled', () => {
  const files = captureFiles();

  it('are all here', () => {
    expect(files.length).toBeGreaterThanOrEqual(39);
  });

  it.each(sample(files, 4))('%s', async (file) => {
    const state = `${dirname(file)}/n2.xfrm_state.txt`;
    const explainer = await explainerWith(existsSync(state) ? { xfrmState: [state] } : undefined);
    const frames = framesOf(file);
    expect(frames.length).toBeGreaterThan(0);
    for (const { bytes, info } of frames) {
      const explanation = explainer.explain(bytes, 0, bytes.length, info);
      expect(untiled(explanation.packet), `frame ${info.number}`).toBeUndefined();
      for (const { field: each } of walkFields(explanation.packet)) {
        expect(each.label, each.id).not.toBe('');
        expect(each.meaning, each.id).not.toBe('');
      }
    }
  });

  // A sample of every kind; the many frames that look alike would only take time.
  const seeds = files.flatMap((file) => {
    const frames = framesOf(file);
    const step = Math.max(1, Math.floor(frames.length / 8));
    return frames.filter((_, i) => i % step === 0);
  });
  const mutated = fc
    .tuple(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 6 }),
      fc.option(fc.nat(300)),
      fc.uint8Array({ maxLength: 12 }),
    )
    .map(([{ bytes }, changes, cut, tail]) => {
      const b = new Uint8Array([...bytes.subarray(0, cut ?? bytes.length), ...tail]);
      for (const [at, value] of changes) if (at < b.length) b[at] = value;
      return b;
    });
  const types = fc.constantFrom(
    linkType.LINK_ETHERNET,
    linkType.LINK_ETHERNET,
    linkType.LINK_ETHERNET,
    linkType.LINK_RAW,
    linkType.LINK_NULL,
    linkType.LINK_LINUX_SLL,
    linkType.LINK_LINUX_SLL2,
    4711,
  );

  it('so are frames that were cut and changed', () => {
    const options = { source: 'test', engine: new NodeEngine(), random: seededBytes(1) };
    fc.assert(
      fc.property(mutated, types, fc.nat(20), (bytes, type, skip) => {
        const b = type === linkType.LINK_RAW ? bytes.subarray(Math.min(14, bytes.length)) : bytes;
        const from = type === linkType.LINK_ETHERNET ? b : b.subarray(Math.min(skip, b.length));
        const explanation = explainBytes(from, type, options);
        expect(untiled(explanation.packet)).toBeUndefined();
        expect(explanation.packet.bytes.length).toBe(2 * from.length);
        expect(JSON.parse(JSON.stringify(explanation))).toEqual(explanation);
      }),
      { numRuns: Math.ceil(RUNS / 2) },
    );
  });

  it('so are they with SAs, one after the other through the same windows', async () => {
    const folder = dirname(files.find((file) => file.includes('/crafted-esn/'))!);
    const frames = framesOf(`${folder}/wire.pcap`);
    const explainer = await explainerWith({ xfrmState: [`${folder}/n2.xfrm_state.txt`] });
    fc.assert(
      fc.property(
        fc.constantFrom(...frames),
        fc.option(fc.tuple(fc.nat(120), fc.nat(255))),
        fc.option(fc.nat(150)),
        ({ bytes, info }, change, cut) => {
          const b = bytes.slice(0, cut ?? bytes.length);
          if (change && change[0] < b.length) b[change[0]] = change[1];
          const explanation = explainer.explain(b, 0, b.length, info);
          expect(untiled(explanation.packet)).toBeUndefined();
        },
      ),
      { numRuns: Math.ceil(RUNS / 4) },
    );
  });
});
