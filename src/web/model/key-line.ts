/**
 * A line of Cilium's keys file, taken apart.
 *
 * ```text
 *  3+ rfc4106(gcm(aes)) 4443…3231 f4f3f2f1 128
 *  id  algorithm        AES key   salt     ICV in bits
 * ```
 * @module
 */
import { InputError } from '../../base/errors.ts';
import { type CiliumKey, parseKeys } from '../../cilium/keys.ts';
import { DEFAULT_VERSION } from '../../cilium/version.ts';

/** A part of the line, in order. What stands between parts is one space or nothing. */
export interface LinePart {
  readonly id: string;
  readonly label: string;
  readonly text: string;
  readonly why: string;
  readonly reference: string;
}

export type ReadLine =
  | { readonly key: CiliumKey; readonly parts: readonly LinePart[] }
  /** Says where and what, and holds nothing of the line. */
  | { readonly problem: string };

/** Reads a line as the agent does, and says what each part is for. */
export function readLine(line: string): ReadLine {
  try {
    const keys = parseKeys(line, 'the line', DEFAULT_VERSION);
    if (keys.length !== 1) return { problem: 'Give one line: the one that is in use.' };
    return { key: keys[0]!, parts: partsOf(line.replace(/[\r\n]+$/, ''), keys[0]!) };
  } catch (error) {
    if (error instanceof InputError) return { problem: error.message };
    throw error;
  }
}

function partsOf(line: string, key: CiliumKey): LinePart[] {
  const [first = '', ...rest] = line.split(' ');
  const plus = first.endsWith('+');
  const parts: LinePart[] = [
    {
      id: 'id',
      label: 'key id',
      text: plus ? first.slice(0, -1) : first,
      why: 'The SPI of every packet under this key, 1 to 15. Packets of two keys are told apart by it while nodes rotate.',
      reference: 'RFC 4303 §2.1; Cilium: four bits of the packet mark',
    },
  ];
  if (plus) {
    parts.push({
      id: 'plus',
      label: 'per tunnel',
      text: '+',
      why: 'Every pair of nodes derives keys of its own from this one. Since 1.17 that is so with or without it; before, a line without it gave one key to all nodes.',
      reference: 'Cilium; CVE-2024-28860',
    });
  }
  if (key.algorithm.kind === 'aead') {
    const [name = '', keymat = '', bits = ''] = rest;
    const digits = keymat.replace(/^0x/, '');
    const prefix = keymat.slice(0, keymat.length - digits.length);
    const saltAt = digits.length - 2 * key.material.suite.saltLen;
    parts.push(
      algorithm('algorithm', name, 'Encrypts and authenticates in one pass.', 'RFC 4303 §3.2.3'),
      {
        id: 'key',
        label: `key, ${saltAt / 2} bytes`,
        text: prefix + digits.slice(0, saltAt),
        why: 'The cipher key. Under per-tunnel keys no packet is ever encrypted with it: only what is derived from it is used.',
        reference: 'RFC 4106 §8.1',
      },
      {
        id: 'salt',
        label: `salt, ${key.material.suite.saltLen} bytes`,
        text: digits.slice(saltAt),
        why: 'Begins every nonce. The line does not separate it: the kernel takes the last bytes of the key.',
        reference: 'RFC 4106 §4',
      },
      {
        id: 'icv',
        label: 'ICV in bits',
        text: bits,
        why: 'How long the integrity check value behind every packet is.',
        reference: 'RFC 4106 §6',
      },
    );
    return parts;
  }
  const [auth = '', authKey = '', enc = '', encKey = ''] = rest;
  parts.push(
    algorithm('auth', auth, 'Authenticates, after encryption.', 'RFC 4303 §3.2.2'),
    {
      id: 'auth-key',
      label: 'integrity key',
      text: authKey,
      why: 'Cilium counts its hex digits as bytes when it reserves room for ESP: pods get less MTU than would fit.',
      reference: 'RFC 2104 §3',
    },
    algorithm('enc', enc, 'Encrypts.', 'RFC 3602 §2'),
    { id: 'key', label: 'cipher key', text: encKey, why: 'The cipher key.', reference: 'RFC 3602 §2.2' },
  );
  return parts;
}

function algorithm(id: string, text: string, what: string, reference: string): LinePart {
  const why = `${what} The name is the kernel's, and goes to it as it stands here.`;
  return { id, label: 'algorithm', text, why, reference };
}
