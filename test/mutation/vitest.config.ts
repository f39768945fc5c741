import { defineConfig } from 'vitest/config';

/**
 * The tests that mutants have to get past: those of ESP itself and of Cilium's keys. Nothing that measures, and
 * fewer generated cases, because a mutant that fifty cases do not find deserves a test of its own.
 */
export default defineConfig({
  test: {
    include: [
      'test/ipsec/**/*.test.ts',
      'test/cilium/{derive,keys,key-line,effective-key,rotation,plan}.test.ts',
    ],
    exclude: ['test/ipsec/allocation.test.ts'],
    env: { ESPLANE_FUZZ_RUNS: '50' },
    testTimeout: 30_000,
  },
});
