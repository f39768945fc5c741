/**
 * The chapter about keys, as a person uses it.
 */
import { expect, it } from 'vitest';
import { lab, readableByAll } from '../../support/browser.ts';
import { esplane } from '../../support/cli.ts';
import { CHROMIUM, needs } from '../../support/needs.ts';

const OWN = '7+ rfc4106(gcm(aes)) 000102030405060708090a0b0c0d0e0f10111213 128';

needs([CHROMIUM], 'keys', () => {
  const open = lab();

  it('breaks a boot id, and shows what that looks like', async () => {
    const page = await open('#/keys');
    await page.getByText('Both ends agree, both ways.').waitFor();
    await page.getByRole('checkbox', { name: /node-2 was rebooted/ }).check();
    await page.getByText('Node-1 still derives with the old boot id').waitFor();
    expect(await page.getByText('✗ other keys: dropped, XfrmInStateProtoError').count()).toBe(2);
    expect(await page.locator('[role=status] pre').textContent()).toContain(
      'cilium_ipsec_xfrm_error  error="state_protocol" type="inbound"  1',
    );
    expect(new URL(page.url()).hash).toBe('#/keys?stale=1');
  });

  it('derives other keys for another boot id, and refuses what is none', async () => {
    const page = await open('#/keys');
    const keyOf = () =>
      page.getByRole('region', { name: 'node-1 to node-2' }).locator('b').first().textContent();
    const before = await keyOf();
    const boot = page.getByLabel('Boot id of node-2');
    await boot.fill('ffffffff-b237-4ed6-8ac7-123456789abc');
    expect(await keyOf()).not.toBe(before);
    await page.getByText('Both ends agree, both ways.').waitFor();
    await boot.fill('short');
    expect(await page.getByRole('alert').textContent()).toContain('A boot id has at least 36 characters');
  });

  it('takes a line apart that the reader types, and keeps it out of the address', async () => {
    const page = await open('#/keys');
    await page.getByText('your own', { exact: true }).click();
    const line = page.getByLabel('Your line');
    await line.fill(OWN);
    expect(await page.locator('p.line').first().textContent()).toBe(OWN.replaceAll(' ', ''));
    expect(page.url()).not.toContain('0001');
    await line.fill(OWN.replace('7+', '16+'));
    const problem = await page.getByRole('alert').textContent();
    expect(problem).toContain('the key id is above 15');
    expect(problem).not.toContain('0001');
  });

  it('chooses the older key id, also across 15', async () => {
    const page = await open('#/keys?mine=15&theirs=1');
    expect(await page.getByText('They use key').textContent()).toContain('They use key 15.');
    await page.getByRole('slider', { name: /node-1 has key/ }).focus();
    await page.keyboard.press('Home');
    expect(await page.getByText('They use key').textContent()).toContain('They use key 1.');
    await page.getByRole('slider', { name: /node-2 has key/ }).focus();
    for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowRight');
    expect(await page.getByText('They use key').textContent()).toContain('more than a step apart');
  });

  it('saves both packets with the keys that open them', async () => {
    const page = await open('#/keys');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: /^Download as pcapng/ }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('esplane-two-ends.pcapng');
    const { stdout, code } = esplane(['decrypt', await download.path(), '--json']);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).verdict),
    ).toEqual(['ok', 'ok']);
    expect(code).toBe(0);
  });

  readableByAll(open, 'keys', '#/keys?stale=1', (page) =>
    page.getByText('Node-1 still derives with the old boot id').waitFor(),
  );
});
