/**
 * The configuration of `esplane node`: one YAML file.
 *
 * ```yaml
 * name: node-1
 * netns: n1                      # where it lives; left out, here
 * inside: { device: esp0, mtu: auto, addresses: [10.244.1.1/24], identity: 41234 }   # mtu: auto, cilium, fit or bytes
 * outside: { link: udp, address: 192.168.0.1 }   # port: 4500, or 8472 where VXLAN carries ESP
 * keys: [keys]                   # Cilium's keys and nodes, files beside this one …
 * nodes: [nodes.json]            # … both watched
 * publish: node-1.json           # its own CiliumNode, for the lists of its peers
 * key-rotation-duration: 5m
 * mode: native                   # or tunnel
 * tunnel-protocol: vxlan         # or geneve, in mode tunnel
 * underlay-protocol: ipv4        # or ipv6: what the overlay's packets are between the nodes
 * strict: 10.244.0.0/16
 * cilium-config: cilium-config.yaml
 * flows: { file: flows.jsonl, verdict: DROPPED }
 * metrics: 127.0.0.1:9962         # or :9962, [::1]:9962
 * status-socket: node-1.sock     # or false; left out, in /run/esplane
 * state-dir: state               # or false; left out, /var/lib/esplane/NAME
 * ```
 * @module
 */
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { YamlText } from '../base/yaml-text.ts';
import { parseDuration } from '../cilium/config.ts';
import { IDENTITY, MAX_IDENTITY } from '../cilium/ipcache.ts';
import { parsePrefix } from '../wire/address.ts';
import { ENGINE_NAMES, type EngineName } from './engine.ts';
import { readText } from './files.ts';
import { FLOWS_SCHEMA } from './flow-options.ts';
import { INPUT, InputFiles } from './input-files.ts';
import { parseMetricsAddress } from './metrics-address.ts';

const chosenMtu = z.number().int().min(576).max(65_535);
const mtu = z.union([z.literal('auto'), chosenMtu]).default('auto');
/** What pods get: as Cilium reckons, or all that fits through the narrowest SA; `auto` is Cilium's where the agent runs. */
const podMtu = z.union([z.enum(['auto', 'cilium', 'fit']), chosenMtu]).default('auto');
const files = z.union([z.string().transform((file) => [file]), z.array(z.string())]);
const prefix = z
  .string()
  .refine((text) => parsePrefix(text) !== undefined, 'is no prefix like 10.244.1.0/24');
const ms = z.string().transform((text, context) => {
  const duration = parseDuration(text);
  if (duration !== undefined && duration > 0) return duration;
  context.addIssue('is no duration like 5m or 90s');
  return z.NEVER;
});
/** What an agent alone can do, beside keys and nodes. */
const OF_AGENT = [
  'key-rotation-duration',
  'mode',
  'tunnel-protocol',
  'underlay-protocol',
  'cilium-config',
  'publish',
] as const;

const SCHEMA = z.strictObject({
  name: z.string().min(1),
  netns: z.string().optional(),
  inside: z
    .strictObject({
      device: z.string().max(15).default('esp%d'),
      netns: z.string().optional(),
      mtu: podMtu,
      addresses: z.array(prefix).default([]),
      offload: z.boolean().default(true),
      queues: z.number().int().min(1).max(16).default(1),
      routes: z.boolean().default(true),
      // Other packets may not say that they are of a host: peers drop them.
      identity: z
        .number()
        .int()
        .min(IDENTITY.HOST + 1)
        .max(MAX_IDENTITY)
        .default(IDENTITY.UNMANAGED),
    })
    .prefault({}),
  outside: z.strictObject({
    link: z.enum(['udp', 'raw', 'packet']),
    address: z.string(),
    port: z.number().int().min(1).max(65_535).optional(),
    device: z.string().optional(),
    mtu,
    mark: z.number().int().min(0).max(0xffff_ffff).default(0),
  }),
  crypto: z.enum(ENGINE_NAMES as [EngineName, ...EngineName[]]).default('auto'),
  keys: files.default([]),
  nodes: files.default([]),
  cilium: z.union([z.string(), z.number().transform(String)]).optional(),
  xfrm: z.strictObject({ state: files, policy: files }).optional(),
  pods: z.array(prefix).default([]),
  mode: z.enum(['native', 'tunnel', 'eni']).optional(),
  'tunnel-protocol': z.enum(['vxlan', 'geneve']).optional(),
  'underlay-protocol': z.enum(['ipv4', 'ipv6']).optional(),
  order: z.enum(['install-first', 'advertise-first']).default('install-first'),
  'key-rotation-duration': ms.optional(),
  strict: prefix
    .refine((text) => parsePrefix(text)?.address.length !== 16, 'is not IPv4, as strict mode is')
    .optional(),
  'cilium-config': z.string().optional(),
  publish: z.string().optional(),
  watch: z.boolean().default(true),
  flows: FLOWS_SCHEMA.optional(),
  metrics: z
    .string()
    .refine(
      (text) => parseMetricsAddress(text) !== undefined,
      'is no address like 127.0.0.1:9962, :9962 or [::1]:9962',
    )
    .optional(),
  'status-socket': z.union([z.string().min(1), z.literal(false)]).optional(),
  'state-dir': z.union([z.string().min(1), z.literal(false)]).optional(),
});

