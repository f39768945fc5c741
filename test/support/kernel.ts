/**
 * A receiving and a sending Linux kernel for tests: two network namespaces in a guest of User-mode Linux.
 *
 * A {@link KernelPlan} collects what is to be done. Each step returns a function that yields its answer once
 * {@link KernelPlan.run} is through, so that one boot serves a whole test file. What is done in the guest stands in
 * `test/interop/kernel-guest.py`.
 * @module
 */
import { readFileSync } from 'node:fs';
import { toHex } from '../../src/base/bytes.ts';
import { program } from './needs.ts';
import { ALGORITHM_MODULES, runInUml, UML_NEEDS } from './uml.ts';

export const KERNEL_NEEDS = [...UML_NEEDS, program('python3', 'python3')];

/** The namespace that receives, and the one that sends. */
export type Namespace = 'near' | 'far';

/** What the receiving kernel did with one packet. All packets are in hexadecimal. */
export interface Seen {
  /** Rows of `/proc/net/xfrm_stat` that rose. */
  readonly counters: Readonly<Record<string, number>>;
  /** Counters of the IP layer that rose because a header was wrong. */
  readonly elsewhere: Readonly<Record<string, number>>;
  /** ESP, and UDP, as it came over the wire. */
  readonly wire: readonly string[];
  /** Inner packets of tunnels after decryption, with TFC padding. */
  readonly inner: readonly string[];
  /** What was delivered to a socket: IPv4 with its header, IPv6 without. */
  readonly taken: readonly string[];
  /** Rows that rose at the sender. */
  readonly sender?: Readonly<Record<string, number>>;
}

type Step =
  | { readonly ip: Namespace; readonly lines: readonly string[] }
  | { readonly show: Namespace; readonly args: readonly string[] }
  | { readonly inject: readonly string[] }
  | { readonly send: readonly string[]; readonly mark: number };

export class KernelPlan {
  readonly #steps: Step[] = [];
  #answers: readonly unknown[] | undefined;
  /** Seconds that the kinds of steps took, for people. */
  spent = '';

  /** Runs `ip` commands; the answer holds what `ip` said of those that failed, by their place in `lines`. */
  ip(namespace: Namespace, lines: readonly string[]): () => Readonly<Record<number, string>> {
    return this.#add({ ip: namespace, lines });
  }

  /** Runs `ip` commands that must not fail. */
  setUp(namespace: Namespace, lines: readonly string[]): void {
    const errors = this.ip(namespace, lines);
    this.#checks.push(() => {
      for (const [at, said] of Object.entries(errors())) throw new Error(`ip ${lines[Number(at)]}: ${said}`);
    });
  }

  /** The text of one `ip` command, such as `-s xfrm state`. */
  show(namespace: Namespace, command: string): () => string {
    return this.#add({ show: namespace, args: command.split(' ') });
  }

  /** Sends frames to the receiver, past the sender's kernel. */
  inject(frames: readonly Uint8Array[]): () => readonly Seen[] {
    return this.#add({ inject: frames.map((frame) => toHex(frame)) });
  }

  /** Lets the sender's kernel send IP packets, with a packet mark. */
  send(packets: readonly Uint8Array[], mark = 0): () => readonly Seen[] {
    return this.#add({ send: packets.map((packet) => toHex(packet)), mark });
  }

  /** Boots a guest and does everything. */
  async run(timeout: number): Promise<void> {
    const guest = readFileSync(new URL('../interop/kernel-guest.py', import.meta.url));
    const { files, stdout, stderr, exit } = await runInUml('python3 guest.py', {
      timeout,
      modules: ALGORITHM_MODULES,
      files: { 'guest.py': guest, 'plan.json': JSON.stringify(this.#steps) },
    });
    const answers = files.get('answers.json');
    if (exit !== 0 || !answers) throw new Error(`the guest's part failed: ${stdout}${stderr}`);
    this.#answers = JSON.parse(new TextDecoder().decode(answers)) as unknown[];
    this.spent = stdout.trim();
    for (const check of this.#checks) check();
  }

  readonly #checks: (() => void)[] = [];

  #add<T>(step: Step): () => T {
    const at = this.#steps.push(step) - 1;
    return () => {
      if (!this.#answers) throw new Error('the plan has not been run');
      return this.#answers[at] as T;
    };
  }
}

/** Says which SAs the guest's kernel did not take, so that a test of them that has nothing to compare is no secret. */
export function sayRefused(refused: Readonly<Record<number, string>>, names: readonly string[]): void {
  for (const [at, said] of Object.entries(refused)) {
    process.stderr.write(`SKIPPED: the guest's kernel does not take "${names[Number(at)]}": ${said}\n`);
  }
}
