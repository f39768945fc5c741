import { defineConfig } from 'vitest/config';
import { webPackets } from './scripts/web-packets.ts';

/** What only computes: it may run side by side with its like, on every core. */
const PURE = ['base', 'capture', 'cilium', 'crypto', 'inspect', 'observe', 'sim', 'web', 'wire'];
const pure = PURE.map((room) => `test/${room}/**/*.test.ts`);

export default defineConfig({
  plugins: [webPackets()],
  test: {
    globalSetup: ['test/support/build.ts'],
    testTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: { name: 'pure', include: pure, maxWorkers: '100%', sequence: { groupOrder: 1 } },
      },
      // Kernels, links, clocks and memory: one file at a time, so that none is measured against another.
      {
        extends: true,
        test: {
          name: 'alone',
          include: ['test/**/*.test.ts'],
          exclude: pure,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
