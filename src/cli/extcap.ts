/**
 * `esplane extcap`: Wireshark's capture sources, with ESP decrypted. Wireshark runs it, by a script of one line in its
 * extcap folder, with the options that its protocol names (https://www.wireshark.org/docs/wsdg_html_chunked/ChCaptureExtcap.html).
 * @module
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import { SECRETS_TYPE_ESP } from '../capture/pcapng.ts';
import { PcapngWriter } from '../capture/pcapng-writer.ts';
import { captureReader } from '../capture/reader.ts';
import { ClusterPlan } from '../cilium/plan.ts';
import { putClear } from '../inspect/clear-packets.ts';
import { CaptureSession } from '../inspect/session.ts';
import { CaptureSas } from '../sa-text/capture-sas.ts';
import { writeDsbCsv } from '../sa-text/dsb-csv.ts';
import { runDemo } from '../sim/demo.ts';
import { demoCluster } from '../sim/demo-cluster.ts';
import { LINK_RAW } from '../wire/link-type.ts';
import { PASS } from '../wire/packet.ts';
import { addEngineOption, type EngineName, makeEngine } from './engine.ts';
import { loadOpening } from './evidence-options.ts';
import { readChunks, unpackedCapture } from './files.ts';
import { interfaceSource } from './live-source.ts';
import { print, say, warn } from './output.ts';
import { outputError } from './output-file.ts';
import { addSaOptions, namesSas, noSas, type SaOptions } from './sa-options.ts';
import { onSignals } from './signals.ts';

interface ExtcapOptions extends SaOptions {
  readonly extcapInterfaces?: boolean;
  readonly extcapVersion?: string | boolean;
  readonly extcapInterface?: string;
  readonly extcapDlts?: boolean;
  readonly extcapConfig?: boolean;
  readonly capture?: boolean;
  readonly fifo?: string;
  readonly seed: number;
  readonly ipv6?: boolean;
  readonly file?: string;
  readonly device: string;
  readonly crypto: EngineName;
}

/** Where packets come from: the bytes of a capture file. */
interface Source {
  readonly name: string;
  chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  stop?(): void;
  close?(): void;
}

/** What Wireshark asks its user for, one line each. */
const SA_ARGS = [
  "{call=--keys}{display=Cilium's keys}{type=fileselect}{tooltip=The mounted file, or the Secret as YAML or JSON}{group=Keys}",
  '{call=--nodes}{display=CiliumNodes}{type=fileselect}{tooltip=kubectl get ciliumnodes -o json}{group=Keys}',
  '{call=--xfrm-state}{display=ip xfrm state}{type=fileselect}{tooltip=Text of ip xfrm state}{group=Keys}',
  "{call=--esp-sa}{display=esp_sa table}{type=fileselect}{tooltip=Wireshark's own table of SAs}{group=Keys}",
];

const INTERFACES: Readonly<
  Record<
    string,
    {
      display: string;
      args: readonly string[];
      open: (options: ExtcapOptions, ports: readonly number[]) => Promise<Source>;
    }
  >
> = {
  'esplane-demo': {
    display: 'esplane: two Cilium nodes, simulated and decrypted',
    args: [
      '{call=--seed}{display=Seed}{type=unsigned}{default=1}{tooltip=The same seed gives the same run}',
      '{call=--ipv6}{display=IPv6}{type=boolflag}{default=false}',
    ],
    open: openDemo,
  },
  'esplane-file': {
    display: 'esplane: a capture file, decrypted',
    args: ['{call=--file}{display=Capture}{type=fileselect}{mustexist=true}{required=true}', ...SA_ARGS],
    open: async ({ file }) => {
      if (file === undefined)
        throw new InputError({ source: 'esplane-file' }, 'no capture is named', 'Give --file CAPTURE.');
      return { name: file, chunks: () => unpackedCapture(readChunks(file), file) };
    },
  },
  'esplane-live': {
    display: 'esplane: an interface of this host, decrypted',
    args: ['{call=--device}{display=Interface}{type=string}{default=any}', ...SA_ARGS],
    open: async ({ device }, udpPorts) =>
      interfaceSource(device, { all: false, promiscuous: false, udpPorts }),
  },
};

/** Adds the command. */
export function extcapCommand(program: Command): void {
  const command = program
    .command('extcap')
    .description(
      'Be a capture source of Wireshark: a simulated cluster, a capture or an interface, decrypted.',
    )
    .option('--extcap-interfaces', 'list the sources')
    .option('--extcap-version [version]', "Wireshark's version")
    .option('--extcap-interface <name>', 'the source that is meant')
    .option('--extcap-dlts', 'say the link type of the source')
    .option('--extcap-config', 'say what can be set')
    .option('--extcap-capture-filter <filter>', 'not used: everything is ESP')
    .option('--capture', 'capture')
    .option('--fifo <path>', 'where to')
    .option('--seed <number>', 'esplane-demo: the same seed gives the same run', whole, 1)
    .option('--ipv6', 'esplane-demo: IPv6 instead of IPv4')
    .option('--file <capture>', 'esplane-file: the capture')
    .option('--device <name>', 'esplane-live: the interface', 'any');
  addEngineOption(addSaOptions(command))
    .addHelpText(
      'after',
      `
Wireshark finds it by a script in its extcap folder (Help, About, Folders; tshark -G folders). Options that stand in the
script count for every capture, such as where the keys are:

Example:
  printf '#!/bin/sh\\nexec esplane extcap --keys /etc/ipsec/keys --nodes /root/nodes.json "$@"\\n' > EXTCAP-FOLDER/esplane
  chmod +x EXTCAP-FOLDER/esplane
  tshark -D
  tshark -i esplane-demo -c 10

Exit status: 0 done, 2 unusable input.`,
    )
    .action(extcap);
}

