/**
 * Does a state send or receive? A text of `ip xfrm state` does not say it of each, nor which node printed it. Counters tell:
 * `oseq` rises where packets are sent; `seq`, and the statistics of failures, where they are received; and Cilium marks
 * the ones that receive 0xd00, and those that send 0xe00.
 * @module
 */
import { MAGIC_DECRYPT, MAGIC_ENCRYPT, MAGIC_MASK } from '../cilium/mark.ts';
import type { Mark } from '../ipsec/sa-config.ts';

/** What a state says of it. */
export interface DirectionSigns {
  /** By its line `dir`. */
  readonly direction?: 'in' | 'out' | undefined;
  readonly outputMark?: number | undefined;
  /** By which it is found. */
  readonly mark?: Mark | undefined;
  /** Has it counted a packet that it received, sent, refused? */
  readonly received: boolean;
  readonly sent: boolean;
  readonly refused: boolean;
}

/** @returns `undefined` where nothing tells */
export function directionBy(signs: DirectionSigns): 'in' | 'out' | undefined {
  const { direction, outputMark = 0, mark, received, sent, refused } = signs;
  if (direction) return direction;
  const found = mark && (mark.mask & MAGIC_MASK) === MAGIC_MASK ? mark.value : 0;
  for (const value of [outputMark, found]) {
    if ((value & MAGIC_MASK) === MAGIC_DECRYPT) return 'in';
    if ((value & MAGIC_MASK) === MAGIC_ENCRYPT) return 'out';
  }
  if ((received || refused) !== sent) return sent ? 'out' : 'in';
  return undefined;
}
