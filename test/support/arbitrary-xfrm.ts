/**
 * Random states, policies and events, with every field that iproute2 prints.
 * @module
 */
import fc from 'fast-check';
import { EXTRA_FLAGS, STATE_FLAGS } from '../../src/sa-text/flags.ts';
import type {
  XfrmAlgorithm,
  XfrmEvent,
  XfrmLifetime,
  XfrmPolicy,
  XfrmSelector,
  XfrmState,
  XfrmTemplate,
  XfrmUse,
} from '../../src/sa-text/xfrm-tree.ts';

const u32 = fc.nat(0xffff_ffff);
const port = fc.nat(0xffff);
const or = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: null });
const hexOf = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((b) => Buffer.from(b).toString('hex'));
const v4 = fc.ipV4();
const v6 = fc.constantFrom('::', '::1', '2001:db8::1', 'fd00::ffff:1');
const address = fc.oneof(v4, v6);
const prefix = fc.oneof(
  fc.tuple(v4, fc.nat(32)).map(([a, bits]) => `${a}/${bits}`),
  fc.tuple(v6, fc.nat(128)).map(([a, bits]) => `${a}/${bits}`),
);
const mark = fc.record({ value: u32, mask: u32 });
const time = fc.constantFrom('2026-11-25 19:31:55', '1970-01-01 00:00:01', '2106-02-07 06:28:15');
const count64 = fc.bigInt(0n, 2n ** 64n - 2n).map(String);
const seconds = fc.integer({ min: 1, max: 1e9 });
const device = fc.constantFrom('eth0', 'lo', 'cilium_host', 'bond0.100');

const lifetime: fc.Arbitrary<XfrmLifetime> = fc.record({
  softBytes: or(count64),
  hardBytes: or(count64),
  softPackets: or(count64),
  hardPackets: or(count64),
  softAddSeconds: or(seconds),
  hardAddSeconds: or(seconds),
  softUseSeconds: or(seconds),
  hardUseSeconds: or(seconds),
});
const use: fc.Arbitrary<XfrmUse> = fc.record({
  bytes: count64,
  packets: count64,
  added: or(time),
  used: or(time),
});
const offload = fc.record({
  dev: device,
  dir: or(fc.constantFrom('in', 'out')),
  mode: or(fc.constantFrom('crypto', 'packet')),
});

/** What of an upper protocol a selector names. */
const upper = fc.oneof(
  fc.constant({}),
  fc.record({ proto: fc.constantFrom('tcp', 'udp', 'sctp', '253'), sport: or(port), dport: or(port) }),
  fc.record({ proto: fc.constantFrom('icmp', 'ipv6-icmp'), type: or(fc.nat(255)), code: or(fc.nat(255)) }),
  fc.record({ proto: fc.constant('gre'), key: or(u32) }),
);

function selector(long: boolean): fc.Arbitrary<XfrmSelector> {
  return fc
    .record({ src: prefix, dst: prefix, upper, dev: or(device), uid: long ? u32 : fc.constant(null) })
    .map(({ upper: one, ...rest }) => ({
      proto: null,
      sport: null,
      dport: null,
      type: null,
      code: null,
      key: null,
      ...one,
      ...rest,
    }));
}

/** A key that is printed, hidden or replaced by its hash. */
function algorithms(long: boolean): fc.Arbitrary<XfrmAlgorithm[]> {
  const one = (type: XfrmAlgorithm['type'], name: string, bytes: number, icvBits: number | null) =>
    fc
      .tuple(hexOf(bytes), fc.constantFrom('shown', 'hidden', 'hash'), hexOf(32))
      .map(([key, how, keyHash]) => ({
        type,
        name,
        icvBits,
        line: 0,
        keyBits: how === 'shown' || long ? bytes * 8 : null,
        ...(how === 'shown' && { key }),
        ...(how === 'hash' && { keyHash }),
      }));
  const none = (type: XfrmAlgorithm['type'], name: string, icvBits: number | null) =>
    fc.constant({ type, name, keyBits: 0, icvBits, line: 0, key: '' });
  const sets = fc.oneof(
    fc.tuple(one('aead', 'rfc4106(gcm(aes))', 20, 128)),
    fc.tuple(one('aead', 'rfc7539esp(chacha20,poly1305)', 36, 128)),
    fc.tuple(one('auth-trunc', 'hmac(sha256)', 32, 96), one('enc', 'cbc(aes)', 32, null)),
    fc.tuple(one('auth', 'hmac(md5)', 16, null), none('enc', 'ecb(cipher_null)', null)),
    fc.tuple(none('auth-trunc', 'digest_null', 0), one('enc', 'cbc(des3_ede)', 24, null)),
    fc.tuple(none('comp', 'deflate', null)),
    fc.constant([]),
  );
  return sets.map((set): XfrmAlgorithm[] => [...set]);
}

