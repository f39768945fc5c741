/**
 * A window run for other tools. What came to the receiver, for a capture file: in the order in which it came, replays and
 * forged packets as they were. And the SA with its window, which a capture's secrets do not hold.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { formatAddress } from '../../wire/address.ts';
import { LINK_RAW } from '../../wire/link-type.ts';
import type { PageFrame } from '../packets/page-packet.ts';
import { saForms } from './copy-forms.ts';
import type { WindowRun } from './window.ts';

/** A packet a millisecond, from the first of January 2026 on. */
const FIRST_SECOND = Date.UTC(2026, 0, 1) / 1000;

export function arrivedFrames(run: WindowRun): PageFrame[] {
  return run.events
    .filter(({ guess }) => guess !== undefined)
    .map(({ packet }, i) => ({
      bytes: packet!.bytes,
      info: {
        number: i + 1,
        seconds: FIRST_SECOND + Math.floor(i / 1000),
        nanoseconds: (i % 1000) * 1_000_000,
        hasTime: true,
        interfaceId: 0,
        linkType: LINK_RAW,
        originalLength: packet!.bytes.length,
        byte: 0,
      },
    }));
}

const STATE = 'window.xfrm-state.txt';

/** A text for each tool. @param capture name of the file with the packets */
export function windowForms(run: WindowRun, capture: string) {
  const esplane = ['decrypt', 'diagnose'].map(
    (command) => `esplane ${command} ${capture} --xfrm-state ${STATE}\n`,
  );
  return [
    { label: 'esplane', text: `cat > ${STATE} <<'EOF'\n${stateText(run)}EOF\n${esplane.join('')}` },
    ...saForms([run.config], capture, 'esp'),
  ];
}

/** As the receiver's `ip xfrm state` has it before the first packet. */
export function stateText({ config, settings: { size, esn, start } }: WindowRun): string {
  const { src, dst, spi, keys } = config;
  const seqHi = `0x${Math.floor(start / 2 ** 32).toString(16)}`;
  const words = Math.ceil(size / 32);
  const context = [
    '\tanti-replay esn context:',
    `\t seq-hi ${seqHi}, seq 0x0, oseq-hi 0x0, oseq 0x0`,
    `\t replay_window ${size}, bitmap-length ${words}`,
    `\t ${'00000000 '.repeat(words)}`,
  ];
  return [
    `src ${formatAddress(src)} dst ${formatAddress(dst)}`,
    `\tproto esp spi 0x${spi.toString(16).padStart(8, '0')} reqid 1 mode tunnel`,
    `\treplay-window 0 flag ${esn ? 'esn' : ''}`,
    `\taead ${keys.suite.name} 0x${toHex(keys.key())}${toHex(keys.salt())} ${8 * keys.suite.icvLen}`,
    ...(size > 0 ? context : []),
    '\tsel src 0.0.0.0/0 dst 0.0.0.0/0',
    '',
  ].join('\n');
}
