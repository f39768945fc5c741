/**
 * The SA that an outbound policy's template asks for (Linux xfrm_state_find).
 *
 * With destination and SPI there is one. With less there may be several, during a rotation for instance: then the newest
 * is taken that covers the packet, and one that has reached a soft limit only when there is no other (tried on 6.1).
 *
 * A node sends as CPU 0: states of its own (`pcpu-num 0`) come first, those of other CPUs not at all
 * (Linux xfrm_state_look_at).
 * @module
 */
import { equalBytes } from '../base/bytes.ts';
import type { SaConfig } from '../ipsec/sa-config.ts';
import type { Sad } from '../ipsec/sad.ts';
import { SelectedPacket } from '../ipsec/selector.ts';
import type { Template } from '../ipsec/spd.ts';

export class SaChoice {
  readonly #sad: Sad;
  /** For templates without an SPI: the SAs they ask for, the newest first. Good for one version of the SAD. */
  readonly #candidates = new Map<Template, number[]>();
  #version = -1;
  readonly #packet = new SelectedPacket();

  constructor(sad: Sad) {
    this.#sad = sad;
  }

  /**
   * Chooses for the IP packet at `at`, by what its selectors and marks ask for.
   * @returns the SA's index, or -1
   */
  choose(template: Template, slab: Uint8Array, at: number, mark: number): number {
    const sad = this.#sad;
    const { dst, spi } = template;
    if (dst && spi !== undefined) {
      const index = sad.lookup(dst, 0, dst.length, spi, mark);
      const sa = sad.sas[index];
      return sa?.valid && asksFor(template, sa.config) ? index : -1;
    }
    const candidates = this.#candidatesOf(template);
    const packet = this.#packet.look(slab, at);
    let dying = -1;
    for (let k = 0; k < candidates.length; k++) {
      const index = candidates[k]!;
      const sa = sad.sas[index]!;
      if (!sa.valid || sa.gone) continue;
      const want = sa.config.mark;
      if (want && ((mark ^ want.value) & want.mask) !== 0) continue;
      const { selector } = sa.config;
      if (selector && !packet.isIn(selector)) continue;
      if (!sa.isDying) return index;
      if (dying < 0) dying = index;
    }
    return dying;
  }

  #candidatesOf(template: Template): readonly number[] {
    const sad = this.#sad;
    if (this.#version !== sad.version) {
      this.#candidates.clear();
      this.#version = sad.version;
    }
    let found = this.#candidates.get(template);
    if (!found) {
      found = [];
      for (let i = 0; i < sad.sas.length; i++) {
        const sa = sad.sas[i];
        if (sa && asksFor(template, sa.config)) found.push(i);
      }
      found.sort((a, b) => ownFirst(sad, a) - ownFirst(sad, b) || sad.age(b) - sad.age(a));
      this.#candidates.set(template, found);
    }
    return found;
  }
}

function ownFirst({ sas }: Sad, index: number): number {
  return sas[index]!.config.cpu === 0 ? 0 : 1;
}

function asksFor({ src, dst, spi, reqid, mode }: Template, config: SaConfig): boolean {
  return (
    config.mode === mode &&
    (config.cpu ?? 0) === 0 &&
    (spi === undefined || spi === config.spi) &&
    (reqid === undefined || reqid === config.reqid) &&
    (src === undefined || equalBytes(src, config.src)) &&
    (dst === undefined || equalBytes(dst, config.dst))
  );
}
