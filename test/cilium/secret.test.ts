import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { InputError } from '../../src/base/errors.ts';
import { findKeysText, readKeys, writeSecret } from '../../src/cilium/secret.ts';
import { DEFAULT_VERSION } from '../../src/cilium/version.ts';

const RUNS = Number(process.env['ESPLANE_FUZZ_RUNS'] ?? 200);

const K20 = '44434241343332312423222114131211f4f3f2f1';
const LINE = `3+ rfc4106(gcm(aes)) ${K20} 128`;

function secret(fields: Record<string, unknown>, name = 'cilium-ipsec-keys') {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'kube-system' }, ...fields };
}

function read(text: string) {
  return readKeys(text, 'keys.yaml', DEFAULT_VERSION).map(({ id, source, line }) => ({ id, source, line }));
}

const FOUND = [{ id: 3, source: 'keys.yaml (Secret cilium-ipsec-keys)', line: 1 }];

describe('readKeys', () => {
  it('takes a text that is no manifest for the keys file itself', () => {
    expect(read(`${LINE}\n`)).toEqual([{ id: 3, source: 'keys.yaml', line: 1 }]);
  });

  it('reads base64 under data, as kubectl get prints it', () => {
    expect(read(JSON.stringify(secret({ data: { keys: btoa(`${LINE}\n`) } }), null, 4))).toEqual(FOUND);
    expect(
      read(`apiVersion: v1
data:
  keys: ${btoa(LINE)}
kind: Secret
metadata:
  creationTimestamp: "2026-11-23T00:00:00Z"
  name: cilium-ipsec-keys
  namespace: kube-system
  resourceVersion: "12"
type: Opaque
`),
    ).toEqual(FOUND);
  });

  it('reads plain text under stringData, which wins over data', () => {
    const both = secret({ stringData: { keys: LINE }, data: { keys: btoa('9+ x') } });
    expect(read(JSON.stringify(both))).toEqual(FOUND);
  });

  it('reads base64 that YAML folded over lines', () => {
    const folded = btoa(LINE).replace(/(.{20})/g, '$1\n    ');
    const text = `kind: Secret\nmetadata: {name: cilium-ipsec-keys}\ndata:\n  keys: >\n    ${folded}\n`;
    expect(read(text)).toEqual(FOUND);
  });

  it('finds the right Secret in a List, and behind other documents', () => {
    const other = secret({ data: { token: 'aGk=' } }, 'other');
    const right = secret({ stringData: { keys: LINE } });
    expect(read(JSON.stringify({ kind: 'List', items: [other, right] }))).toEqual(FOUND);
    expect(
      read(`---\n${JSON.stringify(other)}\n---\nkind: Namespace\n---\n${JSON.stringify(right)}\n`),
    ).toEqual(FOUND);
  });

  it('takes the only Secret whatever its name', () => {
    const text = JSON.stringify(secret({ stringData: { keys: LINE } }, 'my-keys'));
    expect(findKeysText(text, 'f').secret).toEqual({ name: 'my-keys', namespace: 'kube-system' });
  });

  it('says where in the Secret a line is wrong', () => {
    const text = JSON.stringify(secret({ stringData: { keys: `${LINE}\n4+ x\n` } }));
    expect(() => read(text)).toThrow(
      /^keys\.yaml \(Secret cilium-ipsec-keys\):2: the line has too few fields/,
    );
  });

  it.each([
    ['a List without items', '{"kind":"List","items":[]}', /no Secret here, but nothing/],
    ['another kind', '{"kind":"ConfigMap","metadata":{"name":"x"}}', /no Secret here, but ConfigMap x/],
    ['a JSON text', '[1]', /no Secret here, but an object without kind/],
    ['no data at all', JSON.stringify(secret({})), /has no data key named keys/],
    ['another data key', JSON.stringify(secret({ data: { key: 'aGk=' } })), /has no data key named keys/],
    ['plain text under data', JSON.stringify(secret({ data: { keys: LINE } })), /data\.keys is not base64/],
    ['data that is no map', JSON.stringify(secret({ data: [LINE] })), /data is not what a Secret has/],
    [
      'keys that are no text',
      JSON.stringify(secret({ data: { keys: 7 } })),
      /data\.keys is not what a Secret has/,
    ],
    ['an empty value', JSON.stringify(secret({ stringData: { keys: '' } })), /the file is empty/],
    ['damaged JSON', '{"kind": "Secret",, }', /^keys\.yaml:1: no JSON or YAML/],
    ['damaged YAML', `kind: Secret\nstringData:\n  keys: "${LINE}\n`, /^keys\.yaml:\d: no JSON or YAML/],
    ['an alias to nothing', 'kind: *x\nmetadata: {}', /aliases cannot be resolved/],
    ['nesting without end', `kind: ${'['.repeat(50_000)}`, /nested more than 100 levels deep/],
    [
      'two Secrets of another name',
      JSON.stringify([secret({}, 'a'), secret({}, 'b')]),
      /2 Secrets and none is named cilium-ipsec-keys/,
    ],
    [
      'two Secrets of the name',
      JSON.stringify([secret({}), secret({})]),
      /2 Secrets named cilium-ipsec-keys/,
    ],
  ])('refuses %s', (_, text, want) => {
    expect(() => read(text)).toThrow(InputError);
    expect(() => read(text)).toThrow(want);
  });
});

