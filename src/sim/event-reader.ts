/**
 * What stands under `events` in a scenario file: each is one thing, in the order of their times, about nodes that are
 * there by then.
 * @module
 */
import type { InputError } from '../base/errors.ts';
import type { YamlPath, YamlText } from '../base/yaml-text.ts';
import type { EventKind, Scenario, ScenarioEvent } from './scenario.ts';
import { latecomers, Presence } from './scenario-presence.ts';
import { EVENT_KINDS, type RawEvent, type RawScenario } from './scenario-schema.ts';

/** What belongs to which events, beside `at`. */
const EXTRAS: Readonly<Record<'for' | 'count' | 'sent' | 'peers', readonly EventKind[]>> = {
  for: ['reboot', 'partition'],
  count: ['replay'],
  sent: ['ageSas'],
  peers: ['staleBootId', 'ageSas'],
};

/**
 * Reads the events.
 * @throws {InputError} at the first that cannot happen
 */
export function readEvents(
  raw: RawScenario,
  { nodes, pods }: Pick<Scenario, 'nodes' | 'pods'>,
  yaml: YamlText,
): ScenarioEvent[] {
  const known = nodes.map(({ name }) => name);
  const events = (raw.events ?? []).map((event, i) => readEvent(event, ['events', i], known, pods, yaml));
  const presence = new Presence(known, latecomers(events));
  let before = 0;
  return events.map((event, i) => {
    const at = ['events', i] as const;
    if (event.at < before)
      throw yaml.fail(
        [...at, 'at'],
        'the time is in the past: an event before it is later',
        'Give events in order.',
      );
    if (event.at > raw.duration) throw overBy([...at, 'at'], yaml);
    before = event.at;
    const given = raw.events?.[i]?.peers;
    for (const peer of given ?? []) {
      const objection = presence.objection(peer);
      if (objection) throw yaml.fail([...at, 'peers'], objection.problem, objection.remedy);
    }
    const objection = presence.happen(event);
    if (objection) throw yaml.fail([...at, event.kind], objection.problem, objection.remedy);
    return { ...event, peers: given ?? event.peers.filter((peer) => presence.isThere(peer)) };
  });
}

/** The error about a time after the end. */
export function overBy(at: YamlPath, yaml: YamlText): InputError {
  return yaml.fail(at, 'the run is over by then', 'Give an earlier time, or a longer duration.');
}

function readEvent(
  event: RawEvent,
  at: YamlPath,
  known: readonly string[],
  pods: Scenario['pods'],
  yaml: YamlText,
): ScenarioEvent {
  const kinds = EVENT_KINDS.filter((kind) => event[kind] !== undefined);
  const [kind] = kinds;
  if (!kind || kinds.length > 1) {
    const problem = kind ? `an event is one thing, not ${kinds.join(' and ')}` : 'the event is none';
    throw yaml.fail(at, problem, `Give one of ${EVENT_KINDS.join(', ')}.`);
  }
  for (const [extra, kinds] of Object.entries(EXTRAS)) {
    if (event[extra as keyof typeof EXTRAS] !== undefined && !kinds.includes(kind))
      throw yaml.fail(
        [...at, extra],
        `${extra} says nothing about ${kind}`,
        `It goes with ${kinds.join(', ')}.`,
      );
  }
  const names = kind === 'rotate' ? [] : [event[kind] as string | string[]].flat();
  if (kind === 'startPod') {
    const pod = names.find((name) => !pods.has(name));
    if (pod !== undefined) throw yaml.fail([...at, kind], `there is no pod ${pod}`, 'Name a pod of a node.');
  } else checkNodes(names, [...at, kind], known, yaml);
  checkNodes(event.peers ?? [], [...at, 'peers'], known, yaml);
  const own = event.peers?.find((peer) => names.includes(peer));
  if (own !== undefined)
    throw yaml.fail([...at, 'peers'], `${own} is no peer of its own`, 'Name other nodes.');
  const peers = known.filter((name) => !names.includes(name));
  if (kind === 'partition' && peers.length === 0)
    throw yaml.fail([...at, kind], 'nobody is on the other side', 'Leave a node out.');
  return {
    at: event.at,
    line: yaml.lineOf(at),
    kind,
    names,
    peers,
    duration: event.for ?? (kind === 'reboot' ? 0 : Number.POSITIVE_INFINITY),
    count: countOf(event, kind),
  };
}

function checkNodes(names: readonly string[], at: YamlPath, known: readonly string[], yaml: YamlText): void {
  for (const name of names)
    if (!known.includes(name))
      throw yaml.fail(at, `there is no node ${name}`, `Name one of ${someOf(known)}.`);
}

function countOf(event: RawEvent, kind: EventKind): number {
  if (kind === 'replay') return event.count ?? 10;
  return kind === 'ageSas' ? (event.sent ?? 0xffff_ff00) : 0;
}

function someOf(names: readonly string[]): string {
  return names.length > 8 ? `${names.slice(0, 3).join(', ')} … ${names.at(-1)}` : names.join(', ');
}