async function extcap(options: ExtcapOptions): Promise<void> {
  const list = (lines: readonly string[]) => print(lines.map((line) => `${line}\n`).join(''));
  if (options.extcapInterfaces) {
    list([
      `extcap {version=${ownVersion()}}{display=esplane}{help=https://www.npmjs.com/package/esplane}`,
      ...Object.entries(INTERFACES).map(
        ([value, { display }]) => `interface {value=${value}}{display=${display}}`,
      ),
    ]);
    return;
  }
  const name = options.extcapInterface;
  if (name === undefined) {
    if (options.extcapVersion !== undefined) list([`extcap {version=${ownVersion()}}{display=esplane}`]);
    else
      throw new InputError(
        { source: 'extcap' },
        'this is for Wireshark to call',
        'esplane extcap --help shows how it finds it.',
      );
    return;
  }
  const chosen = Object.hasOwn(INTERFACES, name) ? INTERFACES[name] : undefined;
  if (!chosen) {
    const known = Object.keys(INTERFACES).join(', ');
    throw new InputError(
      { source: '--extcap-interface' },
      `there is no source ${name}`,
      `Known are ${known}.`,
    );
  }
  if (options.extcapDlts) list([`dlt {number=${LINK_RAW}}{name=RAW}{display=Decrypted IP packets}`]);
  else if (options.extcapConfig) list(chosen.args.map((arg, i) => `arg {number=${i}}${arg}`));
  else if (options.capture && options.fifo !== undefined) await captureInto(options.fifo, name, options);
  else
    throw new InputError(
      { source: 'extcap' },
      'nothing to do',
      'Give --extcap-dlts, --extcap-config, or --capture with --fifo.',
    );
}

/** Writes the decrypted packets of a source until it ends, its reader is gone, or Wireshark ends it. */
async function captureInto(fifo: string, name: string, options: ExtcapOptions): Promise<void> {
  const own = new CaptureSas(warn);
  const sas = await loadOpening(options, own);
  if (name === 'esplane-live' && !namesSas(options)) throw noSas();
  const source = await INTERFACES[name]!.open(options, sas.udpPorts);
  const fd = openFifo(fifo);
  let isOver = false;
  const stop = () => {
    isOver = true;
    source.stop?.();
  };
  const writer = new PcapngWriter((bytes) => {
    if (!isOver && !writeAll(fd, bytes, fifo)) stop();
  });
  const interfaceId = writer.interface({ linkType: LINK_RAW, snapLength: 0, name });
  const session = new CaptureSession({
    source: source.name,
    own,
    evidence: sas.evidence,
    engine: await makeEngine(options.crypto),
    random: secureBytes,
    udpPorts: sas.udpPorts,
    sinks: [
      {
        packet: (event) => {
          if (event.verdict === PASS) putClear(writer, interfaceId, event);
        },
      },
    ],
  });
  const reader = captureReader(source.name, session);
  const forget = onSignals({ stop });
  try {
    writer.flush();
    for await (const chunk of source.chunks()) {
      if (isOver) break;
      if (chunk.length === 0) continue;
      reader.feed(chunk);
      writer.flush();
    }
    if (!isOver) {
      reader.end();
      if (!sas.evidence.hasSas) throw noSas();
    }
    const { esp, ok } = session.receiver.totals;
    if (esp > ok)
      say(`${source.name}: ${esp - ok} of ${esp} ESP packets are not shown: esplane diagnose says why`);
  } finally {
    forget();
    source.close?.();
    closeSync(fd);
  }
}

/** The demo's run, recorded with its keys. */
async function openDemo({ seed, ipv6, crypto }: ExtcapOptions): Promise<Source> {
  const chunks: Uint8Array[] = [];
  const recorder = new PcapngWriter((bytes) => chunks.push(bytes));
  const cluster = demoCluster(seed);
  const sas = new ClusterPlan(cluster.keys, cluster.nodes, { mode: 'native' }).all();
  recorder.secrets(SECRETS_TYPE_ESP, new TextEncoder().encode(writeDsbCsv(sas, { showKeys: true })));
  runDemo({ cluster, seed, engine: await makeEngine(crypto), family: ipv6 ? 6 : 4, recorder });
  recorder.flush();
  return { name: 'esplane-demo', chunks: () => chunks };
}

function openFifo(fifo: string): number {
  try {
    return openSync(fifo, 'w', 0o600);
  } catch (error) {
    throw outputError(fifo, error);
  }
}

/** @returns false when the reader is gone @throws {EsplaneError} `ERR_OUTPUT` when it takes no more */
function writeAll(fd: number, bytes: Uint8Array, fifo: string): boolean {
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return false;
    throw outputError(fifo, error);
  }
}

function ownVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Give a whole number, such as 7.');
  return Number(text);
}
