/**
 * What may stand in a scenario file, value by value. What the values mean together is in `scenario.ts`.
 * @module
 */
import { z } from 'zod';
import type { YamlPath, YamlText } from '../base/yaml-text.ts';
import { KEY_RECIPES, type KeyRecipe, keyRecipe } from '../cilium/key-line.ts';
import { type Prefix, parsePrefix } from '../wire/address.ts';

/** A value that is read by hand. The text says what was expected, as in "Give …". */
function value<T>(expected: string, read: (input: unknown) => T | undefined): z.ZodType<T> {
  return z.unknown().transform((input, context) => {
    const result = read(input);
    if (result !== undefined) return result;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

function whole(from: number, to: number): z.ZodType<number> {
  return value(`a whole number from ${from} to ${to}`, (input) =>
    Number.isInteger(input) && (input as number) >= from && (input as number) <= to
      ? (input as number)
      : undefined,
  );
}

function oneOf<T extends string | number>(...values: readonly T[]): z.ZodType<T> {
  return value(`one of ${values.join(', ')}`, (input) => values.find((one) => one === input));
}

const UNITS = { us: 0.001, ms: 1, s: 1000, m: 60_000 } as const;

const LONGEST = 7 * 24 * 60 * UNITS.m;

/** What YAML takes for a number or a text, as text: a list of one would look the same. */
function scalar(input: unknown): string {
  return typeof input === 'string' || typeof input === 'number' ? String(input) : '';
}

/** ms. */
const time = value('a time, such as 250ms, 2s or 5m, of 7 days at most', (input) => {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(us|ms|s|m)$/.exec(scalar(input)) ?? [];
  if (number === undefined) return input === 0 ? 0 : undefined;
  const ms = Number(number) * UNITS[unit as keyof typeof UNITS];
  return ms <= LONGEST ? ms : undefined;
});

const chance = value('a chance, such as 1% or 0.01', (input) => {
  const [, number, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(scalar(input)) ?? [];
  const result = number === undefined ? Number.NaN : Number(number) / (percent ? 100 : 1);
  return result <= 1 ? result : undefined;
});

const RATES = { 'kbit/s': 1e3, 'Mbit/s': 1e6, 'Gbit/s': 1e9 } as const;

/** Bits a second. */
const rate = value('a rate, such as 100 Mbit/s', (input) => {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?([kMG]bit\/s)$/.exec(scalar(input)) ?? [];
  const result = Number(number) * (RATES[unit as keyof typeof RATES] ?? 0);
  return result > 0 ? result : undefined;
});

const prefix = value('the first address of a range, and its length, such as 10.0.0.0/8', (input) => {
  const range = typeof input === 'string' ? parsePrefix(input) : undefined;
  return range && isFirst(range) ? range : undefined;
});

/** Are all bits beyond the length 0? */
function isFirst({ address, bits }: Prefix): boolean {
  return address.every((byte, i) => (byte & (0xff >>> Math.min(8, Math.max(0, bits - 8 * i)))) === 0);
}

const text = value('a text', (input) => (typeof input === 'string' ? input.trim() : undefined));
const flag = value('true or false', (input) => (typeof input === 'boolean' ? input : undefined));
const name = value('a name of letters, digits, dots and dashes', (input) =>
  typeof input === 'string' && /^[\w.-]{1,63}$/.test(input) ? input : undefined,
);
const podName = value('a pod, such as node-1/pod-1', (input) =>
  typeof input === 'string' && /^[\w.-]+\/pod-[1-9]\d*$/.test(input) ? input : undefined,
);
/** One name or several. */
const names = value('a node, or a list of nodes, each once', (input) => {
  const list = Array.isArray(input) ? input : [input];
  const isFit = list.every((one) => typeof one === 'string') && new Set(list).size === list.length;
  return isFit && list.length > 0 ? (list as string[]) : undefined;
});
const recipe = value(`one of ${KEY_RECIPES.join(', ')}`, (input): KeyRecipe | undefined =>
  typeof input === 'string' ? keyRecipe(input) : undefined,
);
/** `rotate:` or `rotate: true`. */
const bare = value('nothing, or true', (input) => (input === null || input === true ? true : undefined));

const DELAYS = z.strictObject({ min: time.optional(), max: time });

const LINK = z.strictObject({
  mtu: whole(576, 9216).optional(),
  latency: time.optional(),
  jitter: time.optional(),
  loss: chance.optional(),
  duplicate: chance.optional(),
  bitErrors: chance.optional(),
  reorder: z.strictObject({ chance, delay: time }).optional(),
  bandwidth: rate.optional(),
  pathMtu: whole(576, 9216).optional(),
});

/** Of all nodes, or of one. */
const ROTATION = {
  order: oneOf('install-first', 'advertise-first').optional(),
  installTime: time.optional(),
  steps: z.strictObject({ install: time, advertise: time, send: time }).optional(),
  keep: time.optional(),
  look: time.optional(),
  wait: time.optional(),
};

const NODE = z.strictObject({
  name,
  pods: whole(0, 200).optional(),
  podRange: prefix.optional(),
  key: flag.optional(),
  secret: DELAYS.optional(),
  rotation: z.strictObject(ROTATION).optional(),
  link: LINK.optional(),
});

const TRAFFIC = z.strictObject({
  kind: oneOf('udp', 'ping', 'tcp'),
  from: podName.optional(),
  to: podName.optional(),
  pairs: whole(1, 50_000).optional(),
  every: time.optional(),
  size: whole(8, 65_000).optional(),
  start: time.optional(),
  stop: time.optional(),
});

/** What can happen. An event has one of these. */
const HAPPENINGS = {
  rotate: bare.optional(),
  reboot: name.optional(),
  join: names.optional(),
  leave: names.optional(),
  deleteNode: name.optional(),
  partition: names.optional(),
  staleBootId: name.optional(),
  replay: name.optional(),
  changeKey: names.optional(),
  restartAgent: name.optional(),
  ageSas: name.optional(),
  startPod: podName.optional(),
};

export const EVENT_KINDS = Object.keys(HAPPENINGS) as readonly (keyof typeof HAPPENINGS)[];

const EVENT = z.strictObject({
  at: time,
  ...HAPPENINGS,
  for: time.optional(),
  count: whole(1, 100_000).optional(),
  sent: whole(1, 0xffff_ffff).optional(),
  peers: names.optional(),
});

const SCENARIO = z.strictObject({
  about: text.optional(),
  seed: whole(0, 0xffff_ffff).optional(),
  duration: time,
  cilium: value('a version, such as "1.20"', (input) =>
    typeof input === 'string' || typeof input === 'number' ? String(input) : undefined,
  ).optional(),
  mode: oneOf('native', 'tunnel').optional(),
  family: oneOf(4, 6).optional(),
  key: z
    .strictObject({ id: whole(1, 15).optional(), algorithm: recipe.optional(), perTunnel: flag.optional() })
    .optional(),
  rotation: z.strictObject(ROTATION).optional(),
  ipcache: oneOf('pod-ranges', 'pods').optional(),
  peers: oneOf('all', 'traffic').optional(),
  strict: prefix.optional(),
  addresses: z.strictObject({ nodes: prefix.optional(), pods: prefix.optional() }).optional(),
  nodes: whole(1, 5000).or(z.array(NODE).min(1)),
  pods: whole(0, 200).optional(),
  link: LINK.optional(),
  news: DELAYS.optional(),
  secret: DELAYS.optional(),
  traffic: z.array(TRAFFIC).optional(),
  events: z.array(EVENT).optional(),
});

export type RawScenario = z.infer<typeof SCENARIO>;
export type RawNode = z.infer<typeof NODE>;
export type RawLink = z.infer<typeof LINK>;
export type RawRotation = NonNullable<RawScenario['rotation']>;
export type RawEvent = z.infer<typeof EVENT>;

/**
 * Checks every value of a file.
 * @throws {InputError} at the first that is not what it should be: the line, and what was expected
 */
export function checkScenario(yaml: YamlText): RawScenario {
  const input = yaml.value;
  const parsed = SCENARIO.safeParse(input);
  if (parsed.success) return parsed.data;
  let issue = parsed.error.issues[0]!;
  const path: (string | number)[] = issue.path.map((step) => (typeof step === 'symbol' ? '' : step));
  // Of a number or a list, what was meant is told by what is there.
  if (issue.code === 'invalid_union') {
    const inner = issue.errors[Array.isArray(valueAt(input, path)) ? 1 : 0]?.[0];
    if (inner) {
      path.push(...inner.path.map((step) => (typeof step === 'symbol' ? '' : step)));
      issue = inner as typeof issue;
    }
  }
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? '';
    const known = shapeAt(SCENARIO, path);
    throw yaml.fail([...path, key], `unknown key ${shown(key)}`, `Use one of ${known.join(', ')}.`);
  }
  const where = path.length > 0 ? path.join('.') : 'the file';
  const isThere = valueAt(input, path) !== undefined;
  const problem = isThere ? `${where} is not what it should be` : `${where} is missing`;
  const expected = issue.code === 'custom' ? issue.message : EXPECTED[expectedOf(issue)];
  throw yaml.fail(path, problem, `Give ${expected ?? 'what the manual says'}.`);
}

const EXPECTED: Readonly<Record<string, string>> = {
  object: 'a mapping of keys to values',
  array: 'a list',
};

function expectedOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') return issue.expected;
  return issue.code === 'too_small' ? 'array' : '';
}

function valueAt(input: unknown, path: YamlPath): unknown {
  let at = input;
  for (const step of path) at = (at as Record<string | number, unknown> | null | undefined)?.[step];
  return at;
}

/** The keys that a place of the schema knows. */
function shapeAt(schema: z.ZodType, path: YamlPath): string[] {
  let at: z.ZodType = schema;
  for (const step of [...path, undefined]) {
    while (at instanceof z.ZodOptional) at = at.unwrap() as z.ZodType;
    if (at instanceof z.ZodUnion) at = at.options.find((one) => one instanceof z.ZodArray) as z.ZodType;
    if (step === undefined) break;
    if (at instanceof z.ZodArray) at = at.element as z.ZodType;
    else if (at instanceof z.ZodObject) at = at.shape[step] as z.ZodType;
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function shown(key: string): string {
  return /^[\w.-]{1,40}$/.test(key) ? key : '(not shown)';
}
