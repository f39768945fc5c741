/**
 * Mutation tests: does a test fail for every small change of ESP and of Cilium's keys? CONTRIBUTING.md has the command.
 *
 * Left out are texts for people (an error's wording, a drop's hint), and what runs once when a module is loaded, such as
 * tables of constants: a mutant there needs all tests anew.
 * @type {import('@stryker-mutator/api/core').PartialStrykerOptions}
 */
export default {
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'test/mutation/vitest.config.ts' },
  mutate: ['src/ipsec/*.ts', 'src/cilium/{derive,keys,effective-key,rotation}.ts'],
  mutator: { excludedMutations: ['StringLiteral'] },
  ignoreStatic: true,
  coverageAnalysis: 'perTest',
  concurrency: 1,
  reporters: ['clear-text', 'progress-append-only', 'json'],
  jsonReporter: { fileName: '.stryker-tmp/mutation.json' },
  clearTextReporter: { allowColor: false, allowEmojis: false, logTests: false, reportTests: false },
  // What no test of these two rooms reads.
  ignorePatterns: ['biome.json', 'dist', 'native', 'bench', 'src/web', 'test/web', 'test/interop'],
  allowConsoleColors: false,
  cleanTempDir: 'always',
};
