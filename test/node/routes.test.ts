import { describe, expect, it } from 'vitest';
import { xorshift32 } from '../../src/base/rng.ts';
import type { Route } from '../../src/cilium/ipcache.ts';
import { RouteTable } from '../../src/node/routes.ts';
import { formatPrefix, inPrefix, type Prefix, parsePrefix } from '../../src/wire/address.ts';
import { ip } from '../support/cilium-cluster.ts';

const prefix = (text: string): Prefix => parsePrefix(text)!;
const pod = (n: number): Route => ({ kind: 'pod', pod: n });

describe('the route table', () => {
  const table = new RouteTable();
  table.set(prefix('10.244.2.0/24'), pod(1));
  table.set(prefix('10.244.2.1'), pod(2));
  table.set(prefix('10.0.0.0/8'), pod(3));
  table.set(prefix('fd00:2::/64'), pod(4));
  table.set(prefix('fd00:2::1'), pod(5));

  it.each([
    ['10.244.2.20', 1, 'the range'],
    ['10.244.2.1', 2, 'the longest prefix wins: a router in its own pod range'],
    ['10.244.3.1', 3, 'the wider range'],
    ['11.0.0.1', undefined, 'nobody'],
    ['fd00:2::20', 4, 'IPv6'],
    ['fd00:2::1', 5, 'IPv6, longest'],
    ['fd00:2:0:1::1', undefined, 'behind the /64'],
    ['::', undefined, 'the zero address'],
  ])('%s is %s: %s', (address: string, want: number | undefined, _why: string) => {
    const b = ip(address);
    const route = table.lookup(b, 0, b.length);
    expect(route?.kind === 'pod' ? route.pod : undefined).toBe(want);
  });

  it('replaces and removes', () => {
    const t = new RouteTable();
    const at = ip('10.1.0.1');
    t.set(prefix('10.1.0.0/16'), pod(1));
    t.set(prefix('10.1.0.0/16'), pod(2));
    expect(t.lookup(at, 0, 4)).toEqual(pod(2));
    expect(t.remove(prefix('10.1.0.0/17'))).toBe(false);
    expect(t.remove(prefix('10.1.0.0/16'))).toBe(true);
    expect(t.lookup(at, 0, 4)).toBeUndefined();
  });

  // The hash table is the clever version; a scan over all prefixes is the obvious one.
  it('agrees with a scan, for prefixes of every length, while they come and go', () => {
    const next = xorshift32(0x20c7);
    const t = new RouteTable();
    const known = new Map<string, { prefix: Prefix; route: Route }>();
    const random = (len: 4 | 16) => {
      // Few different bits, so that prefixes hold each other.
      const address = new Uint8Array(len);
      for (let i = 0; i < len; i++) address[i] = next() % 3 === 0 ? 1 << (next() % 8) : 0;
      return address;
    };
    const masked = (address: Uint8Array, bits: number): Prefix => {
      const b = address.slice();
      for (let i = bits; i < b.length * 8; i++) b[i >>> 3]! &= ~(0x80 >>> (i & 7));
      return { address: b, bits };
    };
    let hits = 0;
    for (let step = 0; step < 3000; step++) {
      const len = next() % 2 === 0 ? 4 : 16;
      const p = masked(random(len), next() % (len * 8 + 1));
      const name = formatPrefix(p);
      if (next() % 4 === 0) {
        expect(t.remove(p)).toBe(known.delete(name));
      } else {
        known.set(name, { prefix: p, route: pod(step) });
        t.set(p, pod(step));
      }
      const address = random(len);
      let want: { prefix: Prefix; route: Route } | undefined;
      for (const entry of known.values()) {
        if (inPrefix(entry.prefix, address) && entry.prefix.bits >= (want?.prefix.bits ?? 0)) want = entry;
      }
      if (want) hits++;
      expect(t.lookup(address, 0, len)).toEqual(want?.route);
    }
    expect(hits).toBeGreaterThan(1000);
  });
});
