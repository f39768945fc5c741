/**
 * Rotation, as a person uses it.
 */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { parseScenario } from '../../../src/sim/scenario.ts';
import { lab, readableByAll } from '../../support/browser.ts';
import { CHROMIUM, needs } from '../../support/needs.ts';

needs([CHROMIUM], 'rotation in a browser', () => {
  const open = lab();
  const verdict = async (page: Page, text: string) => {
    await page.locator('main p[role=status]').filter({ hasText: text }).waitFor({ timeout: 20_000 });
  };
  const params = (page: Page) => new URLSearchParams(new URL(page.url()).hash.split('?')[1]);
  const slider = (page: Page, node: string, name: string) =>
    page.getByRole('group', { name: node, exact: true }).getByRole('slider', { name });

  it('loses packets in the old order and says which; the right order loses none', {
    timeout: 60_000,
  }, async () => {
    const page = await open('#/rotation');
    await verdict(page, '30 of 720 packets are lost: 30 XfrmInNoStates.');
    const rows = page.getByRole('region', { name: 'Lost packets' }).getByRole('row');
    expect(await rows.count()).toBe(4);
    expect(await rows.nth(1).textContent()).toBe(
      '10node-1 → node-214.25 to 18.75 s4node-2: XfrmInNoStatesnode-2 said at 13 s that it has key 4, and installed it at 19 s.',
    );
    await page.getByLabel('Scene').selectOption({ label: 'The right order' });
    await verdict(page, 'All 720 packets arrived.');
  });

  it('is dragged: what a node says is moved behind what it does', { timeout: 60_000 }, async () => {
    const page = await open('#/rotation');
    await verdict(page, '30 of 720');
    const picture = page.locator('figure.lanes svg');
    const box = (await picture.boundingBox())!;
    // In the picture's own units time 0 is at 84, and 60 s are 860 wide.
    const at = (seconds: number) => box.x + ((84 + (seconds / 60) * 860) / 960) * box.width;
    for (const [node, from, to] of [
      [1, 4, 10],
      [2, 13, 20],
      [3, 24, 31],
    ] as const) {
      const knob = picture.locator('g.knob.advertise circle').nth(node - 1);
      await knob.scrollIntoViewIfNeeded();
      const { y, height, x, width } = (await knob.boundingBox())!;
      expect(Math.abs(x + width / 2 - at(from))).toBeLessThan(2);
      await page.mouse.move(x + width / 2, y + height / 2);
      await page.mouse.down();
      await page.mouse.move(at((from + to) / 2), y + height / 2, { steps: 4 });
      await page.mouse.move(at(to), y + height / 2, { steps: 4 });
      await page.mouse.up();
    }
    await verdict(page, 'All 720 packets arrived.');
    expect([params(page).get('n1'), params(page).get('n2'), params(page).get('n3')]).toEqual([
      '4,10,10,10,52',
      '13,19,20,19,55',
      '24,30,31,30,58',
    ]);
  });

  it('is moved with the keyboard alone', { timeout: 60_000 }, async () => {
    const page = await open('#/rotation?n1=4,10,10,10,52&n2=13,19,19,19,55&n3=24,30,30,30,58&news=1');
    await verdict(page, 'All 720 packets arrived.');
    const forget = slider(page, 'node-1', 'forgets the old key');
    await forget.focus();
    expect(await forget.getAttribute('aria-valuetext')).toBe('52 seconds');
    await page.keyboard.press('Home');
    expect(await forget.getAttribute('aria-valuetext')).toBe('4 seconds');
    for (let i = 0; i < 28; i++) await page.keyboard.press('ArrowRight');
    await page.waitForURL((url) => url.hash.includes('n1=4,10,10,10,18&'));
    await verdict(page, '26 XfrmInNoStates');
    await verdict(page, '30 XfrmOutPolBlock');
    await slider(page, 'node-1', 'reads the new key').press('ArrowRight');
    await page.waitForURL((url) => url.hash.includes('n1=4.5,10.5,10.5,10.5,18&'));
    // Back is where the reader was before.
    await page.getByLabel('Scene').selectOption({ label: 'Slow news' });
    await page.waitForURL((url) => url.hash.includes('news=10'));
    await page.goBack();
    await expect.poll(() => forget.getAttribute('aria-valuetext')).toBe('18 seconds');
  });

  it('gives the scenario that esplane runs, and a capture of a node', { timeout: 60_000 }, async () => {
    const page = await open('#/rotation');
    await page.getByText('Copy as …').click();
    const text = (await page.locator('.copy-as pre').textContent())!;
    expect(parseScenario(text, 'copied').nodes[1]!.rotation.steps).toEqual({
      install: 6000,
      advertise: 0,
      send: 6000,
    });
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download what node-2 sees' }).click();
    const file = readFileSync(await (await download).path());
    expect(file.readUInt32LE(0)).toBe(0x0a0d0d0a);
    expect(file.includes('device of node-2')).toBe(true);
  });

  it('says what is wrong with an address, and goes on', { timeout: 60_000 }, async () => {
    const page = await open('#/rotation?n2=1,2&news=soon');
    expect(await page.getByRole('alert').textContent()).toContain('n2 is “1,2”: five times in seconds');
    expect(await page.getByRole('alert').textContent()).toContain('news is “soon”');
    await verdict(page, '30 of 720');
  });

  readableByAll(open, 'rotation', '#/rotation?n1=4,10,10,10,18&n2=13,19,13,19,55', (page) =>
    verdict(page, 'packets are lost'),
  );
});