describe('writeSecret', () => {
  it.each(['yaml', 'json'] as const)('writes %s that it reads again', (format) => {
    const text = writeSecret(LINE, undefined, format);
    expect(findKeysText(text, 'f')).toEqual({
      text: LINE,
      source: 'f (Secret cilium-ipsec-keys)',
      secret: { name: 'cilium-ipsec-keys', namespace: 'kube-system' },
    });
    expect(parseYaml(text)).toEqual({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'cilium-ipsec-keys', namespace: 'kube-system' },
      type: 'Opaque',
      stringData: { keys: LINE },
    });
  });

  it('keeps the key on one line, however long', () => {
    const long = `3+ hmac(sha512) ${'ab'.repeat(32)} cbc(aes) ${'cd'.repeat(16)}`;
    expect(writeSecret(long)).toContain(`\n  keys: ${long}\n`);
  });

  it('keeps name and namespace', () => {
    const name = { name: 'n', namespace: 'ns' };
    expect(findKeysText(writeSecret(`${LINE}\n4+ x\n`, name), 'f')).toMatchObject({
      text: `${LINE}\n4+ x\n`,
      secret: name,
    });
  });
});

describe('any text', () => {
  // Valid manifests with characters lost, doubled and swapped.
  const base = fc.constantFrom(
    JSON.stringify(secret({ stringData: { keys: LINE } })),
    JSON.stringify({ items: [secret({ data: { keys: btoa(LINE) } })] }),
    writeSecret(LINE),
    `${writeSecret(LINE)}---\n${writeSecret(LINE)}`,
    `kind: Secret\nstringData: {keys: &k "${LINE}", other: *k}\n`,
  );
  const junk = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    ':',
    '\n',
    '\t',
    '- ',
    '*k',
    '&k ',
    '!x ',
    '? ',
    '%',
    '---\n',
    '|',
    '\u0000',
    ', ',
  );
  const broken = fc
    .tuple(base, fc.array(fc.tuple(fc.nat(400), fc.nat(12), junk), { maxLength: 4 }))
    .map(([text, cuts]) =>
      cuts.reduce((t, [at, len, put]) => t.slice(0, at) + put + t.slice(at + len), text),
    );

  it('gives keys or an InputError that shows none of it', () => {
    let errors = 0;
    fc.assert(
      fc.property(fc.oneof(broken, fc.string({ unit: 'binary' }), fc.json()), (text) => {
        try {
          readKeys(text, 'f', DEFAULT_VERSION);
        } catch (error) {
          expect(error).toBeInstanceOf(InputError);
          expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/44434241|14131211|f4f3f2f1/);
          expect(inspect(error)).not.toContain(btoa(LINE).slice(30, 44));
          expect((error as InputError).message).not.toContain('\n');
          errors++;
        }
      }),
      { numRuns: RUNS },
    );
    expect(errors).toBeGreaterThan(0);
  });
});
