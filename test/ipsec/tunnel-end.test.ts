import { describe, expect, it } from 'vitest';
import { NodeEngine } from '../../src/crypto/node.ts';
import { type Outcome, TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { ipv4Packet, RANDOM, saConfig } from '../support/sa.ts';

const end = (given = {}) => new TunnelEnd(saConfig(given), new NodeEngine(), RANDOM);
const reasonOf = (outcome: Outcome) => (outcome.verdict === 'drop' ? outcome.reason : 'ok');

describe('one SA by itself', () => {
  it('says that a packet is longer than IP allows, and takes the longest', () => {
    expect(reasonOf(end().encapsulate(new Uint8Array(0x1_0000)))).toBe('out-too-big');
    expect(reasonOf(end().decapsulate(new Uint8Array(0x1_0000)))).toBe('header-error');
    const longest = ipv4Packet(0xffff);
    // It is IPv4 of a legal length; with ESP around it, it is too long.
    expect(reasonOf(end().encapsulate(longest))).toBe('out-too-big');
    expect(end().decapsulate(longest)).toMatchObject({ verdict: 'drop', reason: 'header-error' });
  });

  it('says that a packet has no ESP', () => {
    expect(end().decapsulate(ipv4Packet(60))).toMatchObject({ verdict: 'drop', reason: 'header-error' });
  });

  it('opens what it has sealed, once, and leaves both packets alone', () => {
    const [out, into] = [end(), end()];
    const packet = ipv4Packet(100);
    const before = packet.slice();
    const sealed = out.encapsulate(packet);
    if (sealed.verdict !== 'ok') throw new Error(sealed.reason);
    const frame = sealed.packet.slice();
    expect(into.decapsulate(sealed.packet)).toEqual({ verdict: 'ok', packet: before });
    expect([packet, sealed.packet]).toEqual([before, frame]);
    expect(into.decapsulate(frame)).toMatchObject({
      verdict: 'drop',
      reason: 'replay-seen',
      counter: 'XfrmInStateSeqError',
    });
  });

  it('refuses IP-TFS, where one packet holds many', () => {
    expect(() => end({ mode: 'iptfs' })).toThrow(/^mode iptfs: a packet holds many/);
  });

  it('finds ESP on the ports of its own SA', () => {
    const encap = { sport: 5000, dport: 6000 };
    const sealed = end({ encap }).encapsulate(ipv4Packet(100));
    if (sealed.verdict !== 'ok') throw new Error(sealed.reason);
    expect(end({ encap }).decapsulate(sealed.packet).verdict).toBe('ok');
  });
});
