/**
 * `esplane status`: what `cilium-dbg encrypt status` prints, of a running node.
 * @module
 */
import type { Command } from 'commander';
import { InputError } from '../base/errors.ts';
import { type CiliumVersion, parseVersion } from '../cilium/version.ts';
import type { StateReport, ThreadsReport } from '../observe/observed.ts';
import { encryptionStatus, statusJson, statusText } from '../observe/status.ts';
import { print, say } from './output.ts';
import { askStatus, nodeOf, runningSockets, socketFolder, socketOf } from './status-socket.ts';

const EXAMPLE = `
Examples:
  $ esplane status                       # of the only node that runs here
  Encryption: IPsec
  Decryption interface(s): eth0
  Keys in use: 2
  Max Seq. Number: 0x1e3/0xffffffff
  Errors: 0
  $ esplane status node-1 --json         # as cilium-dbg encrypt status -o json
  $ esplane status /run/esplane/node-1.sock

The text is that of cilium-dbg encrypt status, byte for byte, of the version that the node follows (cilium: in its
configuration) or of --cilium. Max Seq. Number is, as there, the low 32 bits of the highest number sent; esplane_sa_sequence_number
of --metrics has all 64.

Standard error says where the node keeps its sequence numbers for a restart. It also says when a thread of the node has not answered for a second. Exit status 1 when that is the one
that carries packets, 2 when no node runs, or several do and none is named.`;

/** s after which a thread that does not answer is worth a line. */
const SILENT = 1;

interface Options {
  readonly json?: boolean;
  readonly cilium?: CiliumVersion;
}

/** Adds the command. */
export function statusCommand(program: Command): void {
  program
    .command('status')
    .description('Print what cilium-dbg encrypt status prints, of a running node.')
    .argument('[node]', 'name of a node, or path of its socket; left out, the only one that runs')
    .option('--json', 'JSON, as cilium-dbg encrypt status -o json')
    .option('--cilium <version>', 'whose output; left out, that of the node', (text) => parseVersion(text))
    .addHelpText('after', EXAMPLE)
    .action(run);
}

async function run(node: string | undefined, options: Options): Promise<void> {
  const path = node === undefined ? await onlySocket() : node.includes('/') ? node : socketOf(node);
  const { name, stats, interfaces, cilium, threads } = await askStatus(path);
  const status = encryptionStatus(stats, interfaces, options.cilium ?? parseVersion(cilium, path));
  print(options.json ? statusJson(status) : statusText(status));
  for (const line of threads ? threadLines(threads) : []) say(`esplane: ${name}: ${line}`);
  if (stats.state) say(`esplane: ${name}: ${stateLine(stats.state)}`);
  if (threads && threads.planeSilent >= SILENT) process.exitCode = 1;
}

/** Whether a restart goes on with the sequence numbers that the node has. */
export function stateLine({ file, problem }: Pick<StateReport, 'file' | 'problem'>): string {
  if (file === null)
    return `sequence numbers are not kept for a restart${problem === undefined ? ' (state-dir: false)' : `: ${problem}`}`;
  const kept = `sequence numbers are kept in ${file}`;
  return problem === undefined ? kept : `${kept}, but it cannot be written to the disk: ${problem}`;
}

/** What is to be said about threads that do not go round. */
export function threadLines({
  planeSilent,
  controlSilent,
  work,
  workFor,
  controlEnded,
}: ThreadsReport): string[] {
  const lines: string[] = [];
  if (planeSilent >= SILENT)
    lines.push(
      `the data-plane thread has not answered for ${planeSilent.toFixed(1)} s: packets wait or are lost, and the figures are old. Restart the node if it stays so.`,
    );
  if (controlEnded !== undefined)
    lines.push(
      `the control thread has ended (${controlEnded}): packets go on with the last plan. Restart the node so that it follows its files again.`,
    );
  else if (work !== '' && workFor >= SILENT)
    lines.push(
      `the control thread has been at work on ${work} for ${workFor.toFixed(1)} s: packets go on with the last plan.`,
    );
  else if (controlSilent >= SILENT)
    lines.push(
      `the control thread has not answered for ${controlSilent.toFixed(1)} s: packets go on with the last plan.`,
    );
  return lines;
}

async function onlySocket(): Promise<string> {
  const sockets = await runningSockets();
  const [only, another] = sockets;
  if (only === undefined)
    throw new InputError(
      { source: 'status' },
      `no esplane node runs here (none has a socket in ${socketFolder()})`,
      'Start one with esplane node --config FILE, or give the path of its socket.',
    );
  if (another !== undefined) {
    throw new InputError(
      { source: 'status' },
      `${sockets.length} nodes run here: ${sockets.map(nodeOf).join(', ')}`,
      'Name one of them.',
    );
  }
  return only;
}
