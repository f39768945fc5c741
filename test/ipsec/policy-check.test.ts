import { describe, expect, it } from 'vitest';
import { dropRow } from '../../src/ipsec/drop.ts';
import { checkPolicy, complies, type UsedSa } from '../../src/ipsec/policy-check.ts';
import type { SaConfig } from '../../src/ipsec/sa-config.ts';
import { type Policy, Spd, type Template } from '../../src/ipsec/spd.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { address, ipv4Packet, saConfig } from '../support/sa.ts';

const any = parsePrefix('0.0.0.0/0')!;

function policy(template: Partial<Template>[], given: Partial<Policy> = {}): Policy {
  return {
    dir: 'fwd',
    selector: { src: any, dst: any },
    action: 'allow',
    priority: 0,
    templates: template.map((t) => ({ mode: 'tunnel', level: 'required', ...t })),
    ...given,
  };
}

function check(
  policies: readonly Policy[],
  sa?: Partial<SaConfig>,
  defaults: 'allow' | 'block' = 'allow',
  mark = 0,
) {
  const spd = new Spd({ fwd: defaults });
  for (const p of policies) spd.set(p);
  return dropRow(checkPolicy(spd, 'fwd', ipv4Packet(60), 0, mark, sa && saConfig(sa)))?.reason ?? 'pass';
}

describe('inbound policy, as Linux __xfrm_policy_check', () => {
  const tunnel: Partial<SaConfig> = { mode: 'tunnel' };
  it.each([
    ['in the clear, no policy', 'pass', [], undefined],
    ['by a tunnel, no policy', 'in-no-policy', [], tunnel],
    ['by transport mode, no policy', 'pass', [], { mode: 'transport' }],
    ['in the clear, and required', 'in-template-mismatch', [policy([{}])], undefined],
    ['in the clear, and optional: Cilium', 'pass', [policy([{ level: 'use' }])], undefined],
    ['by a tunnel, and required', 'pass', [policy([{}])], tunnel],
    ['by a tunnel, and optional: Cilium', 'pass', [policy([{ level: 'use' }])], tunnel],
    ['by a tunnel that none asked for', 'in-template-mismatch', [policy([])], tunnel],
    ['by another source', 'in-template-mismatch', [policy([{ src: address('192.0.2.9') }])], tunnel],
    ['by the right source', 'pass', [policy([{ src: address('192.0.2.1') }])], tunnel],
    ['the destination is not compared', 'pass', [policy([{ dst: address('192.0.2.9') }])], tunnel],
    ['by another SPI', 'in-template-mismatch', [policy([{ spi: 4 }])], tunnel],
    ['by the right SPI', 'pass', [policy([{ spi: 3 }])], tunnel],
    ['by another reqid', 'in-template-mismatch', [policy([{ reqid: 2 }])], tunnel],
    ['by the wrong mode', 'in-template-mismatch', [policy([{}])], { mode: 'transport' }],
    [
      'by another tunnel than the optional one',
      'in-template-mismatch',
      [policy([{ level: 'use', spi: 4 }])],
      tunnel,
    ],
    ['one SA for two required templates', 'in-template-mismatch', [policy([{}, {}])], tunnel],
    ['blocked', 'in-policy-block', [policy([], { action: 'block' })], tunnel],
  ] as const)('%s: %s', (_, want, policies, sa) => {
    expect(check(policies, sa)).toBe(want);
  });

  it('lets the default decide where no policy is', () => {
    expect(check([], undefined, 'block')).toBe('in-no-policy');
    expect(check([policy([{ level: 'use' }])], undefined, 'block')).toBe('pass');
  });

  it('looks at the mark that xfrm left', () => {
    const marked = [policy([{}], { mark: { value: 0xd00, mask: 0xf00 } })];
    expect(check(marked, tunnel, 'allow', 0xd00)).toBe('pass');
    expect(check(marked, tunnel, 'allow', 0)).toBe('in-no-policy');
  });

  // The first is the outermost.
  it.each([
    ['ESP in ESP, both asked for', 'pass', ['transport 1', 'transport 2'], ['transport 2', 'transport 1']],
    [
      'in the wrong order',
      'in-template-mismatch',
      ['transport 1', 'transport 2'],
      ['transport 1', 'transport 2'],
    ],
    ['transport mode that none asked for', 'pass', ['transport 1', 'tunnel 2'], ['tunnel 2']],
    ['a tunnel that none asked for', 'in-template-mismatch', ['tunnel 1', 'transport 2'], ['transport 2']],
    ['behind a tunnel that none asked for', 'in-template-mismatch', ['tunnel 1', 'tunnel 2'], ['tunnel 2']],
    ['optional, and passed over', 'pass', ['tunnel 2'], ['tunnel 2', 'tunnel 1 use']],
    ['optional transport mode is no match', 'in-template-mismatch', ['tunnel 1'], ['transport 1 use']],
  ])('of several SAs: %s', (_, want, path, templates) => {
    const sas = path.map((text) => sa(text) as UsedSa);
    const found = complies({ action: 'allow', templates: templates.map(sa) }, sas);
    expect(dropRow(found)?.reason ?? 'pass').toBe(want);
  });
});

/** Mode, reqid and level. */
function sa(text: string): Template & UsedSa {
  const [mode, reqid, level] = text.split(' ');
  return {
    ...{ mode: mode as Template['mode'], reqid: Number(reqid), spi: 3, src: address('192.0.2.1') },
    level: level === 'use' ? 'use' : 'required',
  };
}
