import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { addon } from '../../src/native/addon.ts';
import { inNetns, Poller, wakePoller } from '../../src/native/system.ts';
import { check, SystemError } from '../../src/native/system-error.ts';
import { ADDON, needs } from '../support/needs.ts';
import { LIVE } from '../support/netns.ts';

describe('check', () => {
  it('passes results on', () => {
    expect([check(0, 'x'), check(7, 'x')]).toEqual([0, 7]);
  });

  it('names call, error and remedy', () => {
    const fail = () => check(-1, 'open /dev/net/tun', { EPERM: 'Run as root.' });
    expect(fail).toThrow(new SystemError('EPERM', 'open /dev/net/tun', 'Run as root.'));
    expect(() => check(-9999, 'x')).toThrow(SystemError);
  });
});

needs([ADDON], 'Poller', () => {
  it('sleeps until it is woken, or the time is over', () => {
    const poller = new Poller([]);
    poller.wait(1);
    wakePoller(poller.wakeFd);
    wakePoller(poller.wakeFd);
    poller.wait(60_000);
    const started = performance.now();
    poller.wait(20);
    expect(performance.now() - started, 'waking is used up').toBeGreaterThan(15);
    poller.close();
  });

  it('keeps no descriptor', () => {
    const count = () => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let i = 0; i < 200; i++) new Poller([]).close();
    expect(count()).toBe(before);
  });

  it('answers wrong arguments with an error, not a crash', () => {
    const native = addon();
    expect(native.wait(new Uint8Array(4 * 65), new Uint8Array(65), 0)).toBeLessThan(0);
    expect(native.closeFd(-1)).toBeLessThan(0);
    expect(native.wake(-1)).toBeLessThan(0);
    expect(native.openNetns('/nowhere')).toBeLessThan(0);
  });
});

needs([ADDON], 'takeSlice', () => {
  it('has the slice that was asked for, or says that the kernel has none', () => {
    const said = addon().takeSlice(300);
    if (said !== 0) {
      expect([-constants.errno.ENOTSUP, -constants.errno.ENOSYS, -constants.errno.EPERM]).toContain(said);
      return;
    }
    // Where this kernel shows it.
    if (!existsSync('/proc/thread-self/sched')) return;
    const slice = /^se\.slice\s*:\s*(\d+)/m.exec(readFileSync('/proc/thread-self/sched', 'utf8'))?.[1];
    if (slice !== undefined) expect(slice).toBe('300000');
  });
});

needs(LIVE, 'inNetns', () => {
  const links = () =>
    readdirSync('/sys/class/net').length + spawnSync('ip', ['-o', 'link']).stdout.toString();

  it('works in the namespace and always comes back', () => {
    spawnSync('ip', ['netns', 'add', 'esplane-t-ns']);
    try {
      const home = links();
      const there = inNetns('esplane-t-ns', () => spawnSync('ip', ['-o', 'link']).stdout.toString());
      expect(there.trim().split('\n')).toHaveLength(1);
      expect(there).toContain('lo');
      expect(() =>
        inNetns('esplane-t-ns', () => {
          throw new Error('inside');
        }),
      ).toThrow('inside');
      expect(links()).toBe(home);
    } finally {
      spawnSync('ip', ['netns', 'delete', 'esplane-t-ns']);
    }
  });

  it('says how to make a namespace that is not there', () => {
    expect(() => inNetns('esplane-t-none', () => 0)).toThrow(/ENOENT.*ip netns add esplane-t-none/);
  });
});
