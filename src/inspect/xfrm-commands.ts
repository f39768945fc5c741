/**
 * The commands that set up again what the kernel's text says: every state and policy that `ip xfrm` can add, whether or
 * not esplane could run it.
 * @module
 */
import { InputError } from '../base/errors.ts';
import type { XfrmJson, XfrmStateJson } from './xfrm-json.ts';
import { writePolicyCommand } from './xfrm-policy-write.ts';
import { hasNoKey, writeStateCommand } from './xfrm-state-write.ts';

/** Protocols whose states `ip` adds; those of Mobile IPv6 (route2, hao) have a care-of address, which is not printed. */
const PROTOCOLS: readonly string[] = ['esp', 'ah', 'comp'];
const AS_PRINTED = 'Give the whole text of `ip -s xfrm state` run as root, as it was printed.';

/**
 * Writes one command a line, states first. Left out are states that no command makes: those that wait for their key
 * exchange (SPI 0), and those of other protocols; and policies that belong to the socket of a program that runs.
 * @param note is told, in one line each, which states were left out
 * @throws {InputError} for a state whose text hides its keys, or is cut off
 */
export function writeXfrmCommands({ states, policies }: XfrmJson, note: (line: string) => void): string {
  const lines: string[] = [];
  for (const state of states) {
    const why = whyNot(state);
    if (why === undefined) lines.push(writeStateCommand(state));
    else note(`${state.origin}: ${why} is left out`);
  }
  for (const { direction, socket, ...policy } of policies)
    if (!socket && direction !== null) lines.push(writePolicyCommand({ ...policy, direction }));
  return lines.join('');
}

/** What a state is that no command makes. */
function whyNot({ proto, spi, mode, algorithms, origin }: XfrmStateJson): string | undefined {
  const unusable = (problem: string) => new InputError({ source: origin }, problem, AS_PRINTED);
  if (proto === null || spi === null || mode === null) throw unusable('the state is cut off');
  if (spi === 0) return 'a state without SPI, which waits for its key exchange,';
  if (!PROTOCOLS.includes(proto)) return 'a state of a protocol that ip does not add';
  for (const { type, name, keyBits, icvBits } of algorithms) {
    if (type === 'comp') continue;
    if (keyBits === null && !hasNoKey(name)) throw unusable('the key is hidden, or cut off');
    if (icvBits === null && (type === 'aead' || type === 'auth-trunc'))
      throw unusable('the length of the ICV is missing');
  }
  return undefined;
}
