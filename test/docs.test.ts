/**
 * What comments and documents point to exists: files, headings, links.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { KIND_NAMES } from '../src/inspect/files/kinds.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const FOLDERS = ['src', 'test', 'docs', 'bench', 'scripts', 'native/src', 'pcaps', 'examples'];
const TEXT = /\.(?:md|tsx?|mjs|cc|h|css|html|ya?ml|sh|py|gyp)$/;
/** Where the folder of public vectors, which is kept outside the repository, may be named. */
const NAMES_SHARED = ['test/support/needs.ts', 'docs/testing.md'];

const files = [
  ...readdirSync(ROOT).map((name) => posix.join('', name)),
  'native/README.md',
  'native/binding.gyp',
  ...FOLDERS.flatMap((folder) =>
    readdirSync(`${ROOT}${folder}`, { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
  ),
].filter((file) => TEXT.test(file) && file !== 'test/docs.test.ts');
const texts = new Map(files.map((file) => [file, readFileSync(`${ROOT}${file}`, 'utf8')]));

/** The headings of a document, and their anchors as GitHub makes them. */
function headingsOf(file: string): { titles: string[]; anchors: string[] } {
  const text = texts.get(file)!.replace(/^ *```[\s\S]*?^ *```/gm, '');
  const titles = [...text.matchAll(/^#+ +(.*?) *$/gm)].map(([, title]) => title!);
  const seen = new Map<string, number>();
  const anchors = titles.map((title) => {
    const anchor = title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
    const times = seen.get(anchor) ?? 0;
    seen.set(anchor, times + 1);
    return times === 0 ? anchor : `${anchor}-${times}`;
  });
  return { titles, anchors };
}

function isThere(from: string, path: string): boolean {
  return existsSync(posix.join(ROOT, posix.dirname(from), path)) || existsSync(posix.join(ROOT, path));
}

/** Output of a command, as cilium-bugtool names it; not a document. */
const COMMAND = /(?:^|\/)(?:(?:ip|cat|uname)-[\w-]*|hostname)\.md$/;
/** Made by the build. */
const MADE = 'licenses.md';

it('every document that is named is in the repository', () => {
  const missing = [...texts].flatMap(([file, text]) =>
    [...text.matchAll(/(?<![\w/.:-])[\w./-]*\w\.md\b/g)]
      .filter(([name]) => !isThere(file, name) && !COMMAND.test(name) && !name.endsWith(MADE))
      .map(([name]) => `${file}: ${name}`),
  );
  expect(missing).toEqual([]);
});

it('every section that is named is in its document', () => {
  const named = [...texts].flatMap(([file, text]) =>
    [...text.matchAll(/\b(docs\/\w+\.md), ((?:"[^"]+"(?: and |, )?)+)/g)].flatMap(([, document, list]) =>
      [...list!.matchAll(/"([^"]+)"/g)].map(([, title]) => ({ file, document: document!, title: title! })),
    ),
  );
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter(({ document, title }) => !headingsOf(document).titles.includes(title))).toEqual([]);
});

it('every relative link of a document leads somewhere', () => {
  const links = [...texts]
    .filter(([file]) => file.endsWith('.md'))
    .flatMap(([file, text]) =>
      [...text.replace(/^ *```[\s\S]*?^ *```/gm, '').matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(
        ([, to]) => {
          const [path = '', anchor] = to!.split('#');
          return { file, target: path === '' ? file : posix.join(posix.dirname(file), path), anchor };
        },
      ),
    );
  expect(links.length).toBeGreaterThan(50);
  expect(links.filter(({ target }) => !existsSync(`${ROOT}${target}`))).toEqual([]);
  expect(
    links.filter(
      ({ target, anchor }) => anchor !== undefined && !headingsOf(target).anchors.includes(anchor),
    ),
  ).toEqual([]);
});

it('nothing outside the repository is named but where it is explained', () => {
  const naming = [...texts].filter(([, text]) => /\.\.\/shared\b/.test(text)).map(([file]) => file);
  expect(naming.filter((file) => !NAMES_SHARED.includes(file))).toEqual([]);
});

it('docs/collect.md says how to get each kind of text that is read', () => {
  const text = texts.get('docs/collect.md')!;
  // What other programs make is theirs to tell; events say what changed, and are not used.
  const elsewhere = ['packet', 'esp-sa', 'tcpdump-secrets', 'dsb-csv', 'xfrm-monitor'];
  const called = {
    keys: 'cilium-ipsec-keys',
    'xfrm-state': 'ip -s xfrm state',
    'encrypt-status': 'cilium-dbg encrypt status',
    daemonset: 'daemonset cilium',
    capture: 'tcpdump',
  };
  const wanted = Object.entries({ ...KIND_NAMES, ...called }).filter(([kind]) => !elsewhere.includes(kind));
  expect(wanted.filter(([, name]) => !text.includes(name))).toEqual([]);
});
