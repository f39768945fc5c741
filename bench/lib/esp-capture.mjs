/**
 * Makes captures of ESP traffic for benchmarks: one SA between two nodes, one direction.
 * @module
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { hex } from '../../dist/base/bytes.js';
import { seededBytes } from '../../dist/base/rng.js';
import { PcapWriter } from '../../dist/capture/pcap-writer.js';
import { NodeEngine } from '../../dist/crypto/node.js';
import { Encapsulator } from '../../dist/ipsec/encapsulate.js';
import { SecurityAssociation } from '../../dist/ipsec/sa.js';
import { Sad } from '../../dist/ipsec/sad.js';
import { parseXfrmState } from '../../dist/sa-text/xfrm-sas.js';
import { parseAddress } from '../../dist/wire/address.js';
import * as ipv4 from '../../dist/wire/ipv4.js';
import { Batch } from '../../dist/wire/packet.js';
import * as udp from '../../dist/wire/udp.js';

/** As `ip xfrm state` prints it. Without ESN, because tshark 4.0 cannot check an ICV that covers the high half. */
const STATE = `src 10.0.1.1 dst 10.0.2.1
\tproto esp spi 0x00000003 reqid 1 mode tunnel
\treplay-window 32
\taead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128
\tsel src 0.0.0.0/0 dst 0.0.0.0/0
`;
const BATCH = 64;
const ETHERNET = hex('020000000002 020000000001 0800');

/**
 * The inner packet: IPv4, UDP, and as much payload as makes `size` bytes in all. Random bytes, because some of
 * tshark's dissectors take their time over zeros.
 */
export function innerPacket(size) {
  const b = new Uint8Array(size);
  ipv4.emit(
    {
      tos: 0,
      totalLength: size,
      id: 0,
      dontFragment: true,
      moreFragments: false,
      fragmentOffset: 0,
      ttl: 63,
      protocol: udp.PROTOCOL,
      src: parseAddress('10.0.1.10'),
      dst: parseAddress('10.0.2.20'),
      options: new Uint8Array(0),
    },
    b,
  );
  udp.emit({ srcPort: 1234, dstPort: 5678, length: size - 20, checksum: 0 }, b, 20);
  seededBytes(7)(b.subarray(28));
  return b;
}

/** The one SA of the capture. */
export function captureSa() {
  return parseXfrmState(STATE, 'state.txt')[0];
}

/**
 * Writes `wire.pcap` and `state.txt` into `folder`.
 * @param packets how many ESP packets
 * @param size bytes of each inner packet
 */
export function writeEspCapture(folder, packets, size) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/state.txt`, STATE);
  const engine = new NodeEngine();
  const random = seededBytes(1);
  const sad = new Sad();
  const index = sad.add(new SecurityAssociation(captureSa(), engine, { random }));
  const encapsulator = new Encapsulator(sad, engine, BATCH, random);
  const batch = new Batch({ capacity: BATCH, maxPacket: size });
  const inner = innerPacket(size);
  const fd = openSync(`${folder}/wire.pcap`, 'w');
  const writer = new PcapWriter((bytes) => writeSync(fd, bytes), { linkType: 1, resolution: 'us' });
  const frame = new Uint8Array(size + 256);
  frame.set(ETHERNET);
  for (let sent = 0; sent < packets; ) {
    batch.clear();
    while (batch.count < BATCH && sent + batch.count < packets) batch.sa[batch.push(inner)] = index;
    encapsulator.run(batch);
    for (let i = 0; i < batch.count; i++, sent++) {
      const len = ETHERNET.length + batch.length[i];
      frame.set(batch.view(i), ETHERNET.length);
      const micros = sent * 10;
      writer.frame(frame, 0, len, {
        seconds: 1_700_000_000 + Math.floor(micros / 1e6),
        nanoseconds: (micros % 1e6) * 1000,
        interfaceId: 0,
        originalLength: len,
      });
    }
  }
  writer.flush();
  closeSync(fd);
}
