/**
 * The reader's own captures, as a person gives them: dropped, chosen, pasted, and wrong in every way.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.ts';
import { lab, readableByAll } from '../../support/browser.ts';
import { fixedFields, type Line, readLines } from '../../support/decrypt.ts';
import { xfrmStatOf } from '../../support/diagnose.ts';
import { CAPTURES, CHROMIUM, needs } from '../../support/needs.ts';
import { type OwnCapture, ownCaptures } from '../../support/own-captures.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const NATIVE = `${CAPTURES}/native-v4`;
const WIRE = `${NATIVE}/wire.pcap`;
const OPENING = [`${NATIVE}/keys`, `${NATIVE}/ciliumnodes.json`];
const LARGE = 160_000_000;

/** Lets files fall on the page, as a mouse does. */
async function drop(page: Page, files: readonly string[]): Promise<void> {
  const given = files.map((file) => ({ name: basename(file), content: readFileSync(file, 'base64') }));
  const dataTransfer = await page.evaluateHandle((all) => {
    const transfer = new DataTransfer();
    for (const { name, content } of all) {
      transfer.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
    }
    return transfer;
  }, given);
  await page.dispatchEvent('h1', 'dragover', { dataTransfer });
  await page.dispatchEvent('h1', 'drop', { dataTransfer });
}

const choose = (page: Page, files: string | string[]) =>
  page.locator('input[type=file]').setInputFiles(files);

async function paste(page: Page, text: string): Promise<void> {
  await page.getByLabel(/paste any of it/).fill(text);
  await page.getByRole('button', { name: 'Add what is pasted' }).click();
}

async function save(page: Page, button: string): Promise<Buffer> {
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: button }).click(),
  ]);
  return readFileSync(await file.path());
}

const summary = (page: Page) => page.locator('section[aria-label="Summary"]');

/** What the page counts for each receiver, together. */
async function countersOf(page: Page): Promise<Record<string, number>> {
  const texts = await page.locator('.own-counters dd').allTextContents();
  return Object.fromEntries(
    texts.flatMap((text) => [...text.matchAll(/(Xfrm\w+) (\d+)/g)].map(([, name, n]) => [name, Number(n)])),
  );
}

/** The page took nothing over, and still works. */
async function worksStill(page: Page): Promise<void> {
  const forget = page.getByRole('button', { name: 'Forget everything' });
  if (await forget.isVisible()) await forget.click();
  await choose(page, [WIRE, ...OPENING]);
  await summary(page).waitFor();
  expect(await page.getByRole('alert').count()).toBe(0);
  const expected = readLines(`${NATIVE}/expected.jsonl`).length;
  expect(await summary(page).getByRole('status').textContent()).toContain(`${expected} ESP packets`);
}

