/** Wireshark must see the same ESP packet in every frame of ours, so that they are what they are called. */
import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { seededBytes } from '../../src/base/rng.ts';
import { EspFinder, noFrames } from '../../src/inspect/find-esp.ts';
import { CARRIED, carried, ESP_PACKET, ESP_PACKET_V6 } from '../support/carried.ts';
import { needs, program } from '../support/needs.ts';
import { pcapOf } from '../support/pcap.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { dissect } from '../support/tshark.ts';

needs([program('tshark', 'tshark')], 'tshark finds ESP in', () => {
  const folder = tempFolder();

  it.each(CARRIED.map((one) => [one.name, one] as const))('%s', (_name, { linkType, frame, tshark }) => {
    const file = `${folder}/carried.pcap`;
    writeFileSync(file, pcapOf([frame], linkType));
    const { rows } = dissect(file, '', ['frame.protocols', 'esp.spi'], tshark);
    expect(rows[0]?.[1], rows[0]?.[0]).toBe('0x12345678');
  });

  it('carriers in one another, as they come by chance', () => {
    const random = seededBytes(7);
    const two = new Uint8Array(2);
    const below = (n: number) => {
      random(two);
      return ((two[0]! << 8) | two[1]!) % n;
    };
    // AH is written for ESP itself, unless in tunnel mode.
    const outermost = CARRIED.flatMap(({ name, linkType, tshark }, i) =>
      linkType === 1 && !tshark && (!name.startsWith('AH') || name.includes('tunnel')) ? [i] : [],
    );
    // Those whose IP packet is next to the Ethernet header, and may be put into another.
    const inner = outermost.filter((i) => /^(0800|86dd)$/.test(typeOf(CARRIED[i]!.frame)));
    const frames = Array.from({ length: 300 }, () => {
      let [v4, v6] = [ESP_PACKET, ESP_PACKET_V6];
      for (let depth = below(4); depth > 0; depth--) {
        const packet = carried(v4, v6)[inner[below(inner.length)]!]!.frame.slice(14);
        if (packet[0]! >>> 4 === 4) v4 = packet;
        else v6 = packet;
      }
      return carried(v4, v6)[outermost[below(outermost.length)]!]!.frame;
    });
    const file = `${folder}/nested.pcap`;
    writeFileSync(file, pcapOf(frames, 1));
    const { rows } = dissect(file, '', ['esp.spi', 'frame.protocols']);
    let found = 0;
    const finder = new EspFinder({ udpPorts: [4500], sink: { esp: () => found++ } }, noFrames());
    for (const [i, frame] of frames.entries()) {
      found = 0;
      const info = { number: i + 1, seconds: 0, nanoseconds: 0, hasTime: true, interfaceId: 0, byte: 0 };
      finder.frame(frame, 0, frame.length, { ...info, linkType: 1, originalLength: frame.length });
      expect([found, rows[i]![0]], rows[i]![1]).toEqual([1, '0x12345678']);
    }
  });
});

/** The type field of Ethernet, in hexadecimal. */
function typeOf(frame: Uint8Array): string {
  return Buffer.from(frame.subarray(12, 14)).toString('hex');
}
