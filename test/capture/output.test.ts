import { expect, it } from 'vitest';
import { Output } from '../../src/capture/output.ts';

function put(out: Output, len: number, value: number): void {
  const at = out.reserve(len);
  out.b.fill(value, at, at + len);
}

it('turns many small writes into few, in order, and what was handed out stays as it was', () => {
  const parts: Uint8Array[] = [];
  const out = new Output((b) => parts.push(b));
  for (let i = 0; i < 1000; i++) put(out, 1000, i & 0xff);
  out.flush();
  expect(parts.length).toBeLessThan(5);
  const all = parts.flatMap((p) => [...p]);
  expect(all.length).toBe(1_000_000);
  expect(all.every((v, i) => v === (Math.floor(i / 1000) & 0xff))).toBe(true);
});

it('takes a write that is larger than its buffer', () => {
  const parts: Uint8Array[] = [];
  const out = new Output((b) => parts.push(b));
  put(out, 3, 1);
  put(out, 5_000_000, 2);
  put(out, 3, 3);
  out.flush();
  expect(parts.map((p) => p.length).reduce((a, b) => a + b)).toBe(5_000_006);
  expect(parts.every((p) => p.every((v) => v >= 1 && v <= 3))).toBe(true);
});

it('writes nothing when there is nothing', () => {
  const parts: Uint8Array[] = [];
  const out = new Output((b) => parts.push(b));
  out.flush();
  put(out, 1, 1);
  out.flush();
  out.flush();
  expect(parts.length).toBe(1);
});
