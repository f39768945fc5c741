import { defineConfig } from 'vitest/config';
import { webPackets } from './scripts/web-packets.ts';

export default defineConfig({
  plugins: [webPackets()],
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/build.ts'],
    testTimeout: 30_000,
  },
});
