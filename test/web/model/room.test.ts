/**
 * The chapter about room, against the packets that the data plane makes.
 */
import { describe, expect, it } from 'vitest';
import { seededBytes } from '../../../src/base/rng.ts';
import { NodeEngine } from '../../../src/crypto/node.ts';
import { authenc } from '../../../src/crypto/suite.ts';
import { TunnelEnd } from '../../../src/ipsec/tunnel-end.ts';
import {
  ciliumMtu,
  longest,
  onWire,
  partsOf,
  ROOM_MODES,
  ROOM_SUITES,
  type RoomChoice,
} from '../../../src/web/model/room.ts';
import { address, ipv4Packet, SUITES, saConfig } from '../../support/sa.ts';

const CHOICES: readonly RoomChoice[] = ROOM_MODES.flatMap(({ value: mode }) =>
  ROOM_SUITES.flatMap((suite) =>
    ([4, 6] as const).flatMap((family) =>
      [false, true].map((encap) => ({ mode, suite, family, encap, mtu: 1500 })),
    ),
  ),
);

const titleOf = ({ mode, suite, family, encap }: RoomChoice) =>
  `${mode} ${suite.value} IPv${family}${encap ? ' in UDP' : ''}`;

describe.each(CHOICES.map((choice) => [titleOf(choice), choice] as const))('%s', (_, choice) => {
  it('has parts that add up to the packet on the wire', () => {
    for (let len = 40; len < 1500; len++) {
      const sum = partsOf(choice, len).reduce((total, { bytes }) => total + bytes, 0);
      expect(sum, `${len} bytes`).toBe(onWire(choice, len));
    }
  });

  it('lets the longest packet fit, and none above', () => {
    const most = longest(choice);
    expect(onWire(choice, most)).toBeLessThanOrEqual(1500);
    expect(onWire(choice, most + 1)).toBeGreaterThan(1500);
  });

  it('says why each part is there', () => {
    for (const { why, reference } of partsOf(choice, 1000)) {
      expect(why).toMatch(/^[A-Z].*\.$/);
      expect(reference).toMatch(/^RFC \d+ §/);
    }
  });
});

/** Beside those of support/sa.ts. */
const OTHER_SUITES = [
  authenc('hmac(sha512)', new Uint8Array(32), 'rfc3686(ctr(aes))', new Uint8Array(20)),
  authenc('hmac(sha1)', new Uint8Array(20), 'cbc(des3_ede)', new Uint8Array(24)),
];

describe('parts', () => {
  it.each(ROOM_SUITES.map((room) => [room.value, room] as const))('are those that %s makes', (_, room) => {
    const keys = [...SUITES, ...OTHER_SUITES].find(
      ({ suite }) => suite.name === room.suite.name && suite.icvLen === room.suite.icvLen,
    )!;
    expect(keys.suite).toMatchObject({ ivLen: room.suite.ivLen, align: room.suite.align });
    for (const family of [4, 6] as const) {
      const [src, dst] = family === 4 ? ['192.0.2.1', '192.0.2.2'] : ['2001:db8::1', '2001:db8::2'];
      const end = new TunnelEnd(
        saConfig({ keys, src: address(src!), dst: address(dst!) }),
        new NodeEngine(),
        { random: seededBytes(1) },
      );
      const choice: RoomChoice = { mode: 'native', suite: room, family, encap: false, mtu: 1500 };
      for (const len of [40, 41, 1000, 1423]) {
        const sent = end.encapsulate(ipv4Packet(len));
        expect(sent.verdict === 'ok' && sent.packet.length).toBe(onWire(choice, len));
      }
    }
  });
});

describe("Cilium's MTU", () => {
  const [gcm] = ROOM_SUITES;
  const of = (mode: RoomChoice['mode'], family: 4 | 6) =>
    ciliumMtu({ mode, family, suite: gcm!, encap: false, mtu: 1500 })?.mtu;

  it('is 1423, 1373 and 1353', () => {
    expect([of('native', 4), of('native', 6)]).toEqual([1423, 1423]);
    expect([of('vxlan-in-esp', 4), of('vxlan-in-esp', 6)]).toEqual([1373, 1353]);
    expect([of('esp-in-vxlan', 4), of('esp-in-vxlan', 6)]).toEqual([1373, 1353]);
  });

  it('fits, whatever the suite', () => {
    for (const choice of CHOICES) {
      const cilium = ciliumMtu(choice);
      if (cilium) expect(cilium.mtu, titleOf(choice)).toBeLessThanOrEqual(longest(choice));
    }
  });
});
