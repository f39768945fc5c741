/** One capture with an interface for each link type, and ESP in everything that carries it. */
import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { PcapngWriter } from '../../src/capture/pcapng-writer.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { TunnelEnd } from '../../src/ipsec/tunnel-end.ts';
import { writeEspSa } from '../../src/sa-text/esp-sa.ts';
import { carried } from '../support/carried.ts';
import { esplane, tempFolder } from '../support/cli.ts';
import { address, ipv4Packet, RANDOM, saConfig } from '../support/sa.ts';

const folder = tempFolder();
const CONFIGS = [
  saConfig({ src: address('10.9.0.1'), dst: address('10.9.0.2'), spi: 0x101, esn: false }),
  saConfig({ src: address('2001:db8::91'), dst: address('2001:db8::92'), spi: 0x102, esn: false }),
];
const ends = CONFIGS.map((config) => new TunnelEnd(config, new NodeEngine(), RANDOM));

/** A frame of each kind, with a packet of its own. */
const FRAMES = carried(new Uint8Array(20), new Uint8Array(40)).map((_, i) => {
  const packets = ends.map((end) => {
    const sent = end.encapsulate(ipv4Packet(60));
    if (sent.verdict !== 'ok') throw new Error(sent.reason);
    return sent.packet;
  });
  return carried(packets[0]!, packets[1]!)[i]!;
});

function writeCapture(): string {
  const parts: Uint8Array[] = [];
  const writer = new PcapngWriter((bytes) => parts.push(bytes));
  writer.section({});
  const types = [...new Set(FRAMES.map(({ linkType }) => linkType))];
  for (const linkType of types) writer.interface({ linkType, snapLength: 0 });
  for (const [i, { frame, linkType }] of FRAMES.entries()) {
    const interfaceId = types.indexOf(linkType);
    writer.frame(frame, 0, frame.length, {
      seconds: 1_700_000_000 + i,
      nanoseconds: 0,
      interfaceId,
      originalLength: frame.length,
    });
  }
  writer.flush();
  const file = `${folder}/carried.pcapng`;
  writeFileSync(file, Buffer.concat(parts));
  return file;
}

interface Line {
  readonly frame: number;
  readonly verdict: string;
  readonly carrier: { readonly vni: number } | null;
  readonly carriers?: readonly string[];
}

it('decrypts ESP in everything that carries it, and what -w --wire hands on opens by itself', () => {
  const capture = writeCapture();
  writeFileSync(`${folder}/esp_sa`, writeEspSa(CONFIGS, { showKeys: true }));
  const self = `${folder}/self.pcapng`;
  const read = (...args: string[]) => {
    const { code, stdout, stderr } = esplane(['decrypt', ...args, '--json']);
    expect(code, stderr).toBe(0);
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
  };
  const lines = read(capture, '--esp-sa', `${folder}/esp_sa`);
  expect(lines.map(({ frame }) => frame)).toEqual(FRAMES.map((_, i) => i + 1));
  for (const [i, { name, carriers = [], vni }] of FRAMES.entries()) {
    expect(lines[i], name).toMatchObject({ verdict: 'ok', carrier: vni === undefined ? null : { vni } });
    const isPlain = carriers.length === 0 || (carriers.length === 1 && carriers[0] === 'vxlan');
    expect(lines[i]!.carriers, name).toEqual(isPlain ? undefined : carriers);
  }

  const made = esplane([
    ...['decrypt', capture, '--esp-sa', `${folder}/esp_sa`, '-q'],
    ...['-w', self, '--wire', '--with-secrets'],
  ]);
  expect(made.code).toBe(0);
  expect(made.stderr).toMatch(/AH: \d headers taken off, their ICVs not checked/);
  expect(read(self).map((line) => ({ ...line, basis: null }))).toEqual(
    lines.map((line) => ({ ...line, basis: null })),
  );
});
