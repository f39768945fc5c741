/** Frames of a conformance test, their verdicts, and the folder that holds them. */
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { seededBytes } from '../../src/base/rng.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { parseNodeConfig } from '../../src/cli/node-config.ts';
import { KINDS } from '../../src/conform/catalogue.ts';
import { readVerdicts, verdictLine, writeConform } from '../../src/conform/folder.ts';
import { leastFrames, makeConform } from '../../src/conform/make.ts';
import { TAKEN } from '../../src/conform/rules.ts';
import { conformSettings, type SettingsOptions } from '../../src/conform/settings.ts';
import { throwAwaySuite } from '../../src/conform/throw-away.ts';
import { AEADS, CIPHERS, MACS } from '../../src/crypto/algorithms.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { readPolicies } from '../../src/sa-text/to-policy.ts';
import { parseXfrmState } from '../../src/sa-text/xfrm-sas.ts';
import { address } from '../support/sa.ts';

const GIVEN: SettingsOptions = {
  suite: 'rfc4106(gcm(aes))',
  esn: false,
  mode: 'tunnel',
  udp: false,
  src: address('192.0.2.1'),
  dst: address('192.0.2.2'),
  innerSrc: address('10.244.1.1'),
  innerDst: address('10.244.2.1'),
  seed: 1,
};

const known = new Map<string, ReturnType<typeof makeOne>>();

/** Made once. */
function made(given: Partial<SettingsOptions> = {}): ReturnType<typeof makeOne> {
  const name = JSON.stringify(given);
  const one = known.get(name) ?? makeOne(given);
  known.set(name, one);
  return one;
}

function makeOne(given: Partial<SettingsOptions>, frames?: number) {
  const settings = conformSettings({ ...GIVEN, ...given });
  const { seed = 1 } = given;
  const count = frames ?? leastFrames(settings);
  const options = { ...settings, seed, engine: new NodeEngine(), random: seededBytes(1) };
  return { ...settings, frames: makeConform({ ...options, frames: count }), command: 'esplane conform make' };
}

const text = (files: ReturnType<typeof writeConform>, name: string) => files.get(name) as string;

describe('frames', () => {
  it('are the same for the same seed, and others for another', () => {
    const bytes = (seed: number) => makeOne({ seed }).frames.map(({ packet }) => toHex(packet));
    expect(bytes(1)).toEqual(made().frames.map(({ packet }) => toHex(packet)));
    expect(bytes(8)).not.toEqual(bytes(1));
  });

  it.each([
    ['a tunnel', {}, ['esn', 'udp', 'bare']],
    ['ESN', { esn: true }, ['udp', 'bare']],
    ['transport mode in UDP', { mode: 'transport', udp: true }, ['esn', 'tunnel']],
  ] as const)(
    'have every behaviour that %s can show, and a sentence for each verdict',
    (_, given, lacking) => {
      const { frames } = made(given);
      const expected = Object.entries(KINDS)
        .filter(([, { needs }]) => !(lacking as readonly (string | undefined)[]).includes(needs))
        .map(([name]) => name)
        .filter((name) => name !== 'cut off by the link' && (given as { esn?: true }).esn === true);
      expect([...new Set(frames.map(({ behaviour }) => behaviour))]).toEqual(
        expect.arrayContaining(expected),
      );
      for (const { rule, verdict, reason, behaviour } of frames) {
        expect(rule.sentence.length).toBeGreaterThan(20);
        if (verdict === 'dropped') expect(rule, `${behaviour}: ${reason}`).not.toBe(TAKEN.window);
      }
    },
  );

  it('end with the edge of the numbers', () => {
    const { frames } = made();
    expect(frames.some(({ seq, verdict }) => seq === 2n ** 32n - 1n && verdict === 'accepted')).toBe(true);
    const wide = made({ esn: true }).frames.flatMap(({ seq, verdict }) =>
      verdict === 'accepted' ? [seq!] : [],
    );
    expect(wide.at(-1)! >> 32n > wide[0]! >> 32n).toBe(true);
  });

  it('carry echo requests with names of their own, but for what was sent before', () => {
    const names = made().frames.flatMap(({ echo, answered, behaviour }) =>
      echo && answered && behaviour !== 'replay' ? [`${echo.id} ${echo.seq}`] : [],
    );
    expect(names.length).toBeGreaterThan(60);
    expect(new Set(names).size).toBe(names.length);
  });

  it.each([{ window: 4096 }, { esn: true, window: 128 }])(
    'leave room on both sides of the window in most of the test: %j',
    (given) => {
      const { frames } = made(given);
      const accepted = frames.filter(({ verdict }) => verdict === 'accepted').length;
      expect(accepted).toBeGreaterThan(frames.length / 4);
      const edges = frames.filter(({ behaviour }) => behaviour.startsWith('first ')).slice(0, 2);
      expect(edges.map(({ verdict }) => verdict)).toEqual(['accepted', 'dropped']);
    },
  );

  it('are refused where they cannot be', () => {
    expect(() => makeOne({}, 50)).toThrow(/--frames: 50 frames do not hold every behaviour once/);
    expect(() => made({ suite: 'digest_null+cbc(aes)', window: 32 })).toThrow(/--window/);
    expect(() => made({ esn: true, window: 0 })).toThrow(/--esn/);
    expect(() => made({ innerDst: address('fd00::1') })).toThrow(/--inner-src and --inner-dst/);
  });
});

