/**
 * The page around the chapters, as a person uses it.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { goTo, lab, overflows, seriousFaults } from '../../support/browser.ts';
import { CHROMIUM, needs } from '../../support/needs.ts';

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));

needs([CHROMIUM], 'the lab in a browser', () => {
  const open = lab();

  it('opens from a disk and lists its chapters', async () => {
    const page = await open('');
    await page.getByRole('heading', { name: 'ESP, to be seen, touched and broken' }).waitFor();
    const chapters = page.getByRole('navigation', { name: 'Chapters' }).getByRole('link');
    expect(await chapters.count()).toBeGreaterThan(0);
    await chapters.first().click();
    await page.locator('main h1').waitFor();
    expect(await page.title()).toMatch(/ · esplane lab$/);
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('H1');
    await page.goBack();
    await page.getByRole('heading', { name: 'ESP, to be seen, touched and broken' }).waitFor();
  });

  it('opens from `esplane lab` too', async () => {
    const child = spawn(process.execPath, [MAIN, 'lab', '--port', '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const base = await new Promise<string>((resolve) => {
        child.stdout.once('data', (text) => resolve(String(text).trim()));
      });
      const page = await open('#/bytes', { base });
      await page.getByRole('heading', { name: 'Bytes and fields', level: 1 }).waitFor();
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('says so when there is no such chapter', async () => {
    const page = await open('#/nothing/here?x=1');
    expect(await page.getByRole('alert').textContent()).toContain('There is no chapter nothing.');
  });

  it('skips to the chapter by keyboard', async () => {
    const page = await open('#/bytes');
    await page.keyboard.press('Tab');
    await page.getByRole('link', { name: 'Skip to the chapter' }).press('Enter');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main');
    expect(new URL(page.url()).hash).toBe('#/bytes');
  });

  it('is light or dark as the system has it, until the reader says otherwise, and can be read', async () => {
    const paper = (page: Page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await open('');
    const dark = await open('', { colorScheme: 'dark' });
    const [bright, dim] = [await paper(light), await paper(dark)];
    expect(dim).not.toBe(bright);
    expect(await seriousFaults(light)).toEqual([]);
    await light.getByRole('button', { name: 'Dark' }).click();
    expect(await paper(light)).toBe(dim);
    expect(await seriousFaults(light)).toEqual([]);
    await dark.getByRole('button', { name: 'Light' }).click();
    expect(await paper(dark)).toBe(bright);
  });

  it('fits a phone', async () => {
    const page = await open('', { viewport: { width: 375, height: 700 } });
    expect(await overflows(page)).toBe(false);
  });

  it('prints what was read, and nothing to press', async () => {
    const page = await open('#/bytes');
    await page.getByRole('button', { name: 'Dark' }).click();
    await page.emulateMedia({ media: 'print' });
    expect(await page.getByRole('navigation', { name: 'Chapters' }).isVisible()).toBe(false);
    expect(await page.getByRole('tree').isVisible()).toBe(true);
    const ink = await page.evaluate(() => getComputedStyle(document.body).color);
    expect(ink).toBe('rgb(26, 29, 33)'); // dark on white, whatever the screen has
  });

  it('moves nothing where reduced motion is asked for', async () => {
    const page = await open('#/bytes');
    const times = () =>
      page.evaluate(() =>
        [...document.querySelectorAll('*')]
          .map((element) => getComputedStyle(element))
          .flatMap(({ transitionDuration, animationName }) => [
            ...transitionDuration.split(', ').filter((time) => time !== '0s'),
            ...(animationName === 'none' ? [] : [animationName]),
          ]),
      );
    for (const place of ['#/bytes', '#/packet']) {
      await page.emulateMedia({ reducedMotion: 'no-preference' });
      await goTo(page, place);
      expect(await times(), place).not.toEqual([]);
      await page.emulateMedia({ reducedMotion: 'reduce' });
      expect(await times(), place).toEqual([]);
    }
  });

  it('may ask nobody for anything', async () => {
    const page = await open('', { says: /Content Security Policy/ });
    const refused = await page.evaluate(async () => {
      const violated = new Promise<string>((resolve) =>
        addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective)),
      );
      await fetch('https://example.invalid/').catch(() => {});
      return violated;
    });
    expect(refused).toBe('connect-src');
  });
});
