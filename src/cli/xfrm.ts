/**
 * `esplane xfrm`: what `ip xfrm` and `/proc/net/xfrm_stat` print, as JSON, and as commands that set up the same again.
 * @module
 */
import type { Command } from 'commander';
import { SCHEMA } from '../inspect/schema.ts';
import { damagedFields, omissionLine, unreadParts } from '../sa-text/omission.ts';
import { writeXfrmCommands } from '../sa-text/xfrm-commands.ts';
import { xfrmJson } from '../sa-text/xfrm-json.ts';
import { parseXfrm } from '../sa-text/xfrm-parse.ts';
import { readText } from './files.ts';
import { Output, warn } from './output.ts';

interface XfrmOptions {
  readonly json?: boolean;
  readonly commands?: boolean;
  readonly showKeys?: boolean;
}

/** Adds the command. */
export function xfrmCommand(program: Command): void {
  program
    .command('xfrm')
    .description(
      "Read the kernel's IPsec text: ip xfrm state, policy, count, monitor, and /proc/net/xfrm_stat.",
    )
    .argument('[files...]', 'texts, each of any kind, or of several; - or none is standard input')
    .option('--json', 'one JSON object with states, policies, events, counts and stat (the default)')
    .option('--commands', 'the ip xfrm commands that set up the same states and policies')
    .option('--show-keys', 'print the keys themselves')
    .addHelpText(
      'after',
      `
Examples:
  ip -s xfrm state | esplane xfrm
  esplane xfrm n1.xfrm_state.txt n1.xfrm_policy.txt n1.xfrm_stat --json
  ssh node-1 'ip -s xfrm state; ip xfrm policy' | esplane xfrm --commands --show-keys > setup.sh

Exit status: 0 read, 2 unusable input.`,
    )
    .action(xfrm);
}

async function xfrm(files: readonly string[], options: XfrmOptions): Promise<void> {
  const showKeys = options.showKeys ?? false;
  const trees = (files.length === 0 ? ['-'] : files).map((file) => parseXfrm(readText(file), file));
  const out = new Output();
  for (const { source, passed } of trees) {
    const [first] = passed;
    const count = passed.length === 1 ? '1 line belongs' : `${passed.length} lines belong`;
    if (first !== undefined)
      warn(`${source}: ${count} to no state, policy or count; the first is line ${first}`);
  }
  for (const tree of trees)
    for (const part of [...unreadParts(tree), ...damagedFields(tree)]) warn(omissionLine(part));
  if (options.commands) out.write(writeXfrmCommands(trees, { showKeys, note: warn }));
  else out.write(`${JSON.stringify({ ...xfrmJson(trees, { showKeys }), schema: SCHEMA }, null, 2)}\n`);
  await out.flush();
}
