/**
 * The way of a packet in a browser, as a person walks it.
 */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { takeWay } from '../../../src/web/model/way.ts';
import { MODES } from '../../../src/web/model/way-network.ts';
import { lab, readableByAll } from '../../support/browser.ts';
import { CHROMIUM, needs } from '../../support/needs.ts';

const hashOf = (page: Page) => new URL(page.url()).hash;
const heading = (page: Page) => page.locator('.way-text h2').textContent();
/** What a step shows, in one look. */
const lookAt = (page: Page) =>
  page.evaluate(() => ({
    text: document.querySelector('.way-text')!.textContent,
    station: document.querySelector('.station.now')!.getAttribute('aria-label'),
    grids: [...document.querySelectorAll('[role=grid]')].map((grid) => ({
      label: grid.getAttribute('aria-label'),
      bytes: [...grid.querySelectorAll('[role=gridcell]')].map(({ textContent }) => textContent).join(''),
      marked: grid.querySelectorAll('.added, .changed').length,
    })),
  }));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

needs([CHROMIUM], 'the way of a packet in a browser', () => {
  const open = lab();

  it.each(MODES)('goes through every step of %s with the arrow keys, and back', async (mode) => {
    const { steps } = takeWay({ mode, family: 4, esn: true });
    const page = await open(`#/packet?mode=${mode}`);
    for (const [i, step] of steps.entries()) {
      const title = `${i + 1}. ${step.title}`;
      await page.locator('.way-text h2').filter({ hasText: title }).waitFor();
      const seen = await lookAt(page);
      expect(seen.text).toContain(step.what);
      expect(seen.station).toBe(title);
      const isSame = step.before.changes.length === 0 && step.after.changes.length === 0;
      const marked = step.after.changes.reduce((sum, { at, end }) => sum + end - at, 0);
      const [before, after] = ['The bytes before this step', 'The bytes after this step'].map((label) =>
        seen.grids.find((grid) => grid.label === label),
      );
      const both = seen.grids.find(({ label }) => label === 'The bytes before and after this step');
      expect(isSame ? both : after).toMatchObject({ bytes: hex(step.after.bytes), marked });
      if (!isSame) expect(before).toMatchObject({ bytes: hex(step.before.bytes) });
      if (i > 0) expect(hashOf(page)).toContain(`#/packet/step/${step.id}`);
      await page.keyboard.press('ArrowRight');
    }
    // Behind the last step there is nothing.
    expect(await heading(page)).toContain('Delivered');
    await page.keyboard.press('ArrowLeft');
    await page.getByRole('heading', { name: steps.at(-2)!.title }).waitFor();
    await page.goBack();
    await page.getByRole('heading', { name: 'Delivered' }).waitFor();
  });

  it('goes with buttons and with a list', async () => {
    const page = await open('#/packet');
    expect(await page.getByRole('button', { name: 'Back' }).getAttribute('aria-disabled')).toBe('true');
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByRole('heading', { name: '2. Intercepted' }).waitFor();
    expect(await page.locator('.way-text').textContent()).toContain(
      'the destination is a pod on another node that has a key',
    );
    await page.locator('.steps select').selectOption({ label: '8. Sealed' });
    expect(hashOf(page)).toBe('#/packet/step/seal');
    await page.getByRole('link', { name: '10. On the wire' }).click();
    expect(hashOf(page)).toBe('#/packet/step/wire');
  });

  it('keeps what is chosen in the address, and a link brings it back', async () => {
    const page = await open('#/packet/step/aad');
    expect(await page.locator('.byte-rows').textContent()).toContain('high half, not sent');
    await page.getByText('off', { exact: true }).click();
    await page.getByText('IPv6', { exact: true }).click();
    await page.getByText('ESP in VXLAN', { exact: true }).click();
    expect(hashOf(page)).toBe('#/packet/step/aad?esn=0&mode=esp-in-vxlan&v=6');
    const text = await page.locator('main').textContent();
    expect(text).toContain('AAD, 8 bytes');
    const again = await open(hashOf(page));
    await again.getByRole('heading', { name: 'AAD' }).waitFor();
    expect(await again.locator('main').textContent()).toBe(text);
    expect(await again.getByRole('radio', { name: 'ESP in VXLAN' }).isChecked()).toBe(true);
  });

  it('gives every field an address, where it first appears', async () => {
    const page = await open('#/packet/field/esp.seq');
    expect(await heading(page)).toContain('Sequence number');
    const card = page.locator('.way-card');
    expect(await card.textContent()).toContain('esp.seq');
    const cell = page.getByRole('grid', { name: 'after' }).locator('[data-at="7"]');
    expect(await cell.getAttribute('class')).toContain('lit');
    // Bytes 0 to 3 are the SPI: by keyboard alone.
    await page.getByRole('grid', { name: 'after' }).locator('[tabindex="0"]').focus();
    await page.keyboard.press('Home');
    expect(await card.textContent()).toContain('esp.spi');
    await page.keyboard.press('Enter');
    expect(hashOf(page)).toBe('#/packet/step/number/field/esp.spi');
    // The arrow keys are the grid's while the focus is there.
    await page.keyboard.press('ArrowRight');
    expect(await heading(page)).toContain('Sequence number');
  });

  it('says so where an address leads nowhere on this way', async () => {
    const page = await open('#/packet/step/wrap');
    expect(await page.getByRole('alert').textContent()).toContain('step/wrap');
    expect(await heading(page)).toContain('A pod sends');
    await page.getByText('VXLAN in ESP', { exact: true }).click();
    await page.getByRole('heading', { name: 'Into VXLAN' }).waitFor();
    expect(await page.getByRole('alert').count()).toBe(0);
  });

  it('saves a capture with its keys, and says commands', async () => {
    const page = await open('#/packet/step/wire?mode=vxlan-in-esp');
    const [file] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download as pcapng' }).click(),
    ]);
    expect(file.suggestedFilename()).toBe('esplane-way-vxlan-in-esp-v4.pcapng');
    const saved = readFileSync(await file.path());
    const { record } = takeWay({ mode: 'vxlan-in-esp', family: 4, esn: true });
    expect(saved.readUInt32LE(0)).toBe(0x0a0d0d0a);
    expect(saved.includes(Buffer.from(record.wire))).toBe(true);
    await page.getByText('Copy as …').click();
    await page.locator('.copy-as select').selectOption('ip xfrm');
    expect(await page.locator('.copy-as pre').textContent()).toMatch(
      /^ip xfrm state add src 192\.168\.0\.11 .*\nip xfrm policy add .* dir out /,
    );
  });

  it('prints every step', async () => {
    const page = await open('#/packet/step/seal');
    await page.emulateMedia({ media: 'print' });
    const { steps } = takeWay({ mode: 'native', family: 4, esn: true });
    await page
      .locator('.way-printed')
      .nth(steps.length - 1)
      .waitFor();
    expect(await page.locator('.way-printed h2').allTextContents()).toEqual(
      steps.map(({ title }, i) => expect.stringContaining(`${i + 1}. ${title}`)),
    );
    expect((await page.pdf()).length).toBeGreaterThan(10_000);
    await page.emulateMedia({ media: 'screen' });
    await page.getByRole('button', { name: 'Next' }).waitFor();
    expect(await page.locator('.way-printed').count()).toBe(0);
  });

  for (const id of ['nonce', 'window', 'seal']) {
    readableByAll(open, `packet-${id}`, `#/packet/step/${id}?mode=esp-in-vxlan&v=6`, (page) =>
      page.locator('.way-text').waitFor(),
    );
  }
});
