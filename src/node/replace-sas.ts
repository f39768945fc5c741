/**
 * Makes an SAD hold what a plan says, all of it or nothing: the new SAs are made and found to go together before an old
 * one is touched.
 * @module
 */
import { equalBytes, toHex } from '../base/bytes.ts';
import type { RandomBytes } from '../base/rng.ts';
import type { Engine } from '../crypto/engine.ts';
import { SecurityAssociation } from '../ipsec/sa.ts';
import type { Lifetime, Mark, SaConfig } from '../ipsec/sa-config.ts';
import { Sad } from '../ipsec/sad.ts';
import type { Prefix } from '../wire/address.ts';

/** A configuration, and the SA that it is to have. */
interface Wanted {
  readonly config: SaConfig;
  /** Where an SA with the same key and number space is. */
  readonly index: number | undefined;
  sa: SecurityAssociation | undefined;
}

/**
 * SAs that stay keep their counters and windows, also where limits, selectors or marks that they put on packets
 * change (Linux xfrm_state_update). The keys of those that go are wiped. Of several new ones the first is the newest,
 * as `ip xfrm state` prints them.
 * @param sad matches by mark
 * @throws {EsplaneError} `ERR_SUITE` when the engine lacks a suite, `ERR_SA_EXISTS` when two SAs collide
 * @throws {RangeError} when a window's size is impossible. In any case all is as it was before
 */
export function replaceSas(
  sad: Sad,
  configs: readonly SaConfig[],
  engine: Engine,
  random: RandomBytes,
  pathMtu: number,
): void {
  const wanted = assign(sad, configs);
  const made: SecurityAssociation[] = [];
  try {
    for (const one of wanted) {
      const old = one.index === undefined ? undefined : sad.sas[one.index];
      if (old && isUnchanged(old.config, one.config)) one.sa = old;
      else {
        one.sa = new SecurityAssociation(one.config, engine, { random, ...(old && { continues: old }) });
        made.push(one.sa);
        one.sa.pathMtu = pathMtu;
      }
    }
    // What was there goes together already, and so does a part of it.
    if (made.length > 0) {
      const trial = new Sad(sad.match);
      for (const { sa } of wanted) trial.add(sa!);
    }
  } catch (error) {
    for (const { key } of made) engine.removeKey(key);
    throw error;
  }
  // From here on nothing fails.
  const kept = new Set(wanted.map(({ index }) => index));
  sad.sas.forEach((old, index) => {
    if (!old || kept.has(index)) return;
    sad.remove(index);
    engine.removeKey(old.key);
  });
  for (const { index, sa } of wanted) {
    const old = index === undefined ? undefined : sad.sas[index];
    if (index === undefined || !old || old === sa) continue;
    sad.replace(index, sa!);
    engine.removeKey(old.key);
  }
  sad.addAll(wanted.flatMap(({ index, sa }) => (index === undefined && sa ? [sa] : [])));
}

/** Finds for every configuration the SA that it goes on with. */
function assign(sad: Sad, configs: readonly SaConfig[]): Wanted[] {
  // An agent's plan has the same objects for SAs that stay, and of a large cluster nearly all do.
  const known = new Map<SaConfig, number>();
  sad.sas.forEach((sa, index) => {
    if (sa) known.set(sa.config, index);
  });
  const stays = new Set(configs.filter((config) => known.has(config)));
  const places = new Map<string, number>();
  for (const [config, index] of known) if (!stays.has(config)) places.set(placeOf(config), index);
  return configs.map((config) => {
    // Named twice, it is a second SA, which the trial finds.
    if (stays.delete(config)) return { config, index: known.get(config), sa: undefined };
    const place = placeOf(config);
    let index = places.get(place);
    if (index !== undefined && !isSameStream(sad.sas[index]!.config, config)) index = undefined;
    // A second one in this place is a mistake, which the trial finds.
    if (index !== undefined) places.delete(place);
    return { config, index, sa: undefined };
  });
}

/** What Linux tells states by. */
function placeOf({ dst, spi, mark }: SaConfig): string {
  return `${toHex(dst)}/${spi}/${mark?.value ?? 0}/${mark?.mask ?? 0}`;
}

/** Do two SAs of one place share key and sequence numbers? Then one must not begin anew where the other was. */
function isSameStream(a: SaConfig, b: SaConfig): boolean {
  return (
    a.keys.equals(b.keys) && equalBytes(a.src, b.src) && a.esn === b.esn && a.replayWindow === b.replayWindow
  );
}

/** Of two SAs of one stream: is the rest the same too? Where they come from does not matter. */
function isUnchanged(a: SaConfig, b: SaConfig): boolean {
  if (a === b) return true;
  return (
    a.mode === b.mode &&
    a.reqid === b.reqid &&
    a.direction === b.direction &&
    a.encap?.sport === b.encap?.sport &&
    a.encap?.dport === b.encap?.dport &&
    sameMark(a.outputMark, b.outputMark) &&
    sameLifetime(a.lifetime ?? {}, b.lifetime ?? {}) &&
    sameSelector(a.selector, b.selector) &&
    a.flags.join() === b.flags.join()
  );
}

function sameMark(a: Mark | undefined, b: Mark | undefined): boolean {
  return a?.value === b?.value && a?.mask === b?.mask;
}

function sameLifetime(a: Lifetime, b: Lifetime): boolean {
  return (
    a.softPackets === b.softPackets &&
    a.hardPackets === b.hardPackets &&
    a.softBytes === b.softBytes &&
    a.hardBytes === b.hardBytes
  );
}

function sameSelector(a: SaConfig['selector'], b: SaConfig['selector']): boolean {
  if (!a || !b) return a === b;
  return samePrefix(a.src, b.src) && samePrefix(a.dst, b.dst);
}

function samePrefix(a: Prefix, b: Prefix): boolean {
  return a.bits === b.bits && equalBytes(a.address, b.address);
}
