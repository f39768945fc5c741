/**
 * Ends SAs whose time is over. Linux has a timer for each; here all are looked at when the next of them is due, and once a
 * second for what none can foresee: an SA that carries its first packet.
 * @module
 */
import { FLAG } from '../ipsec/sa-words.ts';
import type { Sad } from '../ipsec/sad.ts';

/** Linux counts whole seconds, too. */
const LONGEST = 1000;

export class TimeLimits {
  readonly #sad: Sad;
  /** When to look again, as long as the SAD has this version. */
  #next = 0;
  #version = -1;

  constructor(sad: Sad) {
    this.#sad = sad;
  }

  /**
   * Looks at the SAs that have limits in seconds, if it is time to.
   * @param now ms since any epoch, the same in every call
   */
  look(now: number): void {
    const { sas, version } = this.#sad;
    // A clock that was set back would have the SAs wait for as long.
    if (version === this.#version && now < this.#next && now >= this.#next - LONGEST) return;
    this.#version = version;
    let next = now + LONGEST;
    for (let i = 0; i < sas.length; i++) {
      const sa = sas[i];
      if (!sa?.has(FLAG.TIMED) || sa.gone) continue;
      const due = sa.life.look(now);
      if (due <= now) sa.gone = true;
      else if (due < next) next = due;
    }
    this.#next = next;
  }
}
