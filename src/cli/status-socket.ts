/**
 * The Unix socket on which a running node tells its status, and how others find it. It speaks HTTP:
 *
 *     curl --unix-socket /run/esplane/node-1.sock http://esplane/status
 *
 * Only the user that runs the node may connect.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, linkSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../base/errors.ts';
import { type HttpServer, type Pages, serve } from './http-server.ts';

const SUFFIX = '.sock';
/** Bytes that `sockaddr_un` has for a path, without the 0 at its end. */
const MAX_PATH = 107;
/** ms for an answer. */
const TIMEOUT = 5000;

/** Characters of an answer: eight thousand SAs take some ten million. */
const MOST_ANSWER = 64 << 20;

/** What status needs; there is more in it. */
const ANSWER = z.object({
  name: z.string(),
  /** The Cilium version that the node follows. */
  cilium: z.string(),
  interfaces: z.array(z.string()),
  /** Absent where an older esplane answers. */
  threads: z
    .object({
      planeSilent: z.number(),
      controlSilent: z.number(),
      work: z.string(),
      workFor: z.number(),
      controlEnded: z.string().optional(),
    })
    .optional(),
  stats: z.object({
    keys: z.number(),
    state: z.object({ file: z.string().nullable(), problem: z.string().optional() }).optional(),
    xfrm: z.record(z.string(), z.number()),
    sas: z.array(
      z.looseObject({ direction: z.enum(['in', 'out']).optional(), reqid: z.number(), seqLo: z.number() }),
    ),
  }),
});
export type StatusAnswer = z.output<typeof ANSWER>;

/** The folder of sockets. */
export function socketFolder(): string {
  return process.env['ESPLANE_RUN_DIR'] ?? '/run/esplane';
}

/** Where the socket of a node is unless told otherwise. */
export function socketOf(name: string): string {
  return join(socketFolder(), `${encodeURIComponent(name)}${SUFFIX}`);
}

/** The node that {@link socketOf} made the path from; of another file, its name. */
export function nodeOf(path: string): string {
  const name = basename(path, SUFFIX);
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Removes a socket that a killed node left. @throws {InputError} when a process listens on it, or it is no socket */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket())
    throw new InputError({ source: path }, 'is there and is no socket', 'Remove it, or name another place.');
  if (await isAlive(path))
    throw new InputError(
      { source: path },
      'another node listens there',
      'End that one, or set status-socket to another path.',
    );
  rmSync(path, { force: true });
}

/**
 * Opens the socket of a node.
 * @throws {InputError} when that cannot be
 */
export async function openStatusSocket(path: string, pages: Pages): Promise<HttpServer> {
  // It is made under another name and linked to its own: closing a server unlinks the name that it was made with,
  // whatever stands there by then, and a successor may have put its own socket there.
  const made = join(dirname(path), `.${randomBytes(3).toString('hex')}`);
  if ([path, made].some((name) => new TextEncoder().encode(name).length > MAX_PATH))
    throw new InputError(
      { source: path },
      `is longer than the ${MAX_PATH} bytes that a socket's path may have`,
      'Set status-socket to a shorter one.',
    );
  let inode: number | undefined;
  const remove = () => {
    if (inode !== undefined && lstatSync(path, { throwIfNoEntry: false })?.ino === inode)
      rmSync(path, { force: true });
  };
  let server: HttpServer | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true });
    await removeStale(path);
    // No other user may connect, not even between listen and chmod.
    const before = process.umask(0o177);
    try {
      server = await serve({ path: made }, pages);
    } finally {
      process.umask(before);
    }
    chmodSync(made, 0o600);
    linkSync(made, path);
    inode = lstatSync(path).ino;
    rmSync(made, { force: true });
    // Also at the end of the program alone, at the second Ctrl-C say.
    process.once('exit', remove);
    const { close } = server;
    return {
      ...server,
      close: async () => {
        remove();
        process.off('exit', remove);
        await close();
      },
    };
  } catch (error) {
    await server?.close();
    remove();
    if (error instanceof InputError) throw error;
    throw new InputError(
      { source: path },
      `no socket can be made there: ${(error as Error).message}`,
      'Set status-socket to another path, or run as root.',
    );
  }
}

/** The sockets of nodes that run. */
export async function runningSockets(): Promise<string[]> {
  const folder = socketFolder();
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new InputError({ source: folder }, `not to be read: ${(error as Error).message}`, 'Run as root.');
  }
  const found: string[] = [];
  for (const name of names.sort()) {
    const path = join(folder, name);
    if (name.endsWith(SUFFIX) && (await isAlive(path))) found.push(path);
  }
  return found;
}

/**
 * Asks the node behind a socket.
 * @throws {InputError} when none is there, or it is not to be talked to
 */
export async function askStatus(path: string): Promise<StatusAnswer> {
  let text: string;
  try {
    text = await get(path, '/status');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM')
      throw new InputError({ source: path }, 'no right to connect', 'Run as the user of the node: root.');
    const isGone = code === 'ENOENT' || code === 'ECONNREFUSED';
    throw new InputError(
      { source: path },
      isGone ? 'no node listens there' : message,
      'esplane node --config FILE starts one; ls the folder for those that run.',
    );
  }
  try {
    return ANSWER.parse(JSON.parse(text));
  } catch {
    throw new InputError({ source: path }, 'what answers there is no esplane node', 'Name another socket.');
  }
}

async function isAlive(path: string): Promise<boolean> {
  try {
    await get(path, '/');
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // No right, or no answer in time: a process is there.
    return code !== 'ECONNREFUSED' && code !== 'ENOENT' && code !== 'ENOTSOCK';
  }
}

/** @throws {NodeJS.ErrnoException} when there is no answer, or another one than 200 to anything but `/` */
function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, timeout: TIMEOUT, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
        if (text.length > MOST_ANSWER) sent.destroy(new Error('answers too much'));
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200 || path === '/') resolve(text);
        else reject(new Error(text.trim() || `answers ${response.statusCode}`));
      });
    });
    sent.on('timeout', () => sent.destroy(new Error('does not answer')));
    sent.on('error', reject);
    sent.end();
  });
}
