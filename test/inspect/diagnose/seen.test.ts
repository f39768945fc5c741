import { expect, it } from 'vitest';
import { putU32 } from '../../../src/base/bytes.ts';
import { InnerPacket } from '../../../src/inspect/diagnose/inner.ts';
import { text, udpPacket } from '../../../src/sim/traffic.ts';
import { address } from '../../support/sa.ts';

it('tells packets apart that differ in a number and the checksum that follows from it', () => {
  const flow = { src: address('10.0.1.10'), dst: address('10.0.3.10'), srcPort: 10_000, dstPort: 9 };
  const packet = new InnerPacket();
  const prints = new Set<string>();
  const out = new Uint32Array(2);
  for (let n = 0; n < 4000; n++) {
    const data = text(64);
    putU32(data, 0, n);
    const b = udpPacket(flow, data);
    expect(packet.read(b, 0, b.length)).toBe(true);
    packet.print(out);
    prints.add(out.join());
  }
  expect(prints.size).toBe(4000);
});
