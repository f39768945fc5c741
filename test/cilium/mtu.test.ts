import { expect, it } from 'vitest';
import { parseKeys } from '../../src/cilium/keys.ts';
import { ipsecOverhead, podMtu } from '../../src/cilium/mtu.ts';
import { DEFAULT_VERSION } from '../../src/cilium/version.ts';

function key(line: string) {
  const [parsed] = parseKeys(line, 'keys', DEFAULT_VERSION);
  if (!parsed) throw new Error('no key');
  return parsed;
}

const GCM = '44434241343332312423222114131211f4f3f2f1';
const GCM_128 = key(`3+ rfc4106(gcm(aes)) ${GCM} 128`);

// docs/cilium.md, "MTU"
it.each([
  [1500, undefined, 1423],
  [1500, 'ipv4', 1373],
  [1500, 'ipv6', 1353],
  [9001, undefined, 8924],
] as const)('device MTU %i, tunnel over %s: pods get %i', (device, underlay, want) => {
  expect(podMtu(device, GCM_128, underlay)).toBe(want);
});

it.each([
  ['ICV 128', GCM_128, 77],
  ['ICV 96', key(`3+ rfc4106(gcm(aes)) ${GCM} 96`), 73],
  ['ICV 256, as the agent counts before the kernel refuses it', { keyLen: 256 / 8 }, 93],
  ['hmac(sha256) of 32 hex digits', key(`3 hmac(sha256) ${'0a'.repeat(16)} cbc(aes) ${'0b'.repeat(16)}`), 93],
  [
    'hmac(sha512) of 64 hex digits',
    key(`3 hmac(sha512) ${'0a'.repeat(32)} cbc(aes) ${'0b'.repeat(16)}`),
    125,
  ],
] as const)('%s reserves its overhead', (_, of, want) => {
  expect(ipsecOverhead(of)).toBe(want);
});
