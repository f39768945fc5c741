/**
 * The chapter of bytes and fields, as a person uses it.
 */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.ts';
import { PACKETS } from '../../../src/web/packets/packets.ts';
import { goTo, lab, readableByAll } from '../../support/browser.ts';
import { framesOf } from '../../support/explain.ts';
import { CHROMIUM, needs } from '../../support/needs.ts';

const wire = (page: Page) => page.getByRole('grid', { name: 'The packet on the wire' });
const clear = (page: Page) =>
  page.getByRole('grid', { name: 'The packet with what is encrypted in the clear' });
const fields = (page: Page) => page.getByRole('tree', { name: 'Fields of the packet' });
const fate = (page: Page) => page.getByRole('status').filter({ hasText: /packet|counter|counts/i });
const byte = (page: Page, at: number) => wire(page).locator(`[data-at="${at}"]`);
const litBytes = (page: Page) =>
  wire(page)
    .locator('.lit')
    .evaluateAll((cells) => cells.map((cell) => Number(cell.getAttribute('data-at'))));

/** Clicks a byte and one of its bits. */
async function flip(page: Page, at: number, bit: number): Promise<void> {
  await byte(page, at).click();
  await page.getByRole('button', { name: new RegExp(`^Bit ${bit},`) }).click();
}

