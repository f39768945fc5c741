import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as esplane from '../src/index.ts';
import { ipv4Packet } from './support/sa.ts';

it('what the README and the module comment show works as it stands there', () => {
  const { aead, NobleEngine, parseAddress, secureBytes, TunnelEnd } = esplane;
  const sa = {
    src: parseAddress('192.0.2.1')!,
    dst: parseAddress('192.0.2.2')!,
    spi: 3,
    mode: 'tunnel' as const,
    keys: aead('rfc4106(gcm(aes))', new Uint8Array(20), 128),
    esn: true,
    replayWindow: 1024,
    reqid: 1,
    flags: [],
    origin: 'mine',
  };
  const sender = new TunnelEnd(sa, new NobleEngine(), { random: secureBytes });
  const receiver = new TunnelEnd(sa, new NobleEngine(), { random: secureBytes });
  const packet = ipv4Packet(100);
  const sent = sender.encapsulate(packet);
  expect(sent.verdict).toBe('ok');
  if (sent.verdict !== 'ok') return;
  expect(receiver.decapsulate(sent.packet)).toEqual({ verdict: 'ok', packet });
  expect(receiver.decapsulate(sent.packet)).toEqual({
    verdict: 'drop',
    reason: 'replay-seen',
    counter: 'XfrmInStateSeqError',
  });
});

it('nothing that the package exports pulls in what only Node has', () => {
  const seen = new Set<string>();
  const walk = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(new URL(file, import.meta.url), 'utf8');
    expect(text.match(/from 'node:/), file).toBeNull();
    const folder = file.slice(0, file.lastIndexOf('/') + 1);
    for (const [, to] of text.matchAll(/from '(\.[^']+)'/g)) {
      walk(new URL(`${folder}${to}`, 'file:///x/y/').pathname.replace('/x/', '../'));
    }
  };
  walk('../src/index.ts');
  expect(seen.size).toBeGreaterThan(40);
});
