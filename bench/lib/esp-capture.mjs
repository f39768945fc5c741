/**
 * Makes captures of ESP traffic for benchmarks: two nodes as Cilium 1.18 sets them up, one direction.
 * @module
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { hex } from '../../dist/base/bytes.js';
import { seededBytes } from '../../dist/base/rng.js';
import { PcapWriter } from '../../dist/capture/pcap-writer.js';
import { parseKeys } from '../../dist/cilium/keys.js';
import { parseNodes } from '../../dist/cilium/nodes.js';
import { ClusterPlan } from '../../dist/cilium/plan.js';
import { DEFAULT_VERSION } from '../../dist/cilium/version.js';
import { NodeEngine } from '../../dist/crypto/node.js';
import { Encapsulator } from '../../dist/ipsec/encapsulate.js';
import { SecurityAssociation } from '../../dist/ipsec/sa.js';
import { Sad } from '../../dist/ipsec/sad.js';
import { parseAddress } from '../../dist/wire/address.js';
import * as ipv4 from '../../dist/wire/ipv4.js';
import * as udp from '../../dist/wire/udp.js';
import { Batch } from '../../dist/wire/packet.js';

const KEYS = '3+ rfc4106(gcm(aes)) 000102030405060708090a0b0c0d0e0f10111213 128\n';
const NODES = JSON.stringify({
  apiVersion: 'v1',
  kind: 'List',
  items: [1, 2].map((n) => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNode',
    metadata: { name: `node-${n}` },
    spec: {
      addresses: [
        { type: 'InternalIP', ip: `192.168.0.${n}` },
        { type: 'CiliumInternalIP', ip: `10.0.${n}.1` },
      ],
      bootid: `00000000-0000-0000-0000-00000000000${n}`,
      encryption: { key: 3 },
      ipam: { podCIDRs: [`10.0.${n}.0/24`] },
    },
  })),
});
const SRC = parseAddress('10.0.1.1');
const DST = parseAddress('10.0.2.1');
const BATCH = 64;
const ETHERNET = hex('020000000002 020000000001 0800');

/** The inner packet: IPv4, UDP, and as much payload as makes `size` bytes in all. */
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
  return b;
}

/** The one SA of the capture. */
export function captureSa() {
  const plan = new ClusterPlan(parseKeys(KEYS, 'keys', DEFAULT_VERSION), parseNodes(NODES, 'nodes.json'));
  return plan.between(SRC, DST)[0];
}

/**
 * Writes `wire.pcap`, `keys` and `nodes.json` into `folder`.
 * @param packets how many ESP packets
 * @param size bytes of each inner packet
 */
export function writeEspCapture(folder, packets, size) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/keys`, KEYS);
  writeFileSync(`${folder}/nodes.json`, NODES);
  const engine = new NodeEngine();
  const random = seededBytes(1);
  const sad = new Sad('source');
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
