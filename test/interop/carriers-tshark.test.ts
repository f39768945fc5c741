/** Wireshark must see the same ESP packet in every frame of ours, so that they are what they are called. */
import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { CARRIED } from '../support/carried.ts';
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
});
