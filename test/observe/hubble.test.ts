import { describe, expect, it } from 'vitest';
import { DROPS } from '../../src/ipsec/drop.ts';
import { DIRECTIONS, POINTS, TRACE_REASONS } from '../../src/observe/hubble.ts';
import { asHubble, enumNumber } from '../support/hubble.ts';

describe("Hubble's names", () => {
  it('are those of its API, with its numbers', () => {
    for (const [point, name] of POINTS.entries())
      expect(enumNumber('TraceObservationPoint', name), name).toBe(point === 0 ? 101 : point);
    TRACE_REASONS.forEach((name, i) => {
      expect(enumNumber('TraceReason', name), name).toBe(i);
    });
    DIRECTIONS.forEach((name, i) => {
      expect(enumNumber('TrafficDirection', name), name).toBe(i);
    });
    for (const row of DROPS)
      if ('cilium' in row)
        expect(enumNumber('DropReason', row.cilium.name), row.reason).toBe(row.cilium.code);
  });
});

describe('the reader that stands for Hubble', () => {
  const line = (flow: object, more: object = {}) => JSON.stringify({ flow, ...more });

  it.each([
    ['a field that Hubble does not know', line({ spi: 3 })],
    ['one beside the flow', line({}, { esplane: {} })],
    ['a value that an enum does not have', line({ verdict: 'LOST' })],
    ['a type that is not the field’s', line({ source: { identity: 'host' } })],
    ['a time that is none', line({ time: 'Jan 1' })],
    ['two protocols at once', line({ l4: { UDP: {}, TCP: {} } })],
  ])('refuses %s', (_, text) => {
    expect(() => asHubble(text)).toThrow();
  });

  it('shows fields that protobuf would have left out', () => {
    const text = line({ IP: { source: '10.0.0.1', encrypted: false }, is_reply: false });
    expect(asHubble(text)).toEqual({ flow: { IP: { source: '10.0.0.1' }, is_reply: false } });
  });
});
