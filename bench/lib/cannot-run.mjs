/** A contender that this host does not have: a row says why, and it is no failure. */
export class CannotRun extends Error {}
