/**
 * The lab in a real browser: Debian's Chromium, driven by playwright-core.
 *
 * A page that says an error on its console, throws, or asks any host but its own for anything fails the test that
 * opened it.
 * @module
 */
import { mkdirSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { AxeBuilder } from '@axe-core/playwright';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { findProgram } from './needs.ts';

/** The page as `npm run build` leaves it. */
export const PAGE = new URL('../../dist/web/index.html', import.meta.url);

/** Its address on the disk. */
export const FROM_DISK = pathToFileURL(PAGE.pathname).href;

export interface LabOptions extends BrowserContextOptions {
  /** Where the page is; from the disk when left out. */
  readonly base?: string;
  /** What this page says on its console on purpose. */
  readonly says?: RegExp;
}

/** Opens the lab at a place, such as `#/bytes/field/esp.seq`. */
export type OpenLab = (hash: string, options?: LabOptions) => Promise<Page>;

/** A page, and what it has said that it should not. */
interface LabPage {
  readonly page: Page;
  /** Of its context: only a page of the same kind can take its place. */
  readonly kind: string;
  readonly complaints: string[];
  own: URL;
  says: RegExp | undefined;
}

/**
 * A browser for the tests of this file: call it inside `needs([CHROMIUM], …)`. A page that a test is done with is blank
 * for the next, which opens the lab in it anew: the lab stores nothing, so there is nothing left.
 */
export function lab(): OpenLab {
  vi.setConfig({ testTimeout: 90_000 }); // axe alone takes seconds where two cores have other work
  let browser: Browser;
  const used: LabPage[] = [];
  const blank: LabPage[] = [];

  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: findProgram('chromium')!,
      args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'], // root has no sandbox
    });
  }, 60_000);
  afterAll(() => browser?.close());
  afterEach(async () => {
    const all = used.splice(0);
    for (const { page } of all) {
      await page.goto('about:blank');
      await page.emulateMedia({ media: null, reducedMotion: null });
    }
    blank.push(...all);
    expect(all.flatMap(({ complaints }) => complaints.splice(0))).toEqual([]);
  });

  const make = async (options: BrowserContextOptions): Promise<LabPage> => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    const kind = JSON.stringify(options);
    const made: LabPage = { page, kind, complaints: [], own: new URL(FROM_DISK), says: undefined };
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      if (!made.says?.test(message.text())) made.complaints.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => made.complaints.push(`thrown: ${error.stack ?? error.message}`));
    context.on('request', (request) => {
      const { protocol, href } = new URL(request.url());
      const isOwn = protocol === 'blob:' || protocol === 'data:' || href.split('#')[0] === made.own.href;
      if (!isOwn) made.complaints.push(`request: ${href}`);
    });
    return made;
  };

  return async (hash, { base = FROM_DISK, says, ...options } = {}) => {
    const i = blank.findIndex(({ kind }) => kind === JSON.stringify(options));
    const taken = i < 0 ? await make(options) : blank.splice(i, 1)[0]!;
    used.push(taken);
    taken.own = new URL(base);
    taken.says = says;
    await taken.page.goto(`${base}${hash}`);
    return taken.page;
  };
}

/** Goes to another place of the same page, which stays as it is otherwise. */
export async function goTo(page: Page, hash: string): Promise<void> {
  await page.goto(new URL(hash, page.url()).href);
}

/** The most different readers: at a desk, and with the smallest phone in the dark. */
const READERS = [
  ['at a desk', 'desk', {}],
  ['on a phone, in the dark', 'phone', { viewport: { width: 360, height: 640 }, colorScheme: 'dark' }],
] as const satisfies readonly (readonly [string, string, LabOptions])[];

/**
 * Tests that a place can be read by all: axe finds no serious fault, nothing is wider than the screen; and keeps a picture.
 * @param name of the place, for the picture too
 * @param ready waits until everything is there
 */
export function readableByAll(
  open: OpenLab,
  name: string,
  hash: string,
  ready: (page: Page) => Promise<unknown>,
): void {
  it.each(READERS)(`${name} can be read %s`, async (_, reader, options) => {
    const page = await open(hash, options);
    await ready(page);
    expect(await overflows(page)).toBe(false);
    expect(await seriousFaults(page)).toEqual([]);
    await screenshot(page, `${name}-${reader}`);
  });
}

/** What axe finds that is serious or worse, a line each. */
export async function seriousFaults(page: Page): Promise<string[]> {
  const axe = new AxeBuilder({ page })
    .setLegacyMode() // the page has no frames
    .options({ resultTypes: ['violations'] })
    .exclude('.hex-group:nth-child(n+12)'); // rows of bytes are alike, and each of their bytes would take its time
  const { violations } = await axe.analyze();
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`));
}

/** Whether the page is wider than the screen, which cannot be read on a phone. */
export async function overflows(page: Page): Promise<boolean> {
  return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}

/**
 * Keeps a picture of the whole page in the folder that `ESPLANE_SCREENSHOTS` names; without it, does nothing.
 * @param name of the file, without `.png`
 */
export async function screenshot(page: Page, name: string): Promise<void> {
  const folder = process.env['ESPLANE_SCREENSHOTS'];
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}
