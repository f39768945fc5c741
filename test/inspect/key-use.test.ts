import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { seededBytes } from '../../src/base/rng.ts';
import { captureReader } from '../../src/capture/reader.ts';
import { parseVersion } from '../../src/cilium/version.ts';
import { loadOpening } from '../../src/cli/evidence-options.ts';
import { NodeEngine } from '../../src/crypto/node.ts';
import { KeyUses } from '../../src/inspect/key-use.ts';
import { CaptureSession } from '../../src/inspect/session.ts';
import { CaptureSas } from '../../src/sa-text/capture-sas.ts';
import { saOptions } from '../support/decrypt.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';

async function linesOf(folder: string, version: string): Promise<string[]> {
  const own = new CaptureSas(() => {});
  const given = { keys: [`${folder}/keys`], nodes: [`${folder}/ciliumnodes.json`] };
  const { evidence, udpPorts } = await loadOpening(
    saOptions({ ...given, cilium: parseVersion(version)! }),
    own,
  );
  const uses = new KeyUses(evidence);
  const session = new CaptureSession({
    source: 'test',
    own,
    evidence,
    engine: new NodeEngine(),
    random: seededBytes(1),
    udpPorts,
    sinks: [uses],
  });
  const reader = captureReader('test', session);
  reader.feed(readFileSync(`${folder}/wire.pcap`));
  reader.end();
  session.receiver.flush();
  return uses.lines();
}

needs([shared('captures')], 'how keys are used is said where the version given says otherwise', () => {
  it.each([
    [
      'global-key-v4',
      '1.18',
      [/^key id 5 is used as it is, not derived for each tunnel, as Cilium up to 1\.16/],
    ],
    ['global-key-v4', '1.16', []],
    ['faults-esn', '1.18', []],
  ])('%s with --cilium %s', async (name, version, lines) => {
    expect(await linesOf(`${CAPTURES}/${name}`, version)).toEqual(
      lines.map((line) => expect.stringMatching(line)),
    );
  });
});
