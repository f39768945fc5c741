import { expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import { readPolicies } from '../../src/sa-text/to-policy.ts';
import { esplane } from '../support/cli.ts';
import { CAPTURES, needs, shared } from '../support/needs.ts';

needs([shared('captures')], 'esplane sas --node', () => {
  const files = (folder: string) => [
    '--keys',
    `${CAPTURES}/${folder}/keys`,
    '--nodes',
    `${CAPTURES}/${folder}/ciliumnodes.json`,
  ];
  const sas = (folder: string, ...more: readonly string[]) =>
    esplane(['sas', ...files(folder), '--node', 'node-1', '--format', 'ip-xfrm', ...more]);

  it('prints what the agent of one node installs, marks and all', () => {
    const { code, stdout } = sas('vxlan-in-esp', '--mode', 'tunnel');
    expect(code).toBe(0);
    const lines = stdout.trim().split('\n');
    expect(lines).toHaveLength(8); // two pairs, two families, two directions
    for (const line of lines)
      expect(line).toMatch(/ reqid 1 mode tunnel replay-window 1024 flag esn mark 0x/);
    const out = lines.filter((line) => / output-mark 0xe00 mask 0xffffff00 /.test(line));
    const into = lines.filter((line) => / output-mark 0xd00 mask 0xffffff00 /.test(line));
    expect([out.length, into.length]).toEqual([4, 4]);
    const id = /mark (0x[0-9a-f]+) mask 0xffffff00/.exec(out[0]!)![1]!;
    expect(Number(id) & 0xffff).toBe(0x7e00);
    const decrypt = (((Number(id) >>> 16) << 16) | 0xd00) >>> 0;
    for (const line of into) expect(line).toContain(`mark 0x${decrypt.toString(16)} mask 0xffff0f00`);
  });

  it('prints the policies that lead to them', () => {
    const { stdout } = sas('native-v4', '--mode', 'native', '--policies');
    const policies = stdout.split('\n').filter((line) => line.startsWith('ip xfrm policy add'));
    expect(policies).toContain(
      'ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir out mark 0xe00 mask 0xf00 action block priority 100',
    );
    expect(policies).toContain(
      'ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir fwd priority 2975 tmpl src 0.0.0.0 dst 0.0.0.0 proto esp mode tunnel level use',
    );
    expect(policies.filter((line) => / dst 10\.244\.2\.0\/24 dir out mark /.test(line))).toHaveLength(1);
    // Commands, and not what a kernel prints.
    expect(() => readPolicies(stdout, 'x').policies).toThrow(InputError);
  });

  // docs/cilium.md, "Rules and routes".
  it('prints the ip rule and the routes of table 200, by release', () => {
    const routes = (...more: string[]) =>
      sas('native-v4', '--policies', ...more)
        .stdout.split('\n')
        .filter((line) => /^ip (-6 )?(rule|route) /.test(line) || line.startsWith('#'));
    const native = routes('--mode', 'native', '--cilium', '1.20');
    expect(native.filter((line) => line.startsWith('ip -6'))).toHaveLength(3);
    expect(native.filter((line) => !line.startsWith('ip -6'))).toEqual([
      '# assumed: device eth0 (--device), MTU 1500 (--mtu)',
      'ip rule add fwmark 0xd00/0xf00 pref 1 table 200',
      'ip route add local 10.244.1.0/24 dev eth0 table 200',
      'ip route add 10.244.2.0/24 dev cilium_host mtu 1500 table 200',
    ]);
    const tunnel = routes('--mode', 'tunnel', '--cilium', '1.18', '--mtu', '9001');
    expect(tunnel).toContain('ip rule add fwmark 0xe00/0xf00 pref 1 table 200');
    expect(tunnel).toContain('ip route add local 10.244.1.0/24 dev cilium_vxlan table 200');
    expect(tunnel).toContain('ip route add 10.244.2.0/24 dev cilium_host mtu 9001 table 200');
    expect(tunnel.filter((line) => line.startsWith('#'))).toEqual([]);
    expect(routes('--mode', 'eni', '--device', 'ens5')).toContain(
      'ip route add local 10.244.1.0/24 dev ens5 table 200',
    );
  });

  it('takes the ids that the node has', () => {
    const ids = ['--node-id', 'node-2=0x3cb2', '--mode', 'native', '--policies'];
    const { stdout } = sas('native-v4', ...ids);
    expect(stdout).toBe(sas('native-v4', ...ids).stdout);
    expect(stdout).toMatch(/^ip xfrm state add .* mark 0x3cb23e00 mask 0xffffff00 /m);
    expect(stdout).toMatch(
      /^ip xfrm policy add .* dir out mark 0xe00 mask 0xf00 action block priority 100\n/,
    );
    expect(stdout).toContain('mark 0x3cb20d00 mask 0xffff0f00');
    expect(stdout).toMatch(/^ip xfrm policy add .* dir out mark 0x3cb23e00 mask 0xffffff00 priority 0 /m);
  });

  it.each([
    ['an id for no peer', ['--node', 'node-1', '--node-id', 'node-1=7'], /node-1 has no peer node-1/],
    [
      'two ids for a peer',
      ['--node', 'node-1', '--node-id', 'node-2=7', '--node-id', 'node-2=8'],
      /node-2 has two ids/,
    ],
    ['an id that is none', ['--node', 'node-1', '--node-id', 'node-2=65536'], /like node-2=0x3cb2/],
    ['an id without a node', ['--node-id', 'node-2=7'], /--node NAME/],
    ['a node that is not there', ['--node', 'node-9'], /no node is called node-9.*node-1, node-2/],
    ['policies without a node', ['--policies', '--format', 'ip-xfrm'], /--node NAME/],
    ['a device without policies', ['--node', 'node-1', '--device', 'eth1'], /--device.*Give --policies/],
    ['a device that a shell would read', ['--device', 'x;reboot'], /name of an interface/],
    ['an MTU that is none', ['--mtu', '12'], /from 68 to 65535/],
    ['a mode without a node', ['--mode', 'native'], /--node NAME/],
  ])('refuses %s', (_, options, problem) => {
    const { code, stderr } = esplane(['sas', ...files('native-v4'), ...options]);
    expect(code).toBe(2);
    expect(stderr).toMatch(problem);
  });
});
