import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/errors.ts';
import { parseNodeConfig } from '../../src/cli/node-config.ts';

const GOOD = `
name: node-1
outside: { link: udp, address: 192.168.0.1 }
keys: keys
nodes: nodes.json
`;

describe('parseNodeConfig', () => {
  it('fills in what is left out, and finds files beside the configuration', () => {
    const config = parseNodeConfig(GOOD, '/etc/esplane/node.yaml');
    expect(config.keys).toEqual(['/etc/esplane/keys']);
    expect(config.outside).toMatchObject({ mtu: 'auto', mark: 0 });
    expect(config.inside).toMatchObject({ device: 'esp%d', offload: true, queues: 1, routes: true });
    expect(config.inside.identity, 'unmanaged').toBe(3);
    expect(config.crypto).toBe('auto');
    expect(config).toMatchObject({ watch: true, order: 'install-first' });
  });

  it('reads what is for the agent', () => {
    const more = 'publish: out/me.json\nkey-rotation-duration: 1m30s\nstrict: 10.0.0.0/8\nmode: tunnel';
    expect(parseNodeConfig(`${GOOD}${more}`, '/etc/esplane/node.yaml')).toMatchObject({
      publish: '/etc/esplane/out/me.json',
      'key-rotation-duration': 90_000,
      strict: '10.0.0.0/8',
      mode: 'tunnel',
    });
  });

  it.each([
    ['name: [', /node.yaml:1: not YAML/],
    ['just text', /node.yaml:1: the file/],
    ['', /node.yaml:1: the file/],
    [`${GOOD}name: node-2`, /node.yaml:6: not YAML: the key name stands here twice/],
    [`a: &a [x,x]\nb: &b [${'*a,'.repeat(99)}]\nc: [${'*b,'.repeat(99)}]`, /node.yaml:2: \*a stands for/],
    [GOOD.replace('udp', 'tcp'), /node.yaml:3: outside\.link/],
    [GOOD.replace('192.168.0.1', '192.168.0.1, port: 70000'), /outside\.port/],
    [`${GOOD}inside: { addresses: [10.0.0.1.2/24] }`, /inside\.addresses\.0: is no prefix/],
    [`${GOOD}inside: { mtu: 12 }`, /inside\.mtu/],
    // Host: what peers drop. And more than a VNI holds.
    [`${GOOD}inside: { identity: 1 }`, /inside\.identity/],
    [`${GOOD}inside: { identity: 16777216 }`, /inside\.identity/],
    [`${GOOD}colour: red`, /node.yaml:6: .*colour/],
    [`${GOOD}flows: ''`, /node.yaml:6: flows/],
    [`${GOOD}crypto: rot13`, /crypto/],
    [`${GOOD}key-rotation-duration: soon`, /key-rotation-duration: is no duration/],
    [`${GOOD}strict: fd00::/8`, /strict: is not IPv4/],
    [`${GOOD}order: none`, /node.yaml:6: order/],
    [
      'name: a\noutside: { link: raw, address: 1.2.3.4 }\nxfrm: { state: a, policy: b }\npods: [10.0.0.0/8]\npublish: x',
      /publish: is for keys and nodes/,
    ],
    [GOOD.replace('keys: keys', ''), /keys and nodes belong together/],
    [`${GOOD}xfrm: { state: a, policy: b }`, /SAs come from keys and nodes, or from xfrm/],
    [
      'name: a\noutside: { link: raw, address: 1.2.3.4 }\nxfrm: { state: a, policy: b }',
      /which pods are here/,
    ],
  ])('says what is wrong: %#', (text, why) => {
    expect(() => parseNodeConfig(text, 'node.yaml')).toThrow(InputError);
    expect(() => parseNodeConfig(text, 'node.yaml')).toThrow(why);
  });
});