needs([CHROMIUM], 'bytes and fields in a browser', () => {
  const open = lab();

  it('lights a field for its bytes, and bytes for their field', async () => {
    const page = await open('#/bytes');
    await byte(page, 40).hover();
    await expect.poll(() => fields(page).locator('a.lit').textContent()).toContain('Sequence number');
    expect(await litBytes(page)).toEqual([38, 39, 40, 41]);
    await fields(page).getByText('SPI', { exact: true }).hover();
    await expect.poll(() => litBytes(page)).toEqual([34, 35, 36, 37]);
    // A field inside ESP lights the bytes that hide it, and the same bytes in the clear.
    await fields(page).getByText('Identifier', { exact: true }).hover();
    const lit = await litBytes(page);
    expect(lit).toHaveLength(2);
    expect(await clear(page).locator('.lit').allTextContents()).toEqual(['03', '72']);
    expect(await wire(page).locator('.lit').allTextContents()).not.toEqual(['03', '72']);
  });

  it('walks both by keyboard', async () => {
    const page = await open('#/bytes');
    await byte(page, 0).focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('End');
    const at = await page.evaluate(() => Number(document.activeElement?.getAttribute('data-at')));
    expect(at % 8).toBe(7);
    expect(await litBytes(page)).toContain(at);
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.activeElement?.closest('.bits'));
    await page.keyboard.press('Enter'); // the highest bit
    expect(new URL(page.url()).hash).toBe(`#/bytes?byte=${at}&flip=${at}.7`);
    await page.keyboard.press('Escape');
    expect(await page.evaluate(() => document.activeElement?.getAttribute('data-at'))).toBe(String(at));
    await fields(page).getByRole('treeitem').first().focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await expect.poll(() => new URL(page.url()).hash).toMatch(/^#\/bytes\/field\/eth\.dst\?/);
    await page.getByRole('article', { name: 'Destination' }).waitFor();
  });

  it('has an address for each field of each packet', async () => {
    const page = await open('#/bytes/field/esp.seq');
    const card = page.getByRole('article', { name: 'Sequence number' });
    await card.getByText('RFC 4303 §2.2').waitFor();
    expect(await litBytes(page)).toEqual([38, 39, 40, 41]);
    await goTo(page, '#/bytes/field/vxlan.vni?p=vxlan-in-esp');
    await page.getByRole('article', { name: 'VNI' }).getByText('41234').waitFor();
    await goTo(page, '#/bytes/field/esp');
    await page.getByRole('article', { name: 'ESP' }).getByText('the window moves').waitFor();
    await goTo(page, '#/bytes/field/no.such');
    await page.getByRole('alert').getByText('This packet has no').waitFor();
  });

  it('flips a bit of what is encrypted: ProtoError', async () => {
    const page = await open('#/bytes');
    await flip(page, 60, 3);
    await expect.poll(() => fate(page).textContent()).toContain('Dropped: the ICV is wrong.');
    expect(await fate(page).textContent()).toContain('XfrmInStateProtoError');
    expect(await byte(page, 60).getAttribute('class')).toContain('changed');
    expect(await fields(page).locator('.wrong').first().textContent()).toContain('not opened');
    await page.getByRole('button', { name: 'Put it back' }).click();
    await expect.poll(() => fate(page).textContent()).toContain('arrives as it was sent');
    await page.goBack();
    await expect.poll(() => fate(page).textContent()).toContain('the ICV is wrong');
  });

  it('flips the number into one that was seen: SeqError', async () => {
    const page = await open('#/bytes');
    await flip(page, 41, 2);
    await expect.poll(() => fate(page).textContent()).toContain('Dropped as a replay');
    expect(await fate(page).textContent()).toContain('XfrmInStateSeqError');
  });

  it('flips the TTL, and nobody notices, until the checksum is left alone', async () => {
    const page = await open('#/bytes');
    await flip(page, 22, 1);
    await expect.poll(() => fate(page).textContent()).toContain('Nobody notices.');
    expect(await fate(page).textContent()).toContain('No counter rises.');
    await page.getByText('left as they were').click();
    await expect.poll(() => fate(page).textContent()).toContain('IpInHdrErrors');
  });

  it('answers within a frame', async () => {
    const page = await open('#/bytes');
    await byte(page, 60).click();
    const bits = page.getByRole('group', { name: /flip a bit/ }).getByRole('button');
    for (let round = 0; round < 24; round++) await bits.nth(round % 8).click();
    const times = await page.evaluate(() =>
      performance.getEntriesByName('answer').map(({ duration }) => duration),
    );
    expect(times).toHaveLength(24);
    times.sort((a, b) => a - b);
    const [median, worst] = [times[12]!, times[23]!].map((ms) => ms.toFixed(1));
    process.stdout.write(`a flipped bit answers in ${median} ms (median of 24), ${worst} ms at worst\n`);
  });

  it('shows every packet, with brackets of all three kinds', async () => {
    const page = await open('#/bytes');
    for (const { id, shown } of PACKETS) {
      await goTo(page, `#/bytes?p=${id}`);
      await expect.poll(() => wire(page).locator('[data-at]').count()).toBe(shown.bytes.length);
      for (const kind of ['encrypted', 'authenticated', 'neither']) {
        expect(await page.locator(`.bracket.${kind}`).count(), `${id} ${kind}`).toBeGreaterThan(0);
      }
    }
  });

  readableByAll(open, 'bytes', '#/bytes/field/esp.iv?byte=60&flip=60.3&p=esp-in-vxlan', (page) =>
    fate(page).waitFor(),
  );

  it('downloads the packet with the keys that open it', async () => {
    const page = await open('#/bytes');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download as pcapng, with keys' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('esplane-native-v4.pcapng');
    const file = (await download.path())!;
    expect(readFileSync(file, 'latin1')).toContain('AES-GCM with 16 octet ICV');
    const frames = framesOf(file);
    expect(toHex(frames.at(-1)!.bytes)).toBe(toHex(PACKETS[0]!.shown.bytes));
    expect(frames).toHaveLength(5);
  });

  it('copies it for other tools', async () => {
    const page = await open('#/bytes');
    await page.getByText('Copy as …').click();
    const shown = page.locator('.copy-as pre');
    expect(await shown.textContent()).toBe(
      'esplane explain pcaps/linux-6.1/native-v4/wire.pcap --frame 9 --keys pcaps/linux-6.1/native-v4/keys --nodes pcaps/linux-6.1/native-v4/ciliumnodes.json\n',
    );
    for (const [label, has] of [
      ['tshark', "-o 'uat:esp_sa:"],
      ['ip xfrm', 'ip xfrm state add src 10.244.1.1 dst 10.244.2.1'],
      ['scapy', 'SecurityAssociation('],
    ] as const) {
      await page.locator('.copy-as select').selectOption(label);
      expect(await shown.textContent()).toContain(has);
    }
    await page.getByRole('button', { name: 'Copy', exact: true }).click();
    await page
      .getByRole('status')
      .filter({ hasText: /^(Copied|Selected)/ })
      .waitFor();
  });
});
