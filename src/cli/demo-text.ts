/**
 * What `esplane demo` shows: a result in about fifty lines.
 * @module
 */
import type { DemoResult, Exchange } from '../sim/demo.ts';
import type { Check, DropCount } from '../sim/demo-checks.ts';
import { HOSTS, type HostName } from '../sim/demo-cluster.ts';
import type { Paint } from './paint.ts';

/** The file that the run was written to. */
export interface Written {
  readonly name: string;
  /** How to call esplane. */
  readonly command: string;
}

/** Tells the run to people. */
export function demoText(result: DemoResult, paint: Paint, written: Written | undefined): string {
  const lines = [
    ...opening(result, paint),
    '',
    paint.bold('One ping, stage by stage'),
    ...trace(result, paint),
    '',
    paint.bold('What crossed, and how'),
    ...result.exchanges.map((exchange) => exchangeLine(exchange, paint)),
    ...wireLines(result, paint),
    '',
    paint.bold('What must be, and what was'),
    ...result.checks.map((check) => checkLine(check, paint)),
    '',
    verdict(result, paint),
    ...(written ? closing(written, paint) : []),
  ];
  return `${lines.join('\n')}\n`;
}

function opening({ family, suite, engine, seed }: DemoResult, { bold, dim, cyan }: Paint): string[] {
  const addressOf = (name: HostName) => HOSTS[name].addresses[family === 4 ? 0 : 1];
  const at = (name: HostName) => `${cyan(name)} ${addressOf(name)}`;
  const left = (name: HostName) => `${cyan(name.padEnd(6))} ${addressOf(name)}`;
  const indent = ' '.repeat('client '.length + addressOf('client').length);
  return [
    `${bold('esplane demo')}: two virtual nodes that encrypt between their pods as Cilium does with IPsec`,
    '',
    `  ${left('client')} ─┐`,
    `  ${indent}  ├─ node-1 ══╦══ node-2 ─── ${at('web')}`,
    `  ${left('cache')} ─┘           ║`,
    `  ${indent}              ╚══ ${at('database')}, outside the cluster`,
    '',
    dim(`  ${suite}, a key for each direction, ESN, window 1024; cipher by ${engine}; seed ${seed}`),
  ];
}

function trace({ trace: steps }: DemoResult, { cyan, dim, yellow }: Paint): string[] {
  let before = '';
  const lines = steps.map(({ where, what, text }) => {
    const who = where === before ? '' : where;
    before = where;
    return `  ${cyan(who.padEnd(7))} ${dim(what.padEnd(9))} ${text}`;
  });
  const isThere = steps.at(-1)?.what === 'receives';
  return isThere ? lines : [...lines, `  ${yellow('…and there its way ended: see below what the wire did')}`];
}

function exchangeLine(exchange: Exchange, { green, yellow, red, dim }: Paint): string {
  const { name, way, note, sent, delivered, esp, clear, drops } = exchange;
  const colour = { encrypted: green, clear: yellow, dropped: red }[way];
  const onWire = [esp > 0 ? `${esp} ESP` : '', clear > 0 ? `${clear} clear` : ''].filter(
    (text) => text !== '',
  );
  const words = [
    name.padEnd(27),
    colour(way.padEnd(9)),
    `${sent} sent, ${delivered} delivered`.padEnd(23),
    `${onWire.join(', ') || 'none'} on the wire`.padEnd(19),
    dim(way === 'dropped' ? `${note}: ${drops.map(dropText).join(', ') || 'not dropped'}` : note),
  ];
  return `  ${words.join(' ')}`;
}

function dropText({ node, counter, count }: DropCount): string {
  return `${counter} at ${node}${count > 1 ? ` (${count})` : ''}`;
}

/** What the wire did to frames, where it did something, and what the nodes dropped for it. */
function wireLines({ totals, drops, impairments }: DemoResult, { yellow, dim }: Paint): string[] {
  if (Object.values(impairments).every((value) => value === 0)) return [];
  const faults = [
    [totals.lost, 'lost'],
    [totals.duplicated, 'doubled'],
    [totals.corrupted, 'with a flipped bit'],
    [totals.nowhere, 'for an address that nobody has'],
  ] as const;
  const ends = [
    [totals.resent, 'TCP segments sent again'],
    [totals.damaged, 'delivered in the clear with a wrong checksum'],
    [totals.altered, 'delivered in the clear, altered, and nobody can tell'],
  ] as const;
  const list = (counts: readonly (readonly [number, string])[]) =>
    counts
      .filter(([count]) => count > 0)
      .map(([count, what]) => `${count} ${what}`)
      .join(', ');
  return [
    `  ${yellow('the wire')}   ${list(faults) || 'no fault'}`,
    ...drops.map(
      ({ node, counter, reason, count }) =>
        `  ${yellow('dropped')}    ${count} at ${node}: ${counter} ${dim(`(${reason})`)}`,
    ),
    ...(list(ends) === '' ? [] : [`  ${yellow('the hosts')}  ${list(ends)}`]),
  ];
}

function checkLine({ name, expected, actual, ok }: Check, { green, red }: Paint): string {
  const sign = ok ? green('✓') : red('✗');
  const value = ok ? String(actual) : `${actual}, not ${expected}`;
  return `  ${sign} ${value.padStart(4)}  ${ok ? name : red(name)}`;
}

function verdict({ checks, ok, totals, drops }: DemoResult, { bold, green, red }: Paint): string {
  const good = checks.filter((check) => check.ok).length;
  const dropped = drops.reduce((sum, { count }) => sum + count, 0);
  const sum = `${totals.sent} packets sent, ${totals.delivered} delivered, ${totals.encrypted} encrypted, ${dropped} dropped`;
  return ok
    ? `${bold(green('Verified:'))} ${sum}; all ${checks.length} comparisons hold.`
    : `${bold(red('Failed:'))} ${sum}; only ${good} of ${checks.length} comparisons hold.`;
}

function closing({ name, command }: Written, { bold, dim }: Paint): string[] {
  const file = /^[\w./-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
  const commands = [
    [`${command} decrypt ${file}`, 'every ESP packet with its verdict'],
    [`wireshark ${file}`, '4.6 and later decrypts with the keys in the file'],
  ] as const;
  const width = Math.max(...commands.map(([line]) => line.length));
  return [
    '',
    `The run is in ${bold(name)}: the wire, each pod's side, and the keys. Look at it with`,
    ...commands.map(([line, what]) => `  ${line.padEnd(width)}  ${dim(what)}`),
  ];
}
