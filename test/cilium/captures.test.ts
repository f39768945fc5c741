/**
 * The plan against a real kernel: the states that node-1 and node-2 had in every shared capture.
 * @module
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { parseNodes } from '../../src/cilium/nodes.ts';
import { ClusterPlan } from '../../src/cilium/plan.ts';
import { readKeys } from '../../src/cilium/secret.ts';
import { DEFAULT_VERSION, parseVersion } from '../../src/cilium/version.ts';
import { ip } from '../support/cilium-cluster.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';

/** The window is set by hand there: no Cilium version has it (pcaps/linux-6.1/README.md). */
const NOT_CILIUM = 'faults-window64';
const GLOBAL_KEY = 'global-key-v4';

interface KernelState {
  readonly src: string;
  readonly dst: string;
  readonly spi: number;
  /** Hex: the AEAD key material, or the integrity key and then the cipher key. */
  readonly key: string;
  readonly esn: boolean;
  readonly window: number;
}

/** What counts here of `ip -s xfrm state`. */
function kernelStates(text: string): KernelState[] {
  return text
    .split(/^(?=src )/m)
    .filter((state) => state.startsWith('src '))
    .map((state) => {
      const take = (pattern: RegExp) => pattern.exec(state)?.[1] ?? '';
      return {
        src: take(/^src (\S+)/),
        dst: take(/^src \S+ dst (\S+)/),
        spi: Number(take(/ spi (0x[0-9a-f]+)/)),
        key:
          take(/\taead \S+ 0x([0-9a-f]+)/) ||
          take(/\tauth-trunc \S+ 0x([0-9a-f]+)/) + take(/\tenc \S+ 0x([0-9a-f]+)/),
        esn: / flag esn /.test(state),
        window: Number(take(/ replay_window (\d+)/)),
      };
    });
}

needs([shared('captures')], 'the plan against the kernel', () => {
  const root = `${CAPTURES}/`;
  const folders = readdirSync(root).filter(
    (name) => existsSync(`${root}${name}/wire.pcap`) && name !== NOT_CILIUM,
  );

  it('has all captures that Cilium could have made', () => {
    expect(folders.length).toBeGreaterThanOrEqual(12);
  });

  it.each(folders)('%s', (folder) => {
    const read = (file: string) => readFileSync(`${root}${folder}/${file}`, 'utf8');
    const version = folder === GLOBAL_KEY ? parseVersion('1.16') : DEFAULT_VERSION;
    const keys = readKeys(read('keys'), 'keys', version);
    const plan = new ClusterPlan(keys, parseNodes(read('ciliumnodes.json'), 'nodes'), { version });

    // While node-2 of boot-id-mismatch has one wrong key on purpose, node-1 is right; rotation ended with all states.
    const texts = [
      'n1.xfrm_state.txt',
      'n2.xfrm_state.txt',
      'n1.xfrm_state.rotating.txt',
      'n2.xfrm_state.rotating.txt',
    ];
    const present = texts.filter((file) => existsSync(`${root}${folder}/${file}`));
    const wrong: string[] = [];
    let compared = 0;
    for (const file of present) {
      for (const state of kernelStates(read(file))) {
        const sa = plan.between(ip(state.src), ip(state.dst)).find(({ spi }) => spi === state.spi);
        expect(sa, `${file}: ${state.src} -> ${state.dst}`).toMatchObject({
          esn: state.esn,
          replayWindow: state.window,
        });
        if (!sa) continue;
        const planned = toHex(sa.keys.macKey()) + toHex(sa.keys.key()) + toHex(sa.keys.salt());
        if (planned !== state.key) wrong.push(`${file}: ${state.src} -> ${state.dst}`);
        compared++;
      }
    }
    expect(compared).toBeGreaterThanOrEqual(4);
    expect(wrong).toEqual(
      folder === 'boot-id-mismatch' ? ['n2.xfrm_state.txt: 10.244.1.1 -> 10.244.2.1'] : [],
    );
  });
});
