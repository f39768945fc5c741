import { describe, expect, it } from 'vitest';
import { NobleEngine } from '../../src/crypto/noble.ts';
import { SecurityAssociation } from '../../src/ipsec/sa.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { Sad } from '../../src/ipsec/sad.ts';
import type { Template } from '../../src/ipsec/spd.ts';
import { SaChoice } from '../../src/node/sa-choice.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { ipv4Packet, RANDOM, saConfig } from '../support/sa.ts';

const PACKET = ipv4Packet(60);
const OTHERS = { src: parsePrefix('10.9.0.0/16')!, dst: parsePrefix('10.0.0.0/8')! };

function setUp() {
  const sad = new Sad();
  const choice = new SaChoice(sad);
  const engine = new NobleEngine();
  const make = (spi: number, given: Partial<SaConfig> = {}) =>
    new SecurityAssociation(saConfig({ spi, ...given }), engine, RANDOM);
  const template: Template = { reqid: 1, mode: 'tunnel', level: 'required' };
  /** The SPI of the SA chosen; 0 for none. */
  const chosen = (asked: Partial<Template> = {}, mark = 0) =>
    sad.sas[choice.choose({ ...template, ...asked }, PACKET, 0, mark)]?.config.spi ?? 0;
  return { sad, make, chosen, choice, template };
}

// Each tried on Linux 6.1 in User-mode Linux: two states of one reqid, `ip xfrm state add` 2 s apart or in one second,
// a template without spi, and the packet counters of `ip -s xfrm state` after a ping.
describe('among several SAs that a template asks for', () => {
  it('the newest is taken, whichever place it has in the table', () => {
    const { sad, make, chosen } = setUp();
    const first = sad.add(make(1));
    sad.add(make(2));
    expect(chosen()).toBe(2);
    sad.remove(first);
    sad.add(make(3));
    expect(sad.sas.map((sa) => sa?.config.spi)).toEqual([3, 2]);
    expect(chosen()).toBe(3);
  });

  it('one of CPU 0 is before those of all, and those of other CPUs are not taken', () => {
    const { sad, make, chosen } = setUp();
    sad.add(make(1, { cpu: 1 }));
    expect([chosen(), chosen({ dst: saConfig().dst, spi: 1 })]).toEqual([0, 0]);
    sad.add(make(2, { cpu: 0 }));
    sad.add(make(3));
    expect(chosen()).toBe(2);
  });

  it('of those that come together the first is, as `ip xfrm state` prints it', () => {
    const { sad, make, chosen } = setUp();
    const newest = sad.reserve(2) + 1;
    [make(1), make(2)].forEach((sa, k) => void sad.add(sa, newest - k));
    expect(chosen()).toBe(1);
    sad.add(make(3));
    expect(chosen()).toBe(3);
  });

  it('one that takes the place of another has its age', () => {
    const { sad, make, chosen } = setUp();
    sad.add(make(1));
    sad.add(make(2));
    sad.replace(0, make(1, { flags: ['noecn'] }));
    expect(chosen()).toBe(2);
  });

  it('one that met its soft limit is the last choice', () => {
    const { sad, make, chosen } = setUp();
    sad.add(make(1));
    const index = sad.add(make(2, { lifetime: { softPackets: 2 } }));
    const { life } = sad.sas[index]!;
    for (let n = 0; n < 2; n++) {
      expect(chosen()).toBe(2);
      life.expired();
      life.count(60);
    }
    expect(chosen(), 'Linux notices with the third packet, and lets that one pass').toBe(2);
    life.expired();
    expect(chosen()).toBe(1);
    sad.remove(0);
    expect(chosen()).toBe(2);
  });

  it('one that met its hard limit is none', () => {
    const { sad, make, chosen } = setUp();
    sad.add(make(1));
    sad.sas[sad.add(make(2))]!.gone = true;
    expect(chosen()).toBe(1);
    sad.sas[0]!.gone = true;
    expect(chosen()).toBe(0);
  });

  it('one whose selector does not cover the packet is none', () => {
    const { sad, make, chosen } = setUp();
    sad.add(make(1));
    sad.add(make(2, { selector: OTHERS }));
    expect(chosen()).toBe(1);
    sad.remove(0);
    expect(chosen(), 'XfrmOutNoStates').toBe(0);
    expect(chosen({ spi: 2, dst: saConfig().dst }), 'named by its SPI: XfrmOutPolError comes later').toBe(2);
  });

  it('one for other marks, another mode, source or request is none', () => {
    const { sad, make, chosen } = setUp();
    sad.add(make(1, { mark: { value: 0x3e00, mask: 0xff00 } }));
    sad.add(make(2, { mode: 'transport' }));
    sad.add(make(3, { reqid: 9 }));
    sad.add(make(4, { src: Uint8Array.of(1, 2, 3, 4) }));
    const { src } = saConfig();
    expect(chosen({ src }, 0x3e01)).toBe(1);
    expect(chosen({ src }, 0)).toBe(0);
    expect(chosen({ src, mode: 'transport' })).toBe(2);
    expect(chosen({ src, reqid: 9 })).toBe(3);
    expect(chosen()).toBe(4);
  });

  it('what is worked out once is forgotten when the table changes', () => {
    const { sad, make, choice, template } = setUp();
    const spi = () => sad.sas[choice.choose(template, PACKET, 0, 0)]?.config.spi;
    expect(spi()).toBeUndefined();
    const index = sad.add(make(1));
    expect([spi(), spi()]).toEqual([1, 1]);
    sad.replace(index, make(1, { reqid: 5 }));
    expect(spi()).toBeUndefined();
    sad.remove(index);
    expect(spi()).toBeUndefined();
  });
});
