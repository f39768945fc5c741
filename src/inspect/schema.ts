/**
 * The version of the JSON that commands print: docs/json.md.
 * @module
 */

/** Fields may be added while it stays; none is taken away, or gets another meaning. */
export const SCHEMA = 1;
