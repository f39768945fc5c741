/**
 * `npm run bench -- wire`: reading and writing headers.
 * @module
 */
import b from 'benny';
import { EspPlace } from '../dist/ipsec/esp-place.js';
import { checksum } from '../dist/wire/checksum.js';
import * as ipv4 from '../dist/wire/ipv4.js';
import * as udp from '../dist/wire/udp.js';
import { innerPacket } from './lib/esp-capture.mjs';
import { rowsOf } from './lib/rows.mjs';

export async function wire() {
  const packet = innerPacket(1400);
  const header = ipv4.parse(packet);
  const datagram = udp.parse(packet, 20);
  const out = new Uint8Array(1500);
  const place = new EspPlace();
  const esp = packet.slice();
  ipv4.setProtocol(esp, 0, 50);
  const summary = await b.suite(
    'wire',
    b.add('ipv4.check', () => ipv4.check(packet)),
    b.add('ipv4.parse', () => ipv4.parse(packet)),
    b.add('ipv4.emit', () => ipv4.emit(header, out)),
    b.add('udp.parse', () => udp.parse(packet, 20)),
    b.add('udp.emit', () => udp.emit(datagram, out, 20)),
    b.add('checksum of 1400 bytes', () => checksum(packet, 0, 1400)),
    b.add('where ESP lies in an IPv4 packet', () => place.find(esp, 0, esp.length)),
  );
  return rowsOf('wire', summary);
}