needs([CHROMIUM], "the reader's own captures", () => {
  const open = lab();
  const made = tempFolder();
  const make = (name: string, content: string | Uint8Array) => {
    const file = `${made}/${name}`;
    writeFileSync(file, content);
    return file;
  };

  /** Drops a capture with what opens it, and compares everything with what the kernel said. */
  async function compare(page: Page, { files, cilium, expected, folder }: OwnCapture): Promise<void> {
    await page.locator('.own-intake select').selectOption(cilium);
    await drop(page, files);
    await page
      .getByRole('list', { name: 'Given so far' })
      .getByRole('listitem')
      .nth(files.length - 1)
      .waitFor();
    await summary(page).waitFor();
    const lines = (await save(page, 'Download the JSON lines')).toString().trimEnd().split('\n');
    const wanted = readLines(expected);
    expect(lines.map((line) => fixedFields(JSON.parse(line) as Line))).toEqual(wanted);
    const ok = wanted.filter(({ verdict }) => verdict === 'ok').length;
    expect(await summary(page).getByRole('status').textContent()).toContain(
      `${wanted.length} ESP packets: ${ok} decrypted, ${wanted.length - ok} dropped`,
    );
    if (!expected.endsWith('expected-keys.jsonl')) {
      expect(await countersOf(page)).toEqual(xfrmStatOf(`${folder}/n2.xfrm_stat`));
    }
    await page.getByRole('button', { name: 'Forget everything' }).click();
    await summary(page).waitFor({ state: 'detached' });
  }

  it('are decrypted and diagnosed as the kernel did it, every one', async () => {
    const page = await open('#/own');
    // Once each, by keys where they open all that the kernel opened. Both ways are compared in model/own.test.ts.
    const once = new Map<string, OwnCapture>();
    for (const capture of ownCaptures()) {
      const known = once.get(capture.folder);
      if (!known || known.expected.endsWith('expected-keys.jsonl')) once.set(capture.folder, capture);
    }
    for (const capture of once.values()) await compare(page, capture);
    expect(new URL(page.url()).hash).toBe('#/own');
    expect(await page.evaluate(() => localStorage.length + sessionStorage.length)).toBe(0);
    await expect.poll(() => page.workers()).toEqual([]);
  }, 240_000);

  it('from `esplane lab` too', async () => {
    const child = spawn(process.execPath, [MAIN, 'lab', '--port', '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const base = await new Promise<string>((resolve) => {
        child.stdout.once('data', (text) => resolve(String(text).trim()));
      });
      const page = await open('#/own', { base });
      await compare(page, ownCaptures()[0]!);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('are explained frame by frame', async () => {
    const page = await open('#/own');
    await choose(page, [
      `${CAPTURES}/faults-esn/wire.pcap`,
      ...OPENING.map((file) => file.replace('native-v4', 'faults-esn')),
    ]);
    await page.getByLabel('only dropped ones').check();
    const rows = page.locator('.own-packets tbody tr');
    const wanted = readLines(`${CAPTURES}/faults-esn/expected.jsonl`).filter(
      ({ verdict }) => verdict === 'drop',
    );
    await rows.nth(Math.min(wanted.length, 25) - 1).waitFor();
    const [first] = wanted;
    expect(await rows.first().textContent()).toContain(`${first!.counter}`);
    await rows.first().getByRole('button').click();
    const frame = page.getByRole('region', { name: `Frame ${first!.frame}` });
    await frame.waitFor();
    expect(await frame.textContent()).toContain('The receiver drops it');
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('H2');
    // A field of the tree lights its bytes; its card says what it is; the address keeps quiet.
    await frame.getByRole('treeitem', { name: /^SPI/ }).first().click();
    expect(await frame.getByRole('article').textContent()).toContain('esp.spi');
    expect(await frame.locator('.byte.lit').count()).toBe(4);
    expect(new URL(page.url()).hash).toBe('#/own');
    // A finding leads to its frames.
    const finding = page.getByRole('article', { name: 'unknown-spi' });
    const button = finding.getByRole('button').first();
    const number = await button.textContent();
    await button.click();
    await page.getByRole('region', { name: `Frame ${number}` }).waitFor();
    // On paper there is nothing to press, but frames keep their numbers.
    await page.emulateMedia({ media: 'print' });
    expect(await button.isVisible()).toBe(true);
    expect(await page.getByRole('button', { name: 'Forget everything' }).isVisible()).toBe(false);
  });

  it('give the clear packets back, and the command', async () => {
    const page = await open('#/own');
    await choose(page, [WIRE, ...OPENING]);
    const clear = await save(page, 'Download the clear packets as pcapng');
    expect(clear.readUInt32LE(0)).toBe(0x0a0d0d0a);
    for (const { inner } of readLines(`${NATIVE}/expected.jsonl`)) {
      expect(clear.includes(Buffer.from(inner!, 'hex'))).toBe(true);
    }
    await page.getByText('Copy as …').click();
    expect(await page.locator('.copy-as pre').textContent()).toBe(
      'esplane decrypt wire.pcap --keys keys --nodes ciliumnodes.json --json\n',
    );
  });

  it('by keyboard alone: a packet is pasted, opened and walked through', async () => {
    const bytes = readFileSync(WIRE);
    const digits = toHex(bytes, 40, 40 + bytes.readUInt32LE(32));
    const page = await open('#/own');
    const pasteByKeys = async (text: string) => {
      await page.getByLabel(/paste any of it/).focus();
      await page.keyboard.insertText(text);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
    };
    await pasteByKeys(digits);
    const frame = page.getByRole('region', { name: 'Frame 1' });
    await frame.getByRole('heading', { name: 'Closed: there is nothing to open it with' }).waitFor();
    await pasteByKeys(readFileSync(`${NATIVE}/n2.xfrm_state.txt`, 'utf8'));
    await frame.getByRole('heading', { name: 'The receiver takes it' }).waitFor();
    await frame.getByRole('grid', { name: 'The frame on the wire' }).locator('[tabindex="0"]').focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    expect(await frame.getByRole('article').count()).toBe(1);
    await frame.locator('[role=treeitem][tabindex="0"]').focus();
    await page.keyboard.press('End');
    await page.keyboard.press('Enter');
    expect(await frame.locator('[role=treeitem][aria-current=true]').count()).toBe(1);
    expect(new URL(page.url()).hash).toBe('#/own');
    await page.getByText('Copy as …').click();
    expect(await page.locator('.copy-as pre').textContent()).toBe(
      `esplane explain ${digits} --xfrm-state pasted-2.txt\n`,
    );
    await page.getByRole('button', { name: 'Remove pasted-1.txt' }).press('Enter');
    await frame.waitFor({ state: 'detached' });
    await expect.poll(() => page.workers()).toEqual([]);
  });

  it('are refused in a sentence where they are no use, and the page goes on', async () => {
    const page = await open('#/own');
    const bad: readonly (readonly [string, RegExp, () => Promise<void>])[] = [
      ['garbage', /nothing that the lab can read/, () => paste(page, 'lorem ipsum dolor')],
      ['half a byte', /odd number of hexadecimal digits/, () => paste(page, '45000054000')],
      ['a pod', /neither a Secret with keys nor CiliumNodes/, () => paste(page, 'kind: Pod\n')],
      [
        'a damaged key',
        /^pasted-\d+\.txt:1: /,
        async () => {
          await choose(page, [WIRE, `${NATIVE}/ciliumnodes.json`]);
          await paste(page, '3+ rfc4106(gcm(aes)) 00112233 128\n');
        },
      ],
      [
        'a key that is none, but bytes',
        /keys at byte 0: neither pcap nor pcapng/,
        () =>
          choose(
            page,
            make(
              'keys',
              Uint8Array.from({ length: 500 }, (_, i) => i % 7),
            ),
          ),
      ],
      [
        'a file that is no capture',
        /x\.bin at byte 0: neither pcap nor pcapng/,
        () => choose(page, make('x.bin', new Uint8Array(3000).fill(7))),
      ],
      ['an empty file', /empty\.pcap: it is empty/, () => choose(page, make('empty.pcap', ''))],
      [
        'a capture that is cut off',
        /cut\.pcap at byte 3000: .*cut off/,
        () => choose(page, [make('cut.pcap', readFileSync(WIRE).subarray(0, 3000)), ...OPENING]),
      ],
      ['keys without nodes', /keys alone open nothing/, () => choose(page, [WIRE, OPENING[0]!])],
      [
        'blank lines without end',
        /blank\.txt: this is nothing that the lab can read/,
        () => choose(page, make('blank.txt', `${'\n'.repeat(2_000_000)}x`)),
      ],
      [
        'digits without end',
        /digits\.txt: more than 262144 bytes/,
        () => choose(page, make('digits.txt', '0123456789abcdef'.repeat(1_000_000))),
      ],
      [
        '500 MB of nothing',
        /huge\.pcap at byte 0: neither pcap nor pcapng/,
        () => {
          const file = make('huge.pcap', '');
          truncateSync(file, 500_000_000);
          return choose(page, file);
        },
      ],
    ];
    for (const [title, message, give] of bad) {
      await give();
      await page.getByRole('alert').filter({ hasText: message }).waitFor();
      expect(await page.getByRole('alert').allTextContents(), title).toHaveLength(1);
      const forget = page.getByRole('button', { name: 'Forget everything' });
      if (await forget.isVisible()) await forget.click();
    }
    await worksStill(page);
    await page.getByRole('button', { name: 'Forget everything' }).click();
    await choose(page, [WIRE, `${CAPTURES}/gcm-256/keys`, OPENING[1]!]);
    await page.getByText('What you gave opens none of these packets. The first is frame 1').waitFor();
    expect(await summary(page).getByRole('status').textContent()).toContain(': 0 decrypted');
    await worksStill(page);
  });

  it('may be large: progress moves, Cancel gives everything back, and what is read is not kept', async () => {
    const round = readFileSync(WIRE);
    const file = `${made}/large.pcap`;
    const fd = openSync(file, 'w');
    writeSync(fd, round, 0, 24);
    const many = Buffer.concat(Array.from({ length: 100 }, () => round.subarray(24)));
    let size = 24;
    for (; size < LARGE; size += many.length) writeSync(fd, many);
    closeSync(fd);
    const page = await open('#/own');
    const memory = await memoryOf(page);
    await choose(page, OPENING);
    await choose(page, file);
    const bar = page.getByRole('progressbar');
    const reaches = (share: number) =>
      page.waitForFunction((least) => (document.querySelector('progress')?.value ?? 0) > least, share);
    await reaches(0);
    await reaches((await bar.evaluate((element: HTMLProgressElement) => element.value)) + 0.02);
    expect(page.workers()).toHaveLength(1);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page
      .getByRole('alert')
      .filter({ hasText: /^large\.pcap: cancelled after [\d.]+ of 16\d\.\d MB\.$/ })
      .waitFor();
    await expect.poll(() => page.workers()).toEqual([]);

    // Once more, to the end.
    await page.getByRole('button', { name: 'Remove large.pcap' }).click();
    await choose(page, file);
    await summary(page).waitFor({ timeout: 120_000 });
    const packets = (readLines(`${NATIVE}/expected.jsonl`).length * (size - 24)) / (round.length - 24);
    const grouped = packets.toLocaleString('en');
    expect(await summary(page).getByRole('status').textContent()).toContain(`${grouped} ESP packets`);
    await page.getByText(`Showing the first 5,000 of ${grouped} packets`).waitFor();
    expect((await memory()) / 1e6).toBeLessThan(LARGE / 1e6);
    await page.getByRole('button', { name: 'Forget everything' }).click();
    await expect.poll(() => page.workers()).toEqual([]);
    await worksStill(page);
  }, 240_000);

  readableByAll(open, 'own-empty', '#/own', (page) => page.getByLabel(/paste any of it/).waitFor());
  readableByAll(open, 'own', '#/own', async (page) => {
    const folder = `${CAPTURES}/faults-esn`;
    await choose(page, [`${folder}/wire.pcap`, `${folder}/keys`, `${folder}/ciliumnodes.json`]);
    await page.getByRole('button', { name: 'Explain frame 1', exact: true }).click();
    await page.getByRole('region', { name: 'Frame 1' }).waitFor();
  });
});

/** How many bytes more than now the process of the page holds, when it is asked later. */
async function memoryOf(page: Page): Promise<() => Promise<number>> {
  const session = await page.context().browser()!.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
  const held = () =>
    renderers.reduce((sum, id) => {
      const [, kB] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${id}/status`, 'utf8'))!;
      return sum + Number(kB) * 1024;
    }, 0);
  const before = held();
  return async () => held() - before;
}
