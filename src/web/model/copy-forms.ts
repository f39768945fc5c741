/**
 * A packet and its SA in the words of other tools.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { SECRETS_TYPE_ESP } from '../../capture/pcapng.ts';
import { PcapngWriter } from '../../capture/pcapng-writer.ts';
import { DEFAULT_VERSION, formatVersion } from '../../cilium/version.ts';
import type { SaConfig } from '../../ipsec/sa-config.ts';
import { writeDsbCsv } from '../../sa-text/dsb-csv.ts';
import { writeEspSa } from '../../sa-text/esp-sa.ts';
import { writeScapy } from '../../sa-text/scapy.ts';
import { writeXfrmState } from '../../sa-text/xfrm-write.ts';
import { LINK_RAW } from '../../wire/link-type.ts';
import type { PageFrame, PagePacket } from '../packets/page-packet.ts';

/** Keys of these packets are no secret: they stand in the project, and were used nowhere else. */
const SHOW = { showKeys: true };

/**
 * A text for each tool.
 * @param bytes the frame, when it has been altered and so stands in no capture
 */
export function copyForms(
  packet: PagePacket,
  sa: SaConfig,
  bytes: Uint8Array = packet.shown.bytes,
): { label: string; text: string }[] {
  const { capture, keysFile, nodesFile, cilium, info } = { ...packet, info: packet.shown.info };
  const sas = `--keys ${keysFile} --nodes ${nodesFile}${cilium === formatVersion(DEFAULT_VERSION) ? '' : ` --cilium ${cilium}`}`;
  const what = bytes === packet.shown.bytes ? `${capture} --frame ${info.number}` : toHex(bytes);
  return [
    { label: 'esplane explain', text: `esplane explain ${what} ${sas}\n` },
    { label: 'esplane decrypt', text: `esplane decrypt ${capture} ${sas}\n` },
    ...saForms([sa], capture, `frame.number==${info.number}`),
  ];
}

/**
 * SAs for tools that know nothing of Cilium.
 * @param filter Wireshark's, for what to show of the capture
 */
export function saForms(sas: readonly SaConfig[], capture: string, filter: string) {
  const rows = writeEspSa(sas, SHOW)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const options = [
    'esp.enable_encryption_decode:TRUE',
    'esp.enable_authentication_check:TRUE',
    ...rows.map((row) => `uat:esp_sa:${row}`),
  ].map((option) => ` \\\n  -o '${option}'`);
  return [
    { label: 'tshark', text: `tshark -r ${capture} -Y '${filter}' -V${options.join('')}\n` },
    { label: 'ip xfrm', text: writeXfrmState(sas, SHOW) },
    { label: 'scapy', text: writeScapy(sas, SHOW) },
  ];
}

/** A pcapng file with the frames and, for Wireshark 4.6, the keys that open them. */
export function withSecrets(frames: readonly PageFrame[], sas: readonly SaConfig[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const file = new PcapngWriter((bytes) => parts.push(bytes));
  const linkType = frames[0]?.info.linkType ?? 1;
  file.interface({ linkType, snapLength: 0 });
  file.secrets(SECRETS_TYPE_ESP, new TextEncoder().encode(writeDsbCsv(sas, SHOW)));
  for (const { bytes, info } of frames) file.frame(bytes, 0, bytes.length, { ...info, interfaceId: 0 });
  file.flush();
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** An IP packet as a capture has it. @param time ms */
export function rawFrame(bytes: Uint8Array, number: number, time = 0): PageFrame {
  return {
    bytes,
    info: {
      number,
      seconds: Math.floor(time / 1000),
      nanoseconds: Math.round((time % 1000) * 1e6),
      hasTime: true,
      linkType: LINK_RAW,
      interfaceId: 0,
      originalLength: bytes.length,
      byte: 0,
    },
  };
}
