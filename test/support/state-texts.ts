/**
 * Texts of `ip -s xfrm state` as Cilium's nodes print them.
 * @module
 */
import { createHash } from 'node:crypto';

export interface TextState {
  readonly src: string;
  readonly dst: string;
  readonly spi: number;
  /** Does the state send? Else it receives. */
  readonly sends: boolean;
  /** What the key is made of; equal ones give equal keys. Or the key itself, `0x…`. */
  readonly key: string;
  readonly nodeId?: number;
  /** The last number sent or received. */
  readonly number?: number;
  readonly esn?: boolean;
  readonly window?: number;
  readonly failed?: number;
  readonly replayed?: number;
  readonly added?: string;
}

/** 20 bytes of key, as text: such a text, or made of any other. */
export const keyText = (seed: string) =>
  seed.startsWith('0x') ? seed : `0x${createHash('sha256').update(seed).digest('hex').slice(0, 40)}`;

/** The state, with its key hashed as cilium-bugtool does. */
export function stateText(state: TextState): string {
  const { src, dst, spi, sends, key, nodeId = 1, number = 0, esn = true, window = esn ? 1024 : 0 } = state;
  const { failed = 0, replayed = 0, added = '2026-11-25 19:31:55' } = state;
  const isLong = esn || window > 32;
  const hex = (n: number, digits = 1) => `0x${n.toString(16).padStart(digits, '0')}`;
  const hash = createHash('sha256').update(keyText(key)).digest('hex');
  const mark = sends ? ((nodeId << 16) | (spi << 12) | 0xe00) >>> 0 : ((nodeId << 16) | 0xd00) >>> 0;
  const [seq, oseq] = sends ? [0, number] : [number, 0];
  const words = Array.from({ length: window / 32 }, () => '00000000');
  const rows = Array.from({ length: Math.ceil(words.length / 8) }, () => `\t ${'00000000 '.repeat(8)}\n`);
  const any = src.includes(':') ? '::/0' : '0.0.0.0/0';
  return (
    `src ${src} dst ${dst}\n` +
    `\tproto esp spi ${hex(spi, 8)}(${spi}) reqid 1(0x00000001) mode tunnel\n` +
    `\treplay-window ${isLong ? 0 : window} seq 0x00000000 flag ${esn ? 'esn (0x10000000)' : ' (0x00000000)'}\n` +
    `\tmark ${hex(mark)}/${sends ? '0xffffff00' : '0xffff0f00'} output-mark ${sends ? '0xe00' : '0xd00'}/0xffffff00\n` +
    `\taead rfc4106(gcm(aes)) [hash:${hash}] (160 bits) 128\n` +
    (isLong
      ? `\tanti-replay esn context:\n\t seq-hi 0x0, seq ${hex(seq)}, oseq-hi 0x0, oseq ${hex(oseq)}\n` +
        `\t replay_window ${window}, bitmap-length ${words.length}\n${rows.join('')}`
      : `\tanti-replay context: seq ${hex(seq)}, oseq ${hex(oseq)}, bitmap 0x00000000\n`) +
    `\tsel src ${any} dst ${any} uid 0\n` +
    '\tlifetime config:\n\t  limit: soft (INF)(bytes), hard (INF)(bytes)\n\t  limit: soft (INF)(packets), hard (INF)(packets)\n' +
    '\t  expire add: soft 0(sec), hard 0(sec)\n\t  expire use: soft 0(sec), hard 0(sec)\n\tlifetime current:\n' +
    `\t  ${number * 84}(bytes), ${number}(packets)\n\t  add ${added} use ${number > 0 ? added : '-'}\n` +
    `\tstats:\n\t  replay-window 0 replay ${replayed} failed ${failed}\n`
  );
}

const A = '10.244.1.1';
const B = '10.244.2.1';

export const HERE_TEXTS = {
  /** Of one node, in the form that is read at once. */
  usual: [
    stateText({ src: A, dst: B, spi: 3, sends: true, key: 'ab', number: 7 }),
    stateText({ src: B, dst: A, spi: 3, sends: false, key: 'ba', number: 9, failed: 2 }),
    stateText({ src: A, dst: B, spi: 4, sends: true, key: 'ab4', esn: false, window: 32 }),
    stateText({ src: 'fd00::1', dst: 'fd00::2', spi: 3, sends: true, key: 'six', esn: false }),
  ].join(''),
};
