import { describe, expect, it } from 'vitest';
import { EsplaneError, InputError, WireError } from '../../src/base/errors.ts';

describe('errors', () => {
  it('have a stable code and a literal name', () => {
    const wire = new WireError({ layer: 'udp', at: 4, problem: 'length is 7' });
    const input = new InputError({ source: 'keys' }, 'empty', 'Give a key.');
    const base = new EsplaneError('ERR_SUITE', 'no such suite');
    expect([base, wire, input].map((e) => [e.name, e.code])).toEqual([
      ['EsplaneError', 'ERR_SUITE'],
      ['WireError', 'ERR_WIRE'],
      ['InputError', 'ERR_INPUT'],
    ]);
    for (const error of [base, wire, input]) expect(error).toBeInstanceOf(EsplaneError);
  });

  it('a wire error says layer, byte and problem, and carries the fault', () => {
    const fault = { layer: 'udp', at: 4, problem: 'length is 7' };
    const error = new WireError(fault);
    expect(error.message).toBe('udp: length is 7, at byte 4 of the udp part');
    expect(error.fault).toBe(fault);
  });

  it.each([
    [{ source: 'keys', line: 12 }, 'keys:12: empty. Give a key.'],
    [{ source: 'x.pcap', byte: 418 }, 'x.pcap at byte 418: empty. Give a key.'],
    [{ source: '-' }, '-: empty. Give a key.'],
    [{ source: 'keys', line: 3, byte: 9 }, 'keys:3: empty. Give a key.'],
  ])('an input error is one line with place, problem and remedy', (place, want) => {
    const error = new InputError(place, 'empty', 'Give a key.');
    expect(error.message).toBe(want);
    expect(error.place).toBe(place);
  });

  it('keep their cause', () => {
    const cause = new Error('why');
    expect(new InputError({ source: 'x' }, 'p', 'R.', { cause }).cause).toBe(cause);
  });
});
