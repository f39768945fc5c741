import { defineConfig } from 'vitest/config';
import { webPackets } from './scripts/web-packets.ts';

/** What only computes: it may run side by side with its like, on every core. */
const PURE = ['base', 'capture', 'cilium', 'crypto', 'inspect', 'observe', 'sim', 'web', 'wire'];
const pure = PURE.map((room) => `test/${room}/**/*.test.ts`);
/** Where a thread that waits for a processor would lose packets, or a clock is asked: one file at a time. */
const alone = [
  'test/interop/{kernel,live}-rotation.test.ts',
  'test/conformance/link.test.ts',
  'test/link/**/*.test.ts',
  'test/native/**/*.test.ts',
  'test/ipsec/allocation.test.ts',
];

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
      // Kernels, namespaces, peers and commands: they wait more than they work, so two at a time.
      {
        extends: true,
        test: {
          name: 'real',
          include: ['test/**/*.test.ts'],
          exclude: [...pure, ...alone],
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: { name: 'alone', include: alone, maxWorkers: 1, sequence: { groupOrder: 3 } },
      },
    ],
  },
});
