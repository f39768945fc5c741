/**
 * `esplane lab`: serves the lab, one page that needs nothing else, to this machine alone.
 * @module
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import { EsplaneError, InputError } from '../base/errors.ts';
import { serve } from './http-server.ts';
import { printLine, say } from './output.ts';
import { onSignals } from './signals.ts';

const HOST = '127.0.0.1';
const DEFAULT_PORT = 8470;
const PAGE = new URL('../web/index.html', import.meta.url);

/** What the page's own policy cannot say, and what keeps other pages from using it. */
const HEADERS: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-cache',
  'Content-Security-Policy': "frame-ancestors 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

/** Adds the command. */
export function labCommand(program: Command): void {
  program
    .command('lab')
    .description('Serve the lab: a page where ESP can be seen, touched and broken, on real packets.')
    .option('--port <number>', 'TCP port on 127.0.0.1; 0 takes any that is free', port, DEFAULT_PORT)
    .option('--open', 'open it in the browser')
    .addHelpText(
      'after',
      `
Examples:
  esplane lab --open
  esplane lab --port 0

The page sends nothing and stores nothing. It is one file and works without this command too, offline, from a disk:
  ${fileURLToPath(PAGE)}

Ctrl-C ends it. Exit status: 0 ended by Ctrl-C; 2 the port is taken, or the page is not built.`,
    )
    .action(lab);
}

async function lab({ port, open = false }: { port: number; open?: boolean }): Promise<void> {
  const page = readPage();
  const whole = () => ({ type: 'text/html; charset=utf-8', body: page });
  const server = await serve({ port, host: HOST }, { '/': whole, '/index.html': whole }, HEADERS).catch(
    (error) => {
      throw listenError(error, port);
    },
  );
  const ended = new Promise<void>((resolve) => {
    const off = onSignals({
      stop: () => {
        off();
        resolve(server.close());
      },
    });
  });
  const url = `http://${HOST}:${server.port}/`;
  printLine(url);
  if (open) openBrowser(url);
  await ended;
}

function readPage(): Buffer {
  try {
    return readFileSync(PAGE);
  } catch (error) {
    throw new InputError(
      { source: fileURLToPath(PAGE) },
      'the page is not built',
      'In a checkout, run `npm run build:web`.',
      { cause: error },
    );
  }
}

function listenError(error: NodeJS.ErrnoException, port: number): EsplaneError {
  if (error.code === 'EADDRINUSE') {
    return new InputError({ source: '--port' }, `port ${port} is taken`, 'Give another, or 0 for any.');
  }
  if (error.code === 'EACCES') {
    return new InputError({ source: '--port' }, `port ${port} needs root`, 'Give one from 1024 up.');
  }
  return new EsplaneError('ERR_LISTEN', `${HOST}:${port}: cannot listen: ${error.message}`, { cause: error });
}

/** As the desktop does it. Where there is none, the address has been printed. */
function openBrowser(url: string): void {
  const [command, ...args] = { darwin: ['open'], win32: ['cmd', '/c', 'start', ''] }[
    process.platform as string
  ] ?? ['xdg-open'];
  const opener = spawn(command!, [...args, url], { stdio: 'ignore', detached: true });
  const sayIt = () => say(`no browser opens here: open ${url} yourself`);
  opener.on('error', sayIt);
  opener.on('exit', (code) => code !== 0 && sayIt());
  opener.unref();
}

function port(text: string): number {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value > 0xffff)
    throw new InvalidArgumentError('Give a number from 0 to 65535.');
  return value;
}
