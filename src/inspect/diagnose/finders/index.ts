/**
 * All finders. Their order does not matter: findings are sorted by importance.
 * @module
 */
import type { Finder } from '../case.ts';
import { clearTraffic } from './clear-traffic.ts';
import { contradictions } from './contradictions.ts';
import { counters } from './counters.ts';
import { damage } from './damage.ts';
import { hidden } from './hidden.ts';
import { keys } from './keys.ts';
import { numbers } from './numbers.ts';
import { oddInside } from './odd-inside.ts';
import { path } from './path.ts';
import { policies } from './policies.ts';
import { replays } from './replays.ts';
import { senders } from './senders.ts';
import { states } from './states.ts';
import { version } from './version.ts';
import { ways } from './ways.ts';

export const FINDERS: readonly Finder[] = [
  states,
  keys,
  contradictions,
  senders,
  numbers,
  replays,
  damage,
  oddInside,
  policies,
  path,
  clearTraffic,
  counters,
  hidden,
  version,
  ways,
];
