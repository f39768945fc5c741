/**
 * The chapter about nonces, as a person uses it.
 */
import { expect, it } from 'vitest';
import { lab, readableByAll } from '../../support/browser.ts';
import { esplane } from '../../support/cli.ts';
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

  it('saves both packets with the keys that open them', async () => {
    const page = await open('#/nonce');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: /^Download as pcapng/ }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('esplane-twice.pcapng');
    const { stdout, code } = esplane(['decrypt', await download.path(), '--json']);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).verdict),
    ).toEqual(['ok', 'ok']);
    expect(code).toBe(0);
  });

  readableByAll(open, 'nonce', '#/nonce', (page) =>
    page.getByRole('heading', { name: 'Never twice' }).waitFor(),
  );
});
