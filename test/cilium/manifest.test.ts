import { describe, expect, it } from 'vitest';
import { MAX_YAML } from '../../src/base/yaml-text.ts';
import { parseManifest } from '../../src/cilium/manifest.ts';

/** An item of which the comment is long: it costs little to read. */
const long = (name: string, mib: number) =>
  `- kind: Pod\n  metadata:\n    name: ${name}\n  # ${'x'.repeat(mib << 20)}\n  spec:\n    text: |\n      items:\n\n      - none\n`;
const list = (...items: readonly string[]) =>
  `apiVersion: v1\nitems:\n${items.join('')}kind: List\nmetadata:\n  resourceVersion: ""\n`;
const pod = (name: string) => ({
  kind: 'Pod',
  metadata: { name },
  spec: { text: 'items:\n\n- none\n' },
});
const A = long('a', 4);
const B = long('b', 3);
const C = long('c', 2);

describe('a list that is too long for YAML as a whole', () => {
  const text = list(A, B, C);

  it('is read item by item', () => {
    expect(text.length).toBeGreaterThan(MAX_YAML);
    const all = [pod('a'), pod('b'), pod('c')];
    expect(parseManifest(text, 'f')).toEqual(all);
    expect(parseManifest(`---\n${text}`, 'f')).toEqual(all);
    expect(parseManifest(text.replaceAll('\n', '\r\n'), 'f')).toEqual(all);
    expect(parseManifest(text.slice(0, text.indexOf('kind: List')), 'f')).toEqual(all);
  });

  it('names the line of what is wrong in an item', () => {
    const damaged = list(A, B, C.replace('spec:', 'spec: ]'));
    // apiVersion, items, 9 lines each of two items, 5 of the third.
    expect(() => parseManifest(damaged, 'f')).toThrow('f:25: no JSON or YAML');
  });

  it('may be read as a whole after all, for an alias of an anchor in another item', () => {
    const shorter = list(long('a', 1).replace('name: a', 'name: &name a'), long('*name', 1));
    expect(parseManifest(shorter, 'f')).toEqual([pod('a'), pod('a')]);
    expect(() => parseManifest(list(A, B, long('*name', 2)), 'f')).toThrow('aliases cannot be resolved');
  });

  it('is read without what says who wrote which field', () => {
    const fields =
      '    managedFields:\n    - apiVersion: v1\n      fieldsV1:\n        f:spec: ]\n      manager: x\n';
    const managed = (name: string) =>
      `- kind: Pod\n  metadata:\n    labels: {}\n${fields}    name: ${name}\n  # ${'x'.repeat(1 << 20)}\n  spec:\n    a: b\n`;
    const pods = ['a', 'b'].map((name) => ({
      kind: 'Pod',
      metadata: { labels: {}, name },
      spec: { a: 'b' },
    }));
    const text = list(managed('a'), managed('b'));
    expect(parseManifest(text, 'f')).toEqual(pods);
    expect(parseManifest(text.replaceAll('\n', '\r\n'), 'f')).toEqual(pods);
    // The lines of an item stay those of the file.
    const damaged = list(A, B, managed('a'), managed('b').replace('  spec:\n', '  spec: ]\n'));
    const line = damaged.slice(0, damaged.indexOf('  spec: ]\n')).split('\n').length;
    expect(() => parseManifest(damaged, 'f')).toThrow(`f:${line}: no JSON or YAML`);
    // What is called so elsewhere is what it is.
    expect(() => parseManifest(text.replaceAll('  metadata:', '  spec:'), 'f')).toThrow('no JSON or YAML');
  });

  it.each([
    ['an item', list(long('a', 9))],
    ['several documents', `${text}---\n${text}`],
    ['a document before it', `kind: Pod\n---\n${text}`],
    ['another list in it', `${text}others:\n- a\n`],
    ['another form', text.replaceAll('\n- ', '\n -')],
  ])('is refused where that is of no use: %s', (_, refused) => {
    expect(() => parseManifest(refused, 'f')).toThrow('more than 8 MiB of YAML. Give it as JSON');
  });
});
