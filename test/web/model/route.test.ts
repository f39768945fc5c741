import { describe, expect, it } from 'vitest';
import { changed, formatRoute, parseRoute } from '../../../src/web/route.ts';

describe('addresses', () => {
  it.each([
    ['', '#/'],
    ['#', '#/'],
    ['#/', '#/'],
    ['#/bytes', '#/bytes'],
    ['#/bytes/', '#/bytes'],
    ['#/bytes/field/esp.seq', '#/bytes/field/esp.seq'],
    ['#/bytes/field/ip.ttl~2?p=native-v6&flip=34:7', '#/bytes/field/ip.ttl~2?flip=34:7&p=native-v6'],
    ['#/packet/step/seal?v=6&mode=vxlan', '#/packet/step/seal?mode=vxlan&v=6'],
    ['#/own/a%2Fb', '#/own/a%2Fb'],
  ])('%s is %s', (typed, written) => {
    expect(formatRoute(parseRoute(typed))).toBe(written);
    expect(formatRoute(parseRoute(written))).toBe(written);
  });

  it('survives what nobody would write', () => {
    expect(parseRoute('#/bytes/%zz?%zz=1&__proto__=2')).toMatchObject({ chapter: 'bytes', path: ['%zz'] });
    expect(Object.keys(parseRoute('#/a?__proto__=2').params)).toEqual(['__proto__']);
  });

  it('changes parameters one by one', () => {
    const route = parseRoute('#/window?size=64&esn=1');
    expect(formatRoute(changed(route, { params: { esn: undefined, size: '1024' } }))).toBe(
      '#/window?size=1024',
    );
    expect(formatRoute(changed(route, { path: ['step', '2'] }))).toBe('#/window/step/2?esn=1&size=64');
  });
});
