/**
 * The chapter about room, as a person uses it.
 */
import { expect, it } from 'vitest';
import { lab, readableByAll } from '../../support/browser.ts';
import { CHROMIUM, needs } from '../../support/needs.ts';

needs([CHROMIUM], 'room in the packet', () => {
  const open = lab();

  it('answers at once when way, cipher and length change', async () => {
    const page = await open('#/room');
    const answer = page.locator('p[role=status]');
    expect(await answer.textContent()).toContain('A packet of 1,423 bytes becomes 1,480 bytes: 57 more.');
    await page.getByText('VXLAN in ESP', { exact: true }).first().click();
    expect(await answer.textContent()).toContain('becomes 1,528 bytes: 105 more. The link takes 1,500 bytes');
    expect(await page.getByText('1,373 bytes').textContent()).toBe('1,373 bytes');
    await page.getByText('IPv6', { exact: true }).click();
    expect(await page.getByText('1,353 bytes').textContent()).toBe('1,353 bytes');
    expect(new URL(page.url()).hash).toBe('#/room?mode=vxlan-in-esp&v=6');

    const length = page.getByRole('slider', { name: /Packet of the pod/ });
    await length.focus();
    await page.keyboard.press('ArrowRight');
    expect(new URL(page.url()).hash).toBe('#/room?len=1424&mode=vxlan-in-esp&v=6');
    expect(await answer.textContent()).toContain('A packet of 1,424 bytes');
  });

  it('shows what a link shows', async () => {
    const page = await open('#/room?mode=native&suite=cbc-sha256&mtu=9000&len=1400&udp=1');
    expect(await page.getByRole('radio', { name: 'AES-CBC, SHA-256' }).isChecked()).toBe(true);
    expect(await page.getByRole('checkbox', { name: /ESP in UDP/ }).isChecked()).toBe(true);
    expect(await page.getByText('Cilium does not send packets this way').count()).toBe(1);
  });

  readableByAll(open, 'room', '#/room', (page) =>
    page.getByRole('heading', { name: 'Room in the packet' }).waitFor(),
  );
});