/** As the file says, with defaults filled in and file names made absolute. Plain data: it goes to a worker. */
export type NodeConfig = z.output<typeof SCHEMA>;

/**
 * Reads a configuration.
 * @param file `-` is standard input
 * @throws {InputError} naming line and field
 */
export async function readNodeConfig(file: string): Promise<NodeConfig> {
  const text = file === '-' ? readText(file) : await new InputFiles().read(file, INPUT.config);
  return parseNodeConfig(text, file);
}

/** @param source the file's name, for errors; files that it names are beside it */
export function parseNodeConfig(text: string, source: string): NodeConfig {
  const yaml = new YamlText(text, source);
  const parsed = SCHEMA.safeParse(yaml.value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const path = issue!.path.filter((step) => typeof step !== 'symbol');
    const at = issue!.code === 'unrecognized_keys' ? [...path, issue!.keys[0]!] : path;
    throw yaml.fail(
      at,
      `${path.length === 0 ? 'the file' : path.join('.')}: ${issue!.message}`,
      'esplane node --help shows an example.',
    );
  }
  const config = parsed.data;
  const fromFile = config.xfrm !== undefined;
  const fromCluster = config.keys.length > 0 || config.nodes.length > 0;
  if (fromFile === fromCluster)
    throw yaml.fail(
      fromFile ? ['xfrm'] : [],
      'SAs come from keys and nodes, or from xfrm',
      'Give keys and nodes, or xfrm with state and policy.',
    );
  if (fromCluster && (config.keys.length === 0 || config.nodes.length === 0))
    throw yaml.fail(
      [config.keys.length > 0 ? 'keys' : 'nodes'],
      'keys and nodes belong together',
      'Give both.',
    );
  if (fromFile && config.pods.length === 0)
    throw yaml.fail(['xfrm'], 'with xfrm nobody says which pods are here', 'Give pods: a list of prefixes.');
  const idle = OF_AGENT.find((key) => fromFile && config[key] !== undefined);
  if (idle !== undefined)
    throw yaml.fail(
      [idle],
      `${idle}: is for keys and nodes, and there is xfrm`,
      'Leave it out, or give keys and nodes.',
    );
  if (fromFile && config.inside.mtu === 'cilium')
    throw yaml.fail(
      ['inside', 'mtu'],
      'inside.mtu: cilium goes by the keys file, and there is xfrm',
      'Write fit or a number, or give keys and nodes.',
    );
  const here = (name: string) => (source === '-' ? resolve(name) : resolve(dirname(source), name));
  return {
    ...config,
    keys: config.keys.map(here),
    nodes: config.nodes.map(here),
    ...(config['cilium-config'] !== undefined && { 'cilium-config': here(config['cilium-config']) }),
    ...(config.publish !== undefined && { publish: here(config.publish) }),
    ...(config.flows && {
      flows: { ...config.flows, file: config.flows.file === '-' ? '-' : here(config.flows.file) },
    }),
    ...(config['state-dir'] && { 'state-dir': here(config['state-dir']) }),
    ...(config['status-socket'] && { 'status-socket': here(config['status-socket']) }),
    ...(config.xfrm && {
      xfrm: { state: config.xfrm.state.map(here), policy: config.xfrm.policy.map(here) },
    }),
  };
}
