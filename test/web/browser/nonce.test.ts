/**
 * The chapter about nonces, as a person uses it.
 */
import { expect, it } from 'vitest';
import { lab, overflows, screenshot, seriousFaults } from '../../support/browser.ts';
import { CHROMIUM, needs } from '../../support/needs.ts';

needs([CHROMIUM], 'never twice', () => {
  const open = lab();

  it('shows the other text, until the nonces differ', async () => {
    const page = await open('#/nonce');
    await page.getByLabel('Node-3 sends').fill('the launch code is 0000');
    const answer = page.locator('div[role=status]');
    expect(await answer.textContent()).toContain('“the launch code is 0000”');
    for (const way of ['one key, IVs apart', 'a key each']) {
      await page.getByText(way, { exact: true }).click();
      expect(await answer.textContent()).toContain('Noise:');
      expect(await answer.textContent()).not.toContain('launch');
    }
    await page.reload();
    expect(await page.getByRole('radio', { name: 'a key each' }).isChecked()).toBe(true);
    expect(await page.getByLabel('Node-3 sends').inputValue()).toBe('the launch code is 0000');
  });

  it('bears an empty text', async () => {
    const page = await open('#/nonce?a=&b=');
    expect(await page.locator('div[role=status]').textContent()).toContain('Of 28 bytes 28 are those');
  });

  it.each([
    ['desktop', {}],
    ['phone', { viewport: { width: 375, height: 700 } }],
    ['dark', { colorScheme: 'dark' }],
  ] as const)('can be read by everybody: %s', async (name, options) => {
    const page = await open('#/nonce', options);
    await page.getByRole('heading', { name: 'Never twice' }).waitFor();
    expect(await overflows(page)).toBe(false);
    expect(await seriousFaults(page)).toEqual([]);
    await screenshot(page, `nonce-${name}`);
  });
});
