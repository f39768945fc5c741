/**
 * The replay window, as a person uses it.
 */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { goTo, lab, readableByAll } from '../../support/browser.ts';
import { CHROMIUM, needs } from '../../support/needs.ts';

needs([CHROMIUM], 'the replay window in a browser', () => {
  const open = lab();
  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
  const status = (page: Page) => page.locator('main p[role=status]');
  const counter = async (page: Page, name: string) =>
    Number(
      await page
        .getByRole('row', { name: new RegExp(`^${name} `) })
        .locator('td')
        .last()
        .textContent(),
    );
  const params = (page: Page) => new URLSearchParams(new URL(page.url()).hash.split('?')[1]);

  it('says why an old packet is a ProtoError, and with ESN off a SeqError', async () => {
    const page = await open('#/window');
    const card = page.getByRole('article', { name: 'The packet' });
    expect(await card.textContent()).toContain('no replay is counted');
    expect(await card.textContent()).toContain('4\u202f294\u202f967\u202f307');
    expect([await counter(page, 'XfrmInStateProtoError'), await counter(page, 'failed')]).toEqual([1, 1]);
    await page.getByRole('checkbox', { name: 'ESN' }).uncheck();
    expect(await card.textContent()).toContain('left of the window');
    expect([await counter(page, 'XfrmInStateSeqError'), await counter(page, 'replay-window')]).toEqual([
      1, 1,
    ]);
    expect(await counter(page, 'XfrmInStateProtoError')).toBe(0);
  });

  it('is moved by sending, losing, holding back, replaying, forging and jumping', async () => {
    const page = await open('#/window?w=64&esn=1&a=');
    await page.locator('.actions select').first().selectOption('20');
    await press(page, 'Send');
    expect(await status(page).textContent()).toContain('The window goes from 1 to 20: 20 seen, 0 not seen.');
    await page.locator('.actions select').first().selectOption('1');
    await press(page, 'Lose');
    await press(page, 'Hold back');
    await press(page, 'Send');
    expect(await status(page).textContent()).toContain('1 to 23: 21 seen, 2 not seen.');
    await press(page, 'Let 1 arrive');
    expect(await status(page).textContent()).toContain('Number 22: let through, late.');
    await page.getByRole('spinbutton').fill('5');
    await press(page, 'Replay it');
    expect(await status(page).textContent()).toContain('Number 5: refused: seen before.');
    expect(await counter(page, 'replay')).toBe(1);
    await press(page, 'Forge');
    expect(await status(page).textContent()).toContain(
      'Number 123: refused: the ICV is wrong. The window goes from 1 to 23',
    );
    await press(page, 'Jump');
    await press(page, 'Send');
    expect(await status(page).textContent()).toContain(
      'Number 124: let through, ahead. The window goes from 61 to 124',
    );
    await press(page, 'Sender starts again with 1');
    await press(page, 'Send');
    expect(await status(page).textContent()).toContain('Number 1: refused: the ICV is wrong.');
    expect(params(page).get('a')).toBe('s20.l.h.s.d.r5.f100.j100.s.z.s');
    await press(page, 'Undo');
    await press(page, 'Undo');
    expect(params(page).get('a')).toBe('s20.l.h.s.d.r5.f100.j100.s');
    // The link shows what I see.
    const other = await open(new URL(page.url()).hash);
    expect(await status(other).textContent()).toBe(await status(page).textContent());
  });

  it('crosses 2^32 step by step, with the arrow keys', async () => {
    const page = await open('#/window');
    await page.getByLabel('Scene').selectOption({ label: 'Across 2^32 with ESN' });
    const isAt = (step: string) =>
      expect.poll(() => page.getByRole('combobox', { name: 'Step', exact: true }).inputValue()).toBe(step);
    await isAt('5');
    await page.locator('h1').click();
    for (const step of ['4', '3', '2']) {
      await page.keyboard.press('ArrowLeft');
      await isAt(step);
    }
    expect(await status(page).textContent()).toContain('held back on the way');
    await page.keyboard.press('ArrowRight');
    await page.getByText('The low half began again with 0').waitFor();
    await page.keyboard.press('ArrowRight');
    await isAt('4');
    expect(await status(page).textContent()).toContain('let through, late');
    expect(await counter(page, 'XfrmInStateProtoError')).toBe(0);
  });

  it('shows what the log is asked for', async () => {
    const page = await open('#/window?w=64&esn=1&a=s30.r30.r5');
    await page.getByRole('link', { name: /^Numbers 1 to 30 arrived/ }).click();
    expect(await page.getByRole('article').textContent()).toContain('It is the next number.');
    expect(params(page).get('see')).toBe('0');
    await page.goBack();
    expect(await page.getByRole('article').textContent()).toContain('Number 5: refused: seen before');
  });

  it('lets every replay through without a window, and has no ESN there', async () => {
    const page = await open('#/window?w=32&esn=1&a=s5.r2.r2');
    await page.getByText('off', { exact: true }).click();
    expect(await page.getByRole('checkbox', { name: 'ESN' }).isDisabled()).toBe(true);
    expect(await page.getByRole('article').textContent()).toContain('let through again');
    expect(await counter(page, 'let through')).toBe(7);
  });

  it('gives the window as a table, and saves what arrived with its keys', async () => {
    const page = await open('#/window?w=32&esn=1&a=s4.l2.s2');
    await page.getByText('The window as a table').click();
    expect(await page.locator('details table tbody').textContent()).toBe(
      '7 to 8seen5 to 6not seen1 to 4seen',
    );
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download what arrived, with keys' }).click();
    const file = readFileSync(await (await download).path());
    expect(file.readUInt32LE(0)).toBe(0x0a0d0d0a);
    expect(file.includes('"AES-GCM with 16 octet ICV [RFC4106]"')).toBe(true);
    await page.getByText('Copy as …').click();
    await page.locator('.copy-as select').selectOption('ip xfrm');
    expect(await page.locator('.copy-as pre').textContent()).toMatch(
      /^ip xfrm state add .* replay-window 32 flag .*esn/,
    );
  });

  it('says what is wrong with an address, and goes on', async () => {
    const page = await open('#/window');
    for (const [hash, problem] of [
      ['#/window?w=64&a=x9', 'action 1 is “x9”'],
      ['#/window?w=65&a=s', 'a window of “65”: there are 0, 32, 64, 1024'],
      ['#/window?w=32&esn=0&from=4294967296', 'no number of an SA without ESN'],
      ['#/window?w=32&from=-1', '“-1” is no number'],
    ] as const) {
      await goTo(page, hash);
      await page.getByRole('alert').filter({ hasText: problem }).waitFor();
      await press(page, 'Send');
      expect(await status(page).textContent()).toContain('let through');
      expect(await page.getByRole('alert').count()).toBe(0);
    }
  });

  readableByAll(open, 'window', '#/window?w=1024&esn=1&a=s100.h.s1000.d.h.s1100.d', (page) =>
    status(page).waitFor(),
  );
});
