/**
 * `esplane keys`: make a key for Cilium, make the next one, say which one is in use, derive the key of one tunnel.
 *
 * These commands are about keys, so they print them; `status` prints them when asked.
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { toHex } from '../base/bytes.ts';
import { InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import { deriveMaterial } from '../cilium/derive.ts';
import {
  DEFAULT_RECIPE,
  generateKey,
  KEY_RECIPES,
  type KeyRecipe,
  keyLine,
  keyRecipe,
  rotateKey,
} from '../cilium/key-line.ts';
import { type CiliumKey, MAX_KEY_ID, parseKeys } from '../cilium/keys.ts';
import { parseNodes } from '../cilium/nodes.ts';
import { findKeysText, readKeys, type SecretName, writeSecret } from '../cilium/secret.ts';
import { type CiliumVersion, formatVersion, isAtLeast } from '../cilium/version.ts';
import { keyText } from '../sa-text/show-keys.ts';
import { type Address, formatAddress, parseAddress } from '../wire/address.ts';
import { readText } from './files.ts';
import { print, printLine, say, warn } from './output.ts';
import { addVersionOption, collect, sayLeftOut } from './sa-options.ts';
import { WeakSuites } from './weak-suites.ts';

type Format = 'line' | 'yaml' | 'json';

const KEYS_ARGUMENT = 'the mounted keys file, or the Secret as YAML or JSON; - is standard input';

/** Adds the command and its four parts. */
export function keysCommand(program: Command): void {
  const keys = program
    .command('keys')
    .description("Make, rotate, show and derive keys for Cilium's IPsec.")
    .addHelpText(
      'after',
      `
Examples:
  esplane keys generate --format yaml | kubectl apply -f -
  esplane keys derive --keys keys --nodes nodes.json --src 10.244.1.1 --dst 10.244.2.1`,
    );

  addFormat(keys.command('generate'), 'line')
    .description('Make a new key.')
    .option('--algorithm <name>', `what the key is for: ${KEY_RECIPES.join(', ')}`, recipe, DEFAULT_RECIPE)
    .option('--bits <n>', 'length of the AES key: 128, 192 or 256', wholeNumber, 128)
    .option('--id <n>', `key id, 1 to ${MAX_KEY_ID}`, wholeNumber, 1)
    .addHelpText(
      'after',
      `
Example:
  esplane keys generate --format yaml | kubectl apply -f -`,
    )
    .action(generate);

  addFormat(addVersionOption(keys.command('rotate')), undefined)
    .description(
      'Make the key that comes after the current one: next id (15 wraps to 1), same algorithm and length.',
    )
    .argument('<keys>', KEYS_ARGUMENT)
    .option(
      '--algorithm <name>',
      `another algorithm, with an AES key as long as before: ${KEY_RECIPES.join(', ')}`,
      recipe,
    )
    .addHelpText(
      'after',
      `
Example:
  kubectl -n kube-system get secret cilium-ipsec-keys -o yaml | esplane keys rotate - | kubectl apply -f -`,
    )
    .action(rotate);

  addVersionOption(keys.command('status'))
    .description('Say which key is in use: the last line of the keys file, as the agents read it.')
    .argument('<keys>', KEYS_ARGUMENT)
    .option('--show-keys', 'print the key itself')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
Example:
  kubectl -n kube-system get secret cilium-ipsec-keys -o yaml | esplane keys status -`,
    )
    .action(status);

  addVersionOption(keys.command('derive'))
    .description('Derive the key of one SA, sender to receiver, as the agents on both ends do.')
    .requiredOption('--keys <file>', "Cilium's keys: the mounted file, or the Secret as YAML or JSON")
    .requiredOption('--src <address>', 'outer source address: the node that encrypts', addressArgument)
    .requiredOption('--dst <address>', 'outer destination address: the node that decrypts', addressArgument)
    .option('--src-boot-id <id>', 'boot id of the sender')
    .option('--dst-boot-id <id>', 'boot id of the receiver')
    .option(
      '--nodes <file>',
      'take the boot ids from this CiliumNode list (repeatable: one for each cluster of a mesh)',
      collect,
      [],
    )
    .option('--key-id <n>', 'which key (default: the last one, which senders use)', wholeNumber)
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
Example:
  esplane keys derive --keys keys --nodes nodes.json --src 10.244.1.1 --dst 10.244.2.1`,
    )
    .action(derive);
}

function addFormat(command: Command, value: Format | undefined): Command {
  const option = new Option(
    '--format <format>',
    value
      ? 'the line of the keys file, or the Secret manifest'
      : 'line, yaml or json (default: that of the input)',
  ).choices(['line', 'yaml', 'json']);
  return command
    .addOption(value ? option.default(value) : option)
    .option('--json', 'the same as --format json');
}

function generate(options: {
  algorithm: KeyRecipe;
  bits: number;
  id: number;
  format: Format;
  json?: boolean;
}): void {
  const { algorithm, bits, id, format, json } = options;
  printKey(generateKey({ algorithm, bits, id, random: secureBytes }), json ? 'json' : format);
}

