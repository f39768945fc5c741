import { defineConfig } from 'vitest/config';
import { webPackets } from './scripts/web-packets.ts';
import { QUICK } from './test/support/projects.ts';

/**
 * `npm test` runs the project `quick`: tests that compute in their own process, and need nothing but Node. `npm run
 * test:all` runs every project. What a test file imports decides; test/support/projects.ts has the rule.
 */

/** Where a thread that waits for a processor would lose packets, or a clock is asked: one file at a time. */
const alone = [
  'test/interop/{kernel,live}-rotation{,-1000}.test.ts',
  'test/conformance/link.test.ts',
  'test/link/{packet,sockets,tun,udp}.test.ts',
  'test/native/**/*.test.ts',
  'test/ipsec/allocation.test.ts',
];

export default defineConfig({
  plugins: [webPackets()],
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'quick',
          include: [...QUICK],
          exclude: alone,
          maxWorkers: '100%',
          sequence: { groupOrder: 1 },
        },
      },
      // Kernels, namespaces, peers and commands: they wait more than they work, so two at a time.
      {
        extends: true,
        test: {
          name: 'full',
          globalSetup: ['test/support/build.ts'],
          include: ['test/**/*.test.ts'],
          exclude: [...QUICK, ...alone],
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          globalSetup: ['test/support/build.ts'],
          include: alone,
          maxWorkers: 1,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
