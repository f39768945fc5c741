/**
 * A set with a bound: when it is full, members that were not used for long leave. Use costs a flag and no order, so it
 * can be told for every packet ("clock" page replacement, an approximation of least recently used).
 * @module
 */

/** What such a set holds. */
export interface Used {
  /** Set it when it is used. */
  used: boolean;
}

export class SecondChance<T extends Used> {
  readonly capacity: number;
  readonly #members = new Set<T>();

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get size(): number {
    return this.#members.size;
  }

  add(member: T): void {
    this.#members.add(member);
  }

  delete(member: T): void {
    this.#members.delete(member);
  }

  /**
   * Makes room when it is full, for several at once.
   * @returns members that have left: the oldest of those that were not used since they were last passed over
   */
  makeRoom(): T[] {
    const gone: T[] = [];
    if (this.#members.size < this.capacity) return gone;
    const wanted = Math.ceil(this.capacity / 16);
    for (const member of this.#members) {
      if (gone.length === wanted) break;
      this.#members.delete(member);
      // Added again it comes last; the walk meets it once more when all others were used, too.
      if (member.used) this.#members.add(member);
      else gone.push(member);
      member.used = false;
    }
    return gone;
  }
}
