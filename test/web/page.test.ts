/**
 * The built page as a file: how much script it is, and that it asks no server for anything.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';

const page = readFileSync(fileURLToPath(new URL('../../dist/web/index.html', import.meta.url)), 'utf8');
const scripts = [...page.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)].map(([, script]) => script!);

describe('the built page', () => {
  it('has one script, below 350 KB compressed', () => {
    expect(scripts).toHaveLength(1);
    expect(gzipSync(scripts[0]!).length).toBeLessThan(350_000);
  });

  it('is a classic script, which a disk can give', () => {
    expect(page).not.toMatch(/type="?module/);
    expect(scripts[0]).not.toMatch(/\bimport\.meta\b|^import /m);
  });

  it('names nothing outside', () => {
    const head = page.replace(scripts[0]!, '');
    expect(head.match(/(?:src|href)="(?!data:)[^"]*"/g)).toBeNull();
    expect(head).toMatch(
      /Content-Security-Policy" content="default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-/,
    );
  });
});