interface RotateOptions {
  readonly algorithm?: KeyRecipe;
  readonly format?: Format;
  readonly json?: boolean;
  readonly cilium: CiliumVersion;
}

function rotate(file: string, options: RotateOptions): void {
  const text = readText(file);
  const found = findKeysText(text, file);
  const keys = parseKeys(found.text, found.source, options.cilium);
  const line = rotateKey(keys, secureBytes, options.algorithm);
  const next = parseKeys(line, 'the new key', options.cilium);
  warnOfWeak(next);
  warnOfLength(keys.at(-1)!, next[0]!, options.cilium);
  const inputFormat = found.secret ? (text.trimStart().startsWith('{') ? 'json' : 'yaml') : 'line';
  printKey(line, options.json ? 'json' : (options.format ?? inputFormat), found.secret);
}

/** From 1.18 an agent that holds a key takes none of another length. */
function warnOfLength(before: CiliumKey, after: CiliumKey, version: CiliumVersion): void {
  if (before.keyLen === after.keyLen || !isAtLeast(version, 18)) return;
  say(
    `warning: the key length changes from ${before.keyLen} to ${after.keyLen}: agents of Cilium ${formatVersion(version)} that run refuse this key and stay with key ${before.id}; each takes it when it starts anew`,
  );
}

function status(file: string, options: { showKeys?: boolean; json?: boolean; cilium: CiliumVersion }): void {
  const keys = readKeys(readText(file), file, options.cilium);
  const key = keys.at(-1)!;
  warnOfWeak([key]);
  const line = keyLine(key, (bytes) => keyText(options.showKeys ?? false, bytes));
  if (options.json)
    printLine(
      JSON.stringify({ 'ipsec-key': line, 'key-id': key.id, 'key-length': key.keyLen, keys: keys.length }),
    );
  else print(`IPsec key: ${line}\nKey id: ${key.id}\nKey length: ${key.keyLen}\n`);
}

function printKey(line: string, format: Format, secret?: SecretName): void {
  const text = `${line.trimEnd()}\n`;
  print(format === 'line' ? text : writeSecret(text, secret, format));
}

function warnOfWeak(keys: readonly CiliumKey[]): void {
  const weak = new WeakSuites(warn);
  weak.look(keys.map(({ material }) => ({ keys: material })));
}

interface DeriveOptions {
  readonly keys: string;
  readonly cilium: CiliumVersion;
  readonly src: Address;
  readonly dst: Address;
  readonly srcBootId?: string;
  readonly dstBootId?: string;
  readonly nodes: readonly string[];
  readonly keyId?: number;
  readonly json?: boolean;
}

function derive(options: DeriveOptions): void {
  const { src, dst } = options;
  const key = pickKey(readKeys(readText(options.keys), options.keys, options.cilium), options);
  warnOfWeak([key]);
  const nodes = options.nodes.flatMap((file) => parseNodes(readText(file), file, sayLeftOut()));
  const bootIdOf = (end: 'src' | 'dst', given: string | undefined): string => {
    if (given !== undefined) return given;
    const text = formatAddress(options[end]);
    // Of a node that is given twice the last one counts.
    const node = nodes.findLast((n) =>
      [...n.ciliumAddresses, ...n.nodeAddresses].some((address) => formatAddress(address) === text),
    );
    if (node?.bootId) return node.bootId;
    throw new InputError(
      { source: node?.source ?? (options.nodes.length > 0 ? options.nodes.join(', ') : 'options') },
      node ? `node ${node.name} has no boot id` : `the boot id of ${text} is not known`,
      `Give --${end}-boot-id, or --nodes with a list that has it.`,
    );
  };
  const derived = deriveMaterial(
    key.material,
    src,
    dst,
    bootIdOf('src', options.srcBootId),
    bootIdOf('dst', options.dstBootId),
  );
  const parts = {
    key: toHex(Uint8Array.from([...derived.key(), ...derived.salt()])),
    ...(derived.macKey().length > 0 && { authKey: toHex(derived.macKey()) }),
  };
  if (options.json) {
    const { name } = derived.suite;
    printLine(
      JSON.stringify({
        keyId: key.id,
        src: formatAddress(src),
        dst: formatAddress(dst),
        suite: name,
        ...parts,
      }),
    );
  } else printLine([parts.authKey, parts.key].filter((part) => part !== undefined).join(' '));
}

function pickKey(keys: readonly CiliumKey[], { keys: source, keyId }: DeriveOptions): CiliumKey {
  const key = keyId === undefined ? keys.at(-1) : keys.findLast((k) => k.id === keyId);
  if (key) return key;
  throw new InputError({ source }, `it has no key with id ${keyId}`, 'Give another --key-id.');
}

function recipe(name: string): KeyRecipe {
  const found = keyRecipe(name);
  if (!found) throw new InvalidArgumentError(`Allowed choices are ${KEY_RECIPES.join(', ')}.`);
  return found;
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Give a whole number.');
  return Number(text);
}

function addressArgument(text: string): Address {
  const address = parseAddress(text);
  if (!address) throw new InvalidArgumentError('Give an IPv4 or IPv6 address.');
  return address;
}
