/**
 * A User-mode Linux guest on a wire: its `vec0` is joined to a TAP device in a namespace of the host, and it runs
 * commands as they come, through files in the folder that both see.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from './netns.ts';
import { startUml, type UmlGuest } from './uml.ts';

/** Runs `cmd.N` for N = 1, 2, … and writes `out.N`, then `done.N` with the exit status. */
const LOOP = `
n=1
while [ ! -f stop ]; do
  if [ -f cmd.$n ]; then
    sh ./cmd.$n > out.$n 2>&1 < /dev/null
    echo $? > done.tmp; mv done.tmp done.$n
    n=$((n + 1))
  else
    sleep 0.02
  fi
done
`;

const WAIT_MS = 20;
/** What a guest has to end by itself. */
const STOP_MS = 5_000;

export class LiveGuest {
  /** The namespace on the host. */
  readonly netns: string;
  readonly tap = 'tap0';
  readonly #guest: UmlGuest;
  #next = 1;
  /** Why the guest is not there any more. */
  #ended: string | undefined;

  private constructor(netns: string, guest: UmlGuest) {
    this.netns = netns;
    this.#guest = guest;
  }

  /** The guest's folder, for files that both sides read. */
  get folder(): string {
    return this.#guest.folder;
  }

  /**
   * Boots a guest. Host: 192.0.2.1 and fd00:2::1 on `tap0`; guest: .2 and ::2 on `vec0`.
   * @param modules to load beside the usual ones
   */
  static async boot(timeout: number, modules: readonly string[] = []): Promise<LiveGuest> {
    const netns = `esl-${process.pid}`;
    must('ip', 'netns', 'add', netns);
    let live: LiveGuest | undefined;
    try {
      const inNs = (...args: string[]) => must('ip', '-n', netns, ...args);
      inNs('link', 'set', 'lo', 'up');
      inNs('tuntap', 'add', 'dev', 'tap0', 'mode', 'tap');
      inNs('addr', 'add', '192.0.2.1/24', 'dev', 'tap0');
      inNs('addr', 'add', 'fd00:2::1/64', 'dev', 'tap0', 'nodad');
      inNs('link', 'set', 'tap0', 'up');
      const guest = startUml(LOOP, {
        timeout,
        netns,
        modules,
        memory: '512M',
        args: ['vec0:transport=tap,ifname=tap0,depth=128,gro=1'],
      });
      const booted = new LiveGuest(netns, guest);
      live = booted;
      guest.result.then(
        () => {
          booted.#ended = 'the guest has stopped';
        },
        (error: Error) => {
          booted.#ended = error.message;
        },
      );
      await live.run(
        'ip addr add 192.0.2.2/24 dev vec0; ip addr add fd00:2::2/64 dev vec0 nodad; ip link set vec0 up',
        30_000,
      );
      must('ip', 'netns', 'exec', netns, 'ping', '-c', '1', '-W', '5', '192.0.2.2');
      return live;
    } catch (error) {
      if (live) await live.stop();
      else spawnSync('ip', ['netns', 'delete', netns]);
      throw error;
    }
  }

  /** Runs a shell script in the guest. @throws {Error} with its output when it fails or takes too long */
  async run(script: string, timeout = 20_000): Promise<string> {
    const n = this.#next++;
    const at = (name: string) => join(this.folder, `${name}.${n}`);
    writeFileSync(at('new'), script);
    renameSync(at('new'), at('cmd'));
    const end = Date.now() + timeout;
    while (!existsSync(at('done'))) {
      if (this.#ended !== undefined) throw new Error(this.#ended);
      if (Date.now() > end) throw new Error(`the guest takes longer than ${timeout} ms for: ${script}`);
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    }
    const out = readFileSync(at('out'), 'utf8');
    const status = readFileSync(at('done'), 'utf8').trim();
    if (status !== '0') throw new Error(`${script}\nended with ${status}: ${out}`);
    return out;
  }

  /** Runs a program on the host, in the namespace of the wire. */
  host(program: string, ...args: readonly string[]): string {
    return must('ip', 'netns', 'exec', this.netns, program, ...args);
  }

  /** Ends the guest, by force when it does not end by itself, and removes the namespace. */
  async stop(): Promise<void> {
    if (this.#ended === undefined) writeFileSync(join(this.folder, 'stop'), '');
    const force = setTimeout(() => this.#guest.stop(), STOP_MS);
    await this.#guest.result.catch(() => {});
    clearTimeout(force);
    spawnSync('ip', ['netns', 'delete', this.netns]);
  }
}