const antiReplay = fc.oneof(
  fc.record({
    seqHi: fc.constant(0),
    seq: u32,
    oseqHi: fc.constant(0),
    oseq: u32,
    window: fc.constant(null),
    bitmap: fc.tuple(hexOf(4)),
  }),
  fc.integer({ min: 0, max: 40 }).chain((words) =>
    fc.record({
      seqHi: u32,
      seq: u32,
      oseqHi: u32,
      oseq: u32,
      window: fc.constant(words * 32),
      bitmap: fc.array(hexOf(4), { minLength: words, maxLength: words }),
    }),
  ),
);

/** @param origin of every state */
export function arbitraryState(origin: string): fc.Arbitrary<XfrmState> {
  return fc.boolean().chain((long) =>
    fc
      .record({
        src: address,
        dst: address,
        proto: fc.constantFrom('esp', 'ah', 'comp', 'route2', 'hao', '51'),
        spi: u32,
        reqid: u32,
        mode: fc.constantFrom('tunnel', 'transport', 'beet', 'ro', 'in_trigger', 'iptfs', '5'),
        replayWindow: fc.nat(255),
        seq: long ? u32 : fc.constant(null),
        flags: fc.subarray([...STATE_FLAGS]),
        extraFlags: fc.subarray([...EXTRA_FLAGS]),
        mark: or(mark),
        outputMark: or(mark),
        algorithms: algorithms(long),
        encap: or(
          fc.record({
            type: fc.constantFrom('espinudp', 'espinudp-nonike', 'espintcp'),
            sport: port,
            dport: port,
            addr: address,
          }),
        ),
        coa: or(v6),
        antiReplay: or(antiReplay),
        selector: or(selector(long)),
        lifetime: long ? lifetime : fc.constant(null),
        use: long ? use : fc.constant(null),
        stats: long ? fc.record({ replayWindow: u32, replay: u32, failed: u32 }) : fc.constant(null),
        offload: or(offload),
        ifId: or(u32),
        tfcPad: or(u32),
        direction: or(fc.constantFrom('in', 'out')),
        pcpuNum: or(u32),
        natKeepalive: or(u32),
        iptfs: or(
          fc.record({
            'drop-time': u32,
            'reorder-window': port,
            'init-delay': u32,
            'max-queue-size': u32,
            'pkt-size': u32,
            'dont-frag': fc.constant(true as const),
          }),
        ),
        secctx: or(fc.constant('system_u:object_r:ipsec_spd_t:s0')),
        lastUsed: or(time),
        damaged: fc.constant([]),
        origin: fc.constant(origin),
      })
      .map(({ antiReplay: replay, spi, proto, ...state }) => ({
        ...state,
        proto,
        // Without -s the SPI of other protocols is printed only where there is one.
        spi: spi === 0 && !long && !['esp', 'ah', 'comp'].includes(proto) ? null : spi,
        antiReplay: replay && { esn: state.flags.includes('esn'), ...replay },
      })),
  );
}

