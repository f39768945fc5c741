/**
 * Two states that one template without SPI asks for: which does Linux send by, and which do we? Both get the same states
 * and the same packets.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { NobleEngine } from '../../src/crypto/noble.ts';
import { Encapsulator } from '../../src/ipsec/encapsulate.ts';
import { SecurityAssociation } from '../../src/ipsec/sa.ts';
import { Sad } from '../../src/ipsec/sad.ts';
import { SaChoice } from '../../src/node/sa-choice.ts';
import { parseXfrmState } from '../../src/sa-text/xfrm-sas.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { udp4 } from '../support/datagram.ts';
import { batchOf } from '../support/frames.ts';
import { needs } from '../support/needs.ts';
import { RANDOM } from '../support/sa.ts';
import { runInUml, UML_NEEDS } from '../support/uml.ts';

const PACKETS = 5;
const KEY = `aead 'rfc4106(gcm(aes))' 0x${'a7'.repeat(20)} 128`;

/** What is added, in this order, to a template's request 1: SPI, and what else `ip xfrm state add` takes. */
const CASES: Readonly<Record<string, readonly (readonly [number, string])[]>> = {
  'two alike': [
    [1, ''],
    [2, ''],
  ],
  'two alike, the other way round': [
    [2, ''],
    [1, ''],
  ],
  'the newer one reaches a soft limit': [
    [1, ''],
    [2, 'limit packet-soft 2'],
  ],
  'the newer one reaches a hard limit': [
    [1, ''],
    [2, 'limit packet-hard 2'],
  ],
  'the newer one does not cover the packet': [
    [1, ''],
    [2, 'sel src 10.9.0.0/16 dst 10.2.0.0/16'],
  ],
  'none covers the packet': [[2, 'sel src 10.9.0.0/16 dst 10.2.0.0/16']],
};

/** Sends them as UDP. */
const SEND = `use Socket; socket(S, PF_INET, SOCK_DGRAM, 0); send(S, "x", 0, pack_sockaddr_in(9, inet_aton("10.2.0.1"))) for 1..${PACKETS}`;

/** Prints, for each case, the states before, then SPI and packets of each after some packets. */
const SCRIPT = `
ip link add v type veth peer name w; ip link set w up; ip addr add 192.0.2.1/24 dev v; ip link set v up; ip addr add 10.1.0.1/16 dev lo
ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev v
ip route add 10.2.0.0/16 via 192.0.2.2 src 10.1.0.1
ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 1 mode tunnel
${Object.values(CASES)
  .map(
    (states) => `
${states.map(([spi, more]) => `ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi ${spi} reqid 1 mode tunnel ${KEY} ${more}`).join('\n')}
ip -s xfrm state; echo ---
perl -e '${SEND}'
ip -s xfrm state; echo ===
ip xfrm state flush`,
  )
  .join('\n')}`;

needs(UML_NEEDS, 'the state that Linux sends by', () => {
  let said: string[] = [];
  beforeAll(async () => {
    const { stdout, exit } = await runInUml(SCRIPT, { timeout: 60_000 });
    expect(exit).toBe(0);
    said = stdout.split('===\n');
  }, 70_000);

  describe.each(Object.keys(CASES).map((name, at) => ({ name, at })))('$name', ({ at }) => {
    it('is the one that we choose, packet by packet', () => {
      const [before, after] = said[at]!.split('---\n') as [string, string];
      const sad = new Sad();
      const engine = new NobleEngine();
      // The kernel prints the newest first.
      for (const config of parseXfrmState(before, 'guest').reverse())
        sad.add(new SecurityAssociation(config, engine, RANDOM));
      const choice = new SaChoice(sad);
      const encapsulator = new Encapsulator(sad, engine, 1, RANDOM.random);
      const template = { reqid: 1, mode: 'tunnel', level: 'required' } as const;
      for (let n = 0; n < PACKETS; n++) {
        const batch = batchOf([udp4(30, { src: parseAddress('10.1.0.1')!, dst: parseAddress('10.2.0.1')! })]);
        batch.sa[0] = choice.choose(template, batch.slab, batch.offset[0]!, 0);
        encapsulator.run(batch);
      }
      const ours = sad.sas
        .flatMap((sa) => (sa && !sa.gone ? [[sa.config.spi, sa.life.packets]] : []))
        .reverse();
      const theirs = [
        ...after.matchAll(/spi (0x[0-9a-f]+)[\s\S]*?lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)/g),
      ].map(([, spi, packets]) => [Number(spi), Number(packets)]);
      expect(ours).toEqual(theirs);
    });
  });
});
