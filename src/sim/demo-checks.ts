/**
 * What must be true after a run of the demo: counts of different hands, compared.
 *
 * Some hold on any wire. Others only on one without impairments, where nothing but the two attacks may go wrong.
 * @module
 */
import type { DemoNetwork } from './demo-network.ts';

/** One comparison. */
export interface Check {
  readonly name: string;
  readonly expected: number;
  readonly actual: number;
  readonly ok: boolean;
}

/** What the run was, beside what the network counted. */
export interface RunFacts {
  /** Did nothing disturb the wire? */
  readonly isClean: boolean;
  /** Could bits flip on the wire? */
  readonly mayDamage: boolean;
  /** Packets that an attacker changed on the way. */
  readonly tampered: number;
  /** TCP conversations that came to a good end, and how many there were. */
  readonly conversations: number;
  readonly finished: number;
}

/** Packets dropped, by counter or, outside xfrm, by reason. */
export interface DropCount {
  readonly node: string;
  readonly reason: string;
  readonly counter: string;
  readonly count: number;
}

/** Compares. */
export function checkRun(net: DemoNetwork, drops: readonly DropCount[], facts: RunFacts): Check[] {
  const { ledger, wire, underlay, faults } = net;
  const stats = net.nodes.map((node) => node.stats());
  const dropped = drops.reduce((sum, { count }) => sum + count, 0);
  const encrypted = stats.reduce((sum, { out }) => sum + out.encrypted, 0);
  const decrypted = stats.reduce((sum, { in: into }) => sum + into.decrypted, 0);
  /** Numbers begin with 1, so the last one of each SA says how many it has given out. */
  const numbers = stats
    .flatMap(({ sas }) => sas)
    .filter(({ direction }) => direction === 'out')
    .reduce((sum, { seqHi, seqLo }) => sum + seqHi * 2 ** 32 + seqLo, 0);
  const counterOf = (name: string) =>
    drops.filter(({ counter }) => counter === name).reduce((sum, { count }) => sum + count, 0);

  const replays = counterOf('XfrmInStateSeqError');
  const forgeries = counterOf('XfrmInStateProtoError');

  const checks = [
    check(
      'packets accounted for: sent + doubled + replayed = delivered + lost + dropped',
      ledger.sent + faults.duplicated + underlay.injected,
      ledger.arrived + faults.lost + dropped + underlay.nowhere + net.stuck,
    ),
    check('pod packets to another node, each encrypted', ledger.sentProtected, encrypted),
    check('encrypted packets, each with a sequence number of its own', encrypted, numbers),
    check('packets decrypted, each identical to what was sent', decrypted, ledger.arrivedProtected),
    check('packets between the pods of two nodes seen in the clear', 0, wire.leaks),
    check('ESP packets in which a payload can be read', 0, wire.readable),
    check('encrypted packets delivered twice', 0, ledger.repeated),
  ];
  if (!facts.mayDamage) {
    checks.push(
      check('packets delivered, each identical to what was sent', ledger.arrived, ledger.arrivals.identical),
    );
  }
  if (!facts.isClean) return checks;
  return [
    ...checks,
    check('packets delivered: all but the tampered one', ledger.sent - facts.tampered, ledger.arrived),
    check('replayed packets, each dropped as XfrmInStateSeqError', underlay.injected, replays),
    check('tampered packets, each dropped as XfrmInStateProtoError', facts.tampered, forgeries),
    check('packets dropped for any other reason', 0, dropped - replays - forgeries),
    check('TCP conversations finished, request and answer as sent', facts.conversations, facts.finished),
  ];
}

function check(name: string, expected: number, actual: number): Check {
  return { name, expected, actual, ok: expected === actual };
}
