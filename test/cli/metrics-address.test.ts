import { expect, it } from 'vitest';
import { parseMetricsAddress } from '../../src/cli/metrics-address.ts';

it.each([
  ['127.0.0.1:9962', '127.0.0.1', 9962],
  ['localhost:1', 'localhost', 1],
  [':9962', undefined, 9962],
  ['[::1]:65535', '::1', 65535],
  ['[::]:0', '::', 0],
])('reads %s', (text, host, port) => {
  expect(parseMetricsAddress(text)).toEqual({ text, port, ...(host && { host }) });
});

it.each([
  '',
  '9962',
  '127.0.0.1',
  '127.0.0.1:',
  '127.0.0.1:65536',
  '::1:9962',
  '[127.0.0.1]:1',
  '[::1]',
  '[x]:1',
  'http://a:1',
  'a b:1',
  ':9962/metrics',
])('refuses %j', (text) => {
  expect(parseMetricsAddress(text)).toBeUndefined();
});
