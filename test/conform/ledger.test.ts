/** What is seen of frames, beside what was expected. */
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/base/bytes.ts';
import { type VerdictLine, verdictLine } from '../../src/conform/folder.ts';
import { echoKey, judgeDecrypted, judgeReplies, ledgerOf, summaryOf } from '../../src/conform/ledger.ts';
import { leastFrames, makeConform } from '../../src/conform/make.ts';
import { conformSettings } from '../../src/conform/settings.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { address, RANDOM } from '../support/sa.ts';

const { sa, hosts } = conformSettings({
  ...{ suite: 'rfc4106(gcm(aes))', esn: false, mode: 'tunnel', udp: false, seed: 3 },
  ...{ src: address('192.0.2.1'), dst: address('192.0.2.2') },
  ...{ innerSrc: address('10.244.1.1'), innerDst: address('10.244.2.1') },
});
const verdicts = makeConform({
  ...{ sa, hosts, frames: leastFrames({ sa }), seed: 3, engine: new NodeEngine(), ...RANDOM },
}).map(verdictLine);

/** Replies to all that are to be answered. */
function replies(lines: readonly VerdictLine[] = verdicts): Map<string, number> {
  return new Map(lines.flatMap(({ echo, answered }) => (answered ? [[echoKey(echo!), 1]] : [])));
}

const inners = () => verdicts.flatMap(({ inner }) => inner ?? []);
const differing = (sights: readonly { readonly agrees?: boolean }[]) =>
  sights.flatMap(({ agrees }, i) => (agrees === false ? [verdicts[i]!.frame] : []));

describe('replies', () => {
  it('agree where each frame that is accepted is answered, and no other', () => {
    const summary = summaryOf(ledgerOf(verdicts, judgeReplies(verdicts, replies())));
    expect(summary).toMatchObject({ frames: verdicts.length, differ: 0 });
    expect(summary.agree).toBeGreaterThan(verdicts.length / 2);
  });

  it('name the frame that was not answered, and the one that was all the same', () => {
    const lost = verdicts.find(({ answered }) => answered)!;
    const odd = verdicts.find(({ behaviour }) => behaviour === 'used number')!;
    const counts = replies();
    counts.delete(echoKey(lost.echo!));
    counts.set(echoKey(odd.echo!), 1);
    const sights = judgeReplies(verdicts, counts);
    expect(differing(sights)).toEqual([lost.frame, odd.frame]);
    const row = ledgerOf(verdicts, sights).find(({ behaviour }) => behaviour === 'used number')!;
    expect(row).toMatchObject({
      expected: 'XfrmInStateSeqError',
      seen: { answered: 1 },
      differing: expect.arrayContaining([odd.frame]),
    });
  });

  it('that come twice say that a replay was accepted', () => {
    const replay = verdicts.find(
      ({ behaviour, echo, verdict }) =>
        behaviour === 'replay' && verdict === 'dropped' && replies().has(echo ? echoKey(echo) : ''),
    )!;
    const counts = replies();
    counts.set(echoKey(replay.echo!), 2);
    expect(differing(judgeReplies(verdicts, counts))).toEqual([replay.frame]);
  });
});

describe('decrypted packets', () => {
  it('agree, also behind a router and with bytes behind them', () => {
    expect(differing(judgeDecrypted(verdicts, inners(), hosts))).toEqual([]);
    const routed = inners().map((packet) => {
      const b = fromHex(`${packet}0000`)!;
      ipv4.decrementTtl(b);
      return toHex(b);
    });
    expect(differing(judgeDecrypted(verdicts, routed, hosts))).toEqual([]);
  });

  it('differ where one is missing, has other bytes, or was to be dropped', () => {
    const [first, second] = verdicts.filter(({ answered }) => answered);
    const extra = verdicts.find(({ verdict, behaviour }) => verdict === 'dropped' && behaviour === 'replay')!;
    const original = verdicts.find(({ echo, inner }) => inner && echoKey(echo!) === echoKey(extra.echo!))!;
    const packets = inners().filter((packet) => packet !== first!.inner);
    packets[packets.indexOf(second!.inner!)] = second!.inner!.replace(/^45../, '4502');
    packets.push(original.inner!);
    const sights = judgeDecrypted(verdicts, packets, hosts);
    expect(differing(sights)).toEqual([first!.frame, second!.frame, extra.frame].sort((a, b) => a - b));
    expect(sights[second!.frame - 1]!.seen).toBe('decrypted, other bytes');
  });
});