export function arbitraryPolicy(origin: string): fc.Arbitrary<XfrmPolicy> {
  return fc.boolean().chain((long) => {
    const template: fc.Arbitrary<XfrmTemplate> = fc.record({
      src: address,
      dst: address,
      proto: fc.constantFrom('esp', 'ah', 'comp', 'ipsec-any'),
      spi: u32.map((n) => n || null),
      reqid: u32,
      mode: fc.constantFrom('tunnel', 'transport', 'beet', '5'),
      level: fc.constantFrom('required', 'use', '2'),
      share: long ? fc.constantFrom('any', 'session', 'unique') : fc.constant(null),
      masks: long ? fc.record({ enc: hexOf(4), auth: hexOf(4), comp: hexOf(4) }) : fc.constant(null),
    });
    return fc.record({
      selector: selector(long),
      direction: fc.constantFrom('in', 'out', 'fwd'),
      socket: fc.boolean(),
      action: fc.constantFrom('allow', 'block', '2'),
      index: long ? u32 : fc.constant(null),
      priority: u32,
      ptype: or(fc.constantFrom('main', 'sub')),
      share: long ? fc.constantFrom('any', 'unique') : fc.constant(null),
      flags: fc.subarray(['localok', 'icmp', '4']),
      mark: or(mark),
      ifId: or(u32),
      offload: or(offload),
      lifetime: long ? lifetime : fc.constant(null),
      use: long ? use : fc.constant(null),
      templates: fc.array(template, { maxLength: 3 }),
      secctx: or(fc.constant('unconfined')),
      damaged: fc.constant([]),
      origin: fc.constant(origin),
    });
  });
}

const NOTHING = {
  state: null,
  policy: null,
  id: null,
  selector: null,
  hard: null,
  mapping: null,
  defaults: null,
};

/** Events whose text is that of their first line. */
export function arbitraryEvent(origin: string): fc.Arbitrary<XfrmEvent> {
  const id = fc.record({
    src: or(address),
    dst: address,
    proto: fc.constantFrom('esp', 'ah'),
    spi: u32,
    reqid: u32,
  });
  const state = arbitraryState(origin);
  const policy = arbitraryPolicy(origin);
  return fc
    .oneof(
      fc
        .record({ event: fc.constantFrom('deleted', 'updated'), state })
        .map((one) => ({ ...NOTHING, ...one })),
      fc
        .record({ event: fc.constant('expired'), state, hard: fc.boolean() })
        .map((one) => ({ ...NOTHING, ...one })),
      fc
        .record({ event: fc.constantFrom('deleted', 'updated'), policy })
        .map((one) => ({ ...NOTHING, ...one })),
      id
        .filter(({ src }) => src !== null)
        .map((one) => ({ ...NOTHING, event: 'async', text: 'Async event (0x20) timer expired', id: one })),
      fc
        .record({ id: id.map((one) => ({ ...one, src: null })), from: port, to: port })
        .map(({ id: one, from, to }) => ({
          ...NOTHING,
          event: 'mapping',
          text: `Mapping change 192.0.2.1:${from} -> 192.0.2.9:${to}`,
          id: one,
          mapping: { from: `192.0.2.1:${from}`, to: `192.0.2.9:${to}` },
        })),
      fc
        .constantFrom('Flushed state proto esp', 'Flushed policy ptype main')
        .map((text) => ({ ...NOTHING, event: 'flushed', text })),
      fc
        .record({
          in: fc.constantFrom('accept', 'block'),
          fwd: fc.constant('accept'),
          out: fc.constant('block'),
        })
        .map((defaults) => ({ ...NOTHING, event: 'default', text: 'Default policies:', defaults })),
    )
    .map((one) => ({ text: '', ...one, origin }));
}

/** A text in which one to three places were cut, or have something put in, or both. */
export function arbitraryChange(text: string): fc.Arbitrary<string> {
  const puts = [
    '',
    ' ',
    '\n',
    '\t',
    '0',
    '9',
    'f',
    '(',
    'x',
    'src ',
    'src 1.2.3.4 dst 5.6.7.8\n',
    '\\',
    '/',
    'use ',
  ];
  const change = fc.tuple(fc.nat(text.length), fc.nat(12), fc.constantFrom(...puts));
  return fc
    .array(change, { minLength: 1, maxLength: 3 })
    .map((changes) =>
      changes.reduce((now, [at, cut, put]) => now.slice(0, at) + put + now.slice(at + cut), text),
    );
}
