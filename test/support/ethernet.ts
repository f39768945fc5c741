/**
 * Ethernet for tests: from 02:00:00:00:00:01 to 02:00:00:00:00:02.
 * @module
 */
import { hex } from '../../src/base/bytes.ts';

const HEADERS = { 4: hex('020000000002 020000000001 0800'), 6: hex('020000000002 020000000001 86dd') };

/** The frame that carries an IP packet. */
export function frameOf(packet: Uint8Array): Uint8Array {
  return Uint8Array.from([...HEADERS[packet[0]! >>> 4 === 6 ? 6 : 4], ...packet]);
}