describe('a suite by name', () => {
  it('is any of the registry', () => {
    for (const { name } of [...AEADS, ...MACS, ...CIPHERS])
      expect(throwAwaySuite(name, { seed: 1 }).suite.name, name).toContain(name);
    for (const name of ['hmac(sha1)+cbc(aes)', 'authenc(hmac(sha1),cbc(aes))', 'sha1+rfc3686(ctr(aes))'])
      expect(throwAwaySuite(name, { seed: 1 }).suite.name).toMatch(/^authenc\(hmac\(sha1\),/);
    expect(throwAwaySuite('cbc(aes)', { seed: 1, keyBits: 256 }).suite).toMatchObject({
      keyLen: 32,
      icvLen: 16,
    });
    expect(() => throwAwaySuite('rot13', { seed: 1 })).toThrow(/--suite: there is no suite rot13/);
  });
});

describe('the folder', () => {
  it.each([{}, { suite: 'hmac(sha1)+ecb(cipher_null)', mode: 'transport', udp: true, window: 32 }] as const)(
    'says the same SAs in each of its files: %j',
    (given) => {
      const plan = made(given);
      const files = writeConform(plan);
      const read = parseXfrmState(text(files, 'state'), 'state');
      expect(read.map(({ direction }) => direction)).toEqual(['out', 'in']);
      for (const [i, sa] of [plan.sa, plan.back].entries()) {
        const { spi, mode, esn, replayWindow, encap, flags, keys } = read[i]!;
        expect(keys.equals(sa.keys)).toBe(true);
        expect({ spi, mode, esn, replayWindow, encap, flags: [...flags] }).toEqual({
          ...{ spi: sa.spi, mode: sa.mode, esn, replayWindow: sa.replayWindow, encap: sa.encap },
          flags: [...sa.flags],
        });
        expect(esn).toBe(sa.esn);
        expect(text(files, 'peer.sh')).toContain(`spi 0x${spi.toString(16)}`);
      }
      expect(readPolicies(text(files, 'policy'), 'policy')).toMatchObject({
        policies: [{ direction: 'out' }, { direction: 'in' }],
        omitted: [],
      });
      expect(parseNodeConfig(text(files, 'node.yaml'), 'node.yaml').outside.address).toBe('192.0.2.1');
      expect(readVerdicts(text(files, 'verdicts.jsonl'), 'v')).toEqual(plan.frames.map(verdictLine));
      expect(text(files, 'README.md')).toMatch(/throw-away keys/);
      let frames = 0;
      const reader = captureReader('wire', {
        frame: (b, at, end) => {
          expect(toHex(b, at + 14, end)).toBe(toHex(plan.frames[frames++]!.packet));
        },
      });
      reader.feed(files.get('wire.pcapng') as Uint8Array);
      reader.end();
      expect(frames).toBe(plan.frames.length);
    },
  );

  it('is refused line by line where verdicts are damaged', () => {
    expect(() => readVerdicts('{"frame":1}\n', 'v')).toThrow(/v:1: is no line of verdicts.jsonl/);
    expect(() => readVerdicts('\n', 'v')).toThrow(/v: holds no verdicts/);
  });
});
