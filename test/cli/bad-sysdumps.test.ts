/** Sysdumps with something wrong about them: a sentence says what, and the rest is judged. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { zip } from '../../scripts/sysdump/archives.ts';
import { sysdumpOfTrouble } from '../../scripts/sysdump/from-kernel.ts';
import { podOf, type SysdumpOptions, sysdump, sysdumpFiles } from '../../scripts/sysdump/layout.ts';
import { esplane, tempFolder } from '../support/cli.ts';

const DIAGNOSE = 'pcaps/diagnose';
const GONE = sysdumpOfTrouble(DIAGNOSE, 'sa-gone');
const FOLDER = tempFolder();

function put(name: string, bytes: Uint8Array): string {
  writeFileSync(`${FOLDER}/${name}`, bytes);
  return name;
}

const diagnose = (...files: readonly string[]) => {
  const { code, stdout, stderr } = esplane(['diagnose', ...files, '--json'], undefined, FOLDER);
  const findings =
    stdout === '' ? [] : (JSON.parse(stdout) as { findings: { code: string; summary: string }[] }).findings;
  return { code, stderr, findings, codes: findings.map((finding) => finding.code) };
};

const whole = (options?: SysdumpOptions) => sysdump(GONE, options);

describe('esplane diagnose', () => {
  it('says of a zip that it is cut off, and uses what is whole in it, and what else there is', () => {
    // All but the directory.
    const bytes = whole();
    const directory = new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 6, true);
    const all = diagnose(put('cut.zip', bytes.slice(0, directory)));
    expect([all.code, all.codes]).toEqual([0, diagnose(put('whole.zip', bytes)).codes]);
    expect(all.stderr).toMatch(
      /cut\.zip: the zip is cut off: its directory, which is at its end, is missing; \d+ files before that are whole and used\. Copy/,
    );
    const some = diagnose(put('some.zip', bytes.slice(0, directory / 2)));
    expect(some.code).toBe(0);
    expect(some.stderr).toMatch(/whole and used; cilium-sysdump-\S+ is not whole, and what came after it is/);
    const none = diagnose(put('none.zip', bytes.slice(0, 100)));
    expect(none.code).toBe(2);
    expect(none.stderr).toContain(
      'none.zip: the zip is cut off: its directory, which is at its end, is missing. Copy the file again.',
    );
    const { code, codes, stderr } = diagnose('none.zip', 'whole.zip');
    expect([code, codes[0]]).toEqual([0, 'sa-gone']);
    expect(stderr).toContain('none.zip: the zip is cut off');
  });

  it('calls nothing missing that came after the cut', () => {
    const bytes = whole();
    for (let share = 0.1; share < 1; share += 0.1) {
      const { stderr, codes } = diagnose(put('cut.zip', bytes.slice(0, share * bytes.length)));
      expect(stderr).toContain('cut.zip: the zip is cut off');
      for (const code of codes) expect(diagnose('whole.zip').codes).toContain(code);
    }
  });

  it('judges one of two sysdumps, and names the other', () => {
    const other = sysdump(sysdumpOfTrouble(DIAGNOSE, 'key-changed'), { time: '20261130-000000' });
    const { code, codes, stderr } = diagnose(put('a.zip', whole()), put('b.zip', other));
    expect([code, codes]).toEqual([0, diagnose('a.zip').codes]);
    expect(stderr).toContain(
      'b.zip: a sysdump of 2026-11-30 00:00:00, beside that of 2026-11-29 10:11:12: it is not used. Give one sysdump at a time.',
    );
  });

  it('says that nodes run different releases', () => {
    const files = sysdumpFiles(GONE).map(([name, content]) => {
      if (!/k8s-pods-.*\.yaml$/.test(name)) return [name, content] as const;
      const pod = `name: ${podOf({ name: 'node-2' })}`;
      const image = (release: string) =>
        `- image: quay.io/cilium/cilium:${release}\n      name: cilium-agent`;
      const [before = '', after = ''] = String(content)
        .replaceAll('- name: cilium-agent', image('v1.18.0'))
        .split(pod);
      return [name, before + pod + after.replace(image('v1.18.0'), image('v1.17.3'))] as const;
    });
    const { findings } = diagnose(put('versions.zip', zip(files)));
    expect(findings.map(({ code }) => code)).toContain('sa-gone');
    expect(findings.find(({ summary }) => summary.includes('1.17.3'))?.summary).toMatch(/1\.18\.0/);
  });

  it('says that a Secret is not that of the cluster', () => {
    put('keys.old', new Uint8Array(readFileSync(`${DIAGNOSE}/keys.old`)));
    put('keys', new Uint8Array(readFileSync(`${DIAGNOSE}/keys`)));
    const wrong = diagnose('keys.old', put('whole.zip', whole()));
    expect(wrong.codes).toContain('sa-gone');
    expect(wrong.findings.find(({ code }) => code === 'wrong-secret')?.summary).toBe(
      'keys.old is not the Secret of this cluster, or not of that time: no key of the 1 SA that it was tried on follows from it and the nodes.',
    );
    expect(diagnose('keys', 'whole.zip').codes).not.toContain('wrong-secret');
  });

  it('does not judge a node whose pod crashed', () => {
    const files = sysdumpFiles(GONE).map(([name, content]) => {
      const isOfNode2 = name.includes(podOf({ name: 'node-2' })) && name.includes('/cmd/');
      return [name, isOfNode2 ? "> Error while running 'x':  exit status 1\n\n" : content] as const;
    });
    const { codes } = diagnose(put('crashed.zip', zip(files)));
    expect(codes).toEqual([]);
  });
});
