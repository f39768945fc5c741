/**
 * `esplane decrypt`: clear packets out of a capture of ESP.
 * @module
 */
import { existsSync, realpathSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import { InputError } from '../base/errors.ts';
import { secureBytes } from '../base/rng.ts';
import type { FrameSink } from '../capture/frame.ts';
import { SECRETS_TYPE_ESP } from '../capture/pcapng.ts';
import { CaptureDecryptor } from '../inspect/decrypt.ts';
import { putDecryptJson } from '../inspect/decrypt-json.ts';
import { OverlayFinder } from '../inspect/overlay.ts';
import { CaptureSas } from '../sa-text/capture-sas.ts';
import { decryptSummary } from './decrypt-summary.ts';
import { addEngineOption, type EngineName, makeEngine } from './engine.ts';
import { putEspLine } from './esp-line.ts';
import { loadOpening } from './evidence-options.ts';
import { Output, say } from './output.ts';
import { addWriteOptions, checkStdout, openPacketFile, type WriteOptions } from './packet-file.ts';
import { readCapture } from './read-capture.ts';
import { addSaOptions, namesSas, noSas, type SaOptions } from './sa-options.ts';
import { EXIT_INTERRUPTED, Interrupt } from './signals.ts';

interface DecryptCommandOptions extends SaOptions, WriteOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly crypto: EngineName;
}

/** Adds the command. */
export function decryptCommand(program: Command): void {
  const command = program
    .command('decrypt')
    .description(
      'Decrypt the ESP packets of a capture, with the verdict that the receiving kernel gives each.',
    )
    .argument('<capture>', 'pcap or pcapng file; - is standard input')
    .option('--json', 'one JSON object a line for every ESP packet')
    .option('-q, --quiet', 'no line for each packet, only the summary');
  addEngineOption(addSaOptions(addWriteOptions(command)))
    .addHelpText(
      'after',
      `
Example:
  kubectl -n kube-system get secret cilium-ipsec-keys -o yaml > keys.yaml
  kubectl get ciliumnodes -o json > nodes.json
  esplane decrypt node-2.pcap --keys keys.yaml --nodes nodes.json -w clear.pcapng
  esplane decrypt node-2.pcap --keys keys.yaml --nodes nodes.json -w self.pcapng --wire --with-secrets

A pcapng file with a decryption secrets block (ESPS) needs no options.

Exit status: 0 the capture was read to its end (packets may have been dropped), 2 unusable input.`,
    )
    .action(decrypt);
}

async function decrypt(capture: string, options: DecryptCommandOptions): Promise<void> {
  checkStdout(options, ['json']);
  checkIsAnother(capture, options.write);
  const own = new CaptureSas((line) => say(`warning: ${line}`));
  const sas = await loadOpening(options, own);
  for (const warning of sas.warnings) say(`warning: ${warning}`);
  const out = new Output();
  const interrupt = new Interrupt();
  const file = openPacketFile(options);
  const overlays = new OverlayFinder();
  // Frames without ESP may come before the capture's own secrets.
  let hasSas = namesSas(options);
  let isLost = false;
  const decryptor = new CaptureDecryptor({
    source: capture,
    sas: sas.evidence,
    engine: await makeEngine(options.crypto),
    random: secureBytes,
    udpPorts: sas.udpPorts,
    inPlace: !file?.wantsFrames,
    ...(file?.wantsFrames && { onAdmit: (admission) => file.admit(admission) }),
    onPacket: (record) => {
      if (!hasSas) {
        isLost = true;
        return;
      }
      if (options.json) putDecryptJson(out.text, record, overlays);
      else if (!options.quiet && !file) putEspLine(out.text, record);
      out.settle();
      file?.add(record);
    },
  });
  const sink: FrameSink = {
    frame: (b, at, end, info) => {
      decryptor.frame(b, at, end, info);
      if (isLost) throw noSas();
      if (!file?.wantsFrames) return;
      decryptor.flush();
      file.frame(b, at, end, info);
    },
    release: () => decryptor.release(),
    section: (section) => file?.section(section),
    interface: (description) => file?.interface(description),
    comment: (text) => file?.comment(text),
    // A capture that was made to be handed around brings its SAs with it.
    secrets: (type, data) => {
      file?.secrets(type, data);
      if (type !== SECRETS_TYPE_ESP) return;
      const gone = own.read(data, `${capture} (secrets)`);
      decryptor.forget(gone);
      file?.forget(gone);
      hasSas = true;
    },
  };
  const { failure, isInterrupted } = await readCapture({
    command: 'decrypt',
    capture,
    sink,
    interrupt,
    frames: () => decryptor.totals.frames,
    afterChunk: () => out.flush(),
    atEnd: () => {
      if (isLost || !hasSas) throw noSas();
    },
  });
  // What could be read is worth having, even when the rest could not.
  decryptor.flush();
  await out.flush();
  if (decryptor.totals.frames > 0 && !isLost) say(decryptSummary(capture, decryptor));
  if (failure === undefined && !isInterrupted) {
    if (decryptor.totals.frames === 0) say('warning: the capture holds no frames');
    file?.finish();
    return;
  }
  const left = file?.stopEarly();
  if (left !== undefined) say(`What was read before that is in ${left}.`);
  if (failure !== undefined) throw failure;
  say('esplane: interrupted');
  // At once: a capture that nobody writes any more is still waited for.
  process.exit(EXIT_INTERRUPTED);
}

/** @throws {InputError} when the clear packets would take the capture's place */
function checkIsAnother(capture: string, write: string | undefined): void {
  if (write === undefined || !existsSync(capture) || !existsSync(write)) return;
  if (realpathSync(capture) === realpathSync(write) && statSync(write).isFile())
    throw new InputError({ source: write }, 'is the capture itself', 'Give -w another name.');
}
