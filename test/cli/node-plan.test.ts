import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { InputFiles } from '../../src/cli/input-files.ts';
import { parseNodeConfig } from '../../src/cli/node-config.ts';
import { loadStaticPlan } from '../../src/cli/node-plan.ts';
import { Spd } from '../../src/ipsec/spd.ts';
import { tempFolder } from '../support/cli.ts';
import { needs, SHARED, shared } from '../support/needs.ts';

const STATE = `src 192.0.2.1 dst 192.0.2.2
	proto esp spi 0x00000003 reqid 1 mode tunnel
	replay-window 0
	aead rfc4106(gcm(aes)) 0x4142434445464748494a4b4c4d4e4f5001020304 128
`;
const POLICY = `src 10.244.1.0/24 dst 10.244.2.0/24
	dir out priority 0
	tmpl src 192.0.2.1 dst 192.0.2.2
		proto esp reqid 1 mode tunnel
`;

/** Plans the node that a text of states and one of policies describe. */
async function planned(state: string, policy: string) {
  const folder = tempFolder();
  writeFileSync(`${folder}/state`, state);
  writeFileSync(`${folder}/policy`, policy);
  const config = parseNodeConfig(
    `name: n1
inside: { device: esp0, addresses: [10.244.1.1/24] }
outside: { link: udp, address: 192.0.2.1 }
xfrm: { state: [${folder}/state], policy: [${folder}/policy] }
pods: [10.244.1.0/24]
`,
    'node.yaml',
  );
  const said: string[] = [];
  const { plan } = await loadStaticPlan(config, new InputFiles(), (line) =>
    said.push(line.replace(`${folder}/`, '')),
  );
  return { plan, said };
}

describe('loadStaticPlan', () => {
  it('uses states and policies, and has nothing to say of what it does', async () => {
    const { plan, said } = await planned(STATE, POLICY);
    expect([plan.sas.length, plan.policies.length, said]).toEqual([1, 1, []]);
    const timed = await planned(
      `${STATE}\tlifetime config:\n\t  expire add: soft 0(sec), hard 60(sec)\n\t  expire use: soft 5(sec), hard 0(sec)\n`,
      POLICY,
    );
    expect([timed.plan.sas[0]?.lifetime, timed.said]).toEqual([
      { hardAddSeconds: 60, softUseSeconds: 5 },
      [],
    ]);
  });

  it('asks the older of two policies of one priority first, as the kernel that printed the newer one first', async () => {
    const newer = POLICY.replace('10.244.2.0/24', '10.244.2.7/32').replace('dir out', 'dir out action block');
    const { plan } = await planned(STATE, `${newer}${POLICY}`);
    const node = new Spd();
    for (const policy of plan.policies) node.set(policy);
    expect(node.policies('out').map(({ action }) => action)).toEqual(['allow', 'block']);
  });

  it('leaves out a state of an xfrm interface or a device, and says so', async () => {
    const other = STATE.replace('0x00000003', '0x00000004');
    const { plan, said } = await planned(
      `${STATE}${other}\tif_id 0x2b\n${other}\tsel src 0.0.0.0/0 dst 0.0.0.0/0 dev eth1\n`,
      POLICY,
    );
    expect(plan.sas.map(({ spi }) => spi)).toEqual([3]);
    expect(said).toEqual([
      'state:5: the state is left out: it is for an xfrm interface (if_id), which esplane node does not have',
      'state:10: the state is left out: it is for one device (sel … dev), which esplane node does not look at',
    ]);
  });

  it.each([
    [
      '\tcrypto offload parameters: dev eth0 dir out\n',
      'is offloaded to eth0: esplane node encrypts by itself',
    ],
    ['\tpcpu-num 3\n', 'belongs to CPU 3 (pcpu-num): esplane node sends as CPU 0, and only receives by it'],
    ['\ttfcpad 100\n', 'asks for TFC padding (tfcpad), which esplane node does not add'],
  ])('uses a state with %j, and says what is not done', async (more, says) => {
    const { plan, said } = await planned(STATE + more, POLICY);
    expect([plan.sas.length, said]).toEqual([1, [`state:1: the state ${says}`]]);
  });

  it.each([
    [
      '\tif_id 0x2b\n',
      /policy:1: the policy is for an xfrm interface \(if_id\), which esplane node does not have/,
    ],
    ['\tsecurity context system_u:object_r:x_t:s0\n', /the policy is for one security context, which/],
  ])('refuses a policy with %j', async (more, message) => {
    const [head, ...rest] = POLICY.split('\n');
    const [dir, ...tmpl] = rest;
    await expect(planned(STATE, [head, dir, `${more.trimEnd()}`, ...tmpl].join('\n'))).rejects.toThrow(
      message,
    );
  });

  it('refuses a policy for one device, and says that one of a socket, and an offload, count for nothing', async () => {
    await expect(planned(STATE, POLICY.replace('/24\n', '/24 dev eth0\n'))).rejects.toThrow(
      /is for one device \(dev\)/,
    );
    const offloaded = POLICY.replace(
      'priority 0\n',
      'priority 0\n\tcrypto offload parameters: dev eth0 mode packet\n',
    );
    const socket = 'src 0.0.0.0/0 dst 0.0.0.0/0\n\tsocket in priority 0\n';
    const { plan, said } = await planned(STATE, offloaded + socket);
    expect([plan.policies.length, said]).toEqual([
      1,
      [
        'policy:1: the policy is offloaded to eth0: esplane node keeps it by itself',
        'policy:6: the policy is left out: it belongs to one socket',
      ],
    ]);
  });
});

needs([shared('cases')], 'policies as people have them', () => {
  it.each(['tunnel-first', 'block-first'])(
    'case texts 01: %s keeps both policies out, each with its ports',
    async (order) => {
      const folder = `${SHARED}cases/texts/01-policy-ports-node`;
      const copy = tempFolder();
      cpSync(folder, copy, { recursive: true });
      const text = readFileSync(`${copy}/node-${order}.yaml`, 'utf8').replace(
        /\[(state|policy-[\w-]+)\]/g,
        `[${copy}/$1]`,
      );
      const said: string[] = [];
      const { plan } = await loadStaticPlan(parseNodeConfig(text, 'node.yaml'), new InputFiles(), (line) =>
        said.push(line),
      );
      const out = plan.policies.filter(({ dir }) => dir === 'out').sort((a, b) => a.priority - b.priority);
      expect(out).toMatchObject([
        { action: 'block', priority: 5, selector: { proto: 6, dport: 7 } },
        { action: 'allow', priority: 100 },
      ]);
      expect(said).toEqual([]);
    },
  );
});
