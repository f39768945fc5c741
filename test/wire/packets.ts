/**
 * Real packets, each with the capture it comes from: a Linux 6.1 kernel's traffic, in pcaps/linux-6.1.
 * @module
 */
import { readFileSync } from 'node:fs';
import { hex } from '../../src/base/bytes.ts';
import { CAPTURES } from '../support/needs.ts';

/** native-v4/pod1.pcap, frame 1: `ping` from 10.244.1.10 to 10.244.2.20, Ethernet. */
export const PING = hex(
  '82606dfdc4369e0b002aca29080045000054418a40004001e0190af4010a0af40214080007a403720001' +
    'e899036b0000000038110a0000000000101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637',
);
/** native-v6/pod1.pcap, frame 1: the same over IPv6. */
export const PING_V6 = hex(
  '627bee60bdb53e8661129f9886dd600f49cb00403a40fd000010024400010000000000000010fd0000100244000200000000000000208000162b03650001' +
    'f999036b00000000ab3f000000000000101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637',
);
/** native-v4/pod1.pcap, frame 12: UDP. */
export const UDP = hex(
  '82606dfdc4369e0b002aca290800450000424f6a40004011d23b0af4010a0af40214bcf714ea002ea359' +
    'd7b350bad3b7693644ed0e18ea3d9fa72849b0e141e0b3f266ee3834d649d8c25f3fb2fdff9f',
);
/** native-v4/pod1.pcap, frame 31: TCP SYN with MSS 1360, SACK, timestamps and window scale. */
export const SYN = hex(
  '82606dfdc4369e0b002aca2908004500003c5ed440004006c2e20af4010a0af40214' +
    'ae4c1f906fc45b0e00000000a002ff005b870000020405500402080af0854ba10000000001030307',
);
/** native-v6/pod1.pcap, frame 33: TCP ACK over IPv6. */
export const ACK_V6 = hex(
  '627bee60bdb53e8661129f9886dd6003f59d00200640fd000010024400010000000000000010fd000010024400020000000000000020' +
    '8c8e1f9017479303fdc1387d801001f7b4f100000101080a998e38e30fde5200',
);
/** esp-in-vxlan/wire.pcap, frame 1: an ARP request in VXLAN, VNI 52345. */
export const VXLAN_ARP = hex(
  '0607a6bc2b0cd248f4bbdfa208004500004eae71000040113cdac0a80701c0a80702de622118003abe110800000000cc7900' +
    'ffffffffffff020000000001080600010800060400010200000000010af401010000000000000ac80002',
);
/** native-v4/wire.pcap, frame 1, first 60 bytes of 154: ESP from 10.244.1.1 to 10.244.2.1, SPI 3, sequence 1. */
export const ESP_HEAD = hex(
  'da26baa46a9d3a1bbc801e7b08004500008c00004000403221570af401010af402010000000300000001' +
    '043819948e91cfbc0603eb9334fd0abe6840',
);

/** Bytes of the Ethernet header before IP in these packets. */
export const ETH = 14;

/** The frames of a capture in pcaps/linux-6.1: little-endian pcap, as all of them are. */
export function capturedFrames(name: string): Uint8Array[] {
  const b = readFileSync(`${CAPTURES}/${name}`);
  const frames: Uint8Array[] = [];
  for (let at = 24; at + 16 <= b.length; ) {
    const len = b.readUInt32LE(at + 8);
    frames.push(Uint8Array.from(b.subarray(at + 16, at + 16 + len)));
    at += 16 + len;
  }
  return frames;
}

/** `bytes` in the middle of a buffer full of `fill`: what lies around a packet in a slab. */
export function amid(bytes: Uint8Array, before: number, after: number, fill: number): Uint8Array {
  const b = new Uint8Array(before + bytes.length + after).fill(fill);
  b.set(bytes, before);
  return b;
}

/** A scratch buffer in which a forgotten write shows. */
export function scratch(len: number): Uint8Array {
  return new Uint8Array(len).fill(0xa5);
}
