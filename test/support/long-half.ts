/**
 * Tests that take long have two halves: `X.test.ts` is quick and takes a sample, and `X.long.test.ts`, which imports this
 * file and then that one, takes all.
 * @module
 */
process.env['ESPLANE_LONG'] = '1';
