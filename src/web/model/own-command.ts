/**
 * A reader's own case as commands of esplane, with the names of the files that were dropped. What was pasted has no
 * file: it is named as if it had been saved.
 * @module
 */
import { toHex } from '../../base/bytes.ts';
import { DEFAULT_VERSION, formatVersion } from '../../cilium/version.ts';
import type { OwnInput } from './own-messages.ts';
import type { TextKind } from './own-pieces.ts';

const OPTIONS: Readonly<Record<TextKind, string>> = {
  keys: '--keys',
  nodes: '--nodes',
  'xfrm-state': '--xfrm-state',
  'xfrm-policy': '--xfrm-policy',
  'esp-sa': '--esp-sa',
};

/** @param frame that is being looked at */
export function ownCommands({ subject, texts, cilium, udpPort }: OwnInput, frame: number | undefined) {
  const options = (isDiagnosis: boolean) =>
    [
      ...texts
        .filter(({ kind }) => isDiagnosis || kind !== 'xfrm-policy')
        .map(({ kind, name }) => `${OPTIONS[kind]} ${shellWord(name)}`),
      ...(cilium === formatVersion(DEFAULT_VERSION) ? [] : [`--cilium ${cilium}`]),
      ...(udpPort === undefined ? [] : [`--udp-port ${udpPort}`]),
    ]
      .map((option) => ` ${option}`)
      .join('');
  if (subject.kind === 'packet') {
    const digits = toHex(subject.bytes, 0, subject.bytes.length);
    return [{ label: 'esplane explain', text: `esplane explain ${digits}${options(false)}\n` }];
  }
  const capture = shellWord(subject.name);
  return [
    { label: 'esplane decrypt', text: `esplane decrypt ${capture}${options(false)} --json\n` },
    { label: 'esplane diagnose', text: `esplane diagnose ${capture}${options(true)}\n` },
    { label: 'esplane explain', text: `esplane explain ${capture} --frame ${frame ?? 1}${options(false)}\n` },
    ...(texts.some(({ kind }) => kind !== 'xfrm-policy') ? otherTools(capture, options(false)) : []),
  ];
}

/** Tools that know nothing of Cilium. The page gives the commands that make their SAs, and none of the keys. */
function otherTools(capture: string, options: string) {
  const sas = (format: string) => `esplane sas${options} --format ${format} --show-keys`;
  return [
    {
      label: 'tshark',
      text: `${sas('esp-sa')} > ~/.config/wireshark/esp_sa\ntshark -r ${capture} -Y esp -V -o esp.enable_encryption_decode:TRUE \\\n  -o esp.enable_authentication_check:TRUE\n`,
    },
    { label: 'ip xfrm', text: `${sas('ip-xfrm')}\n` },
    { label: 'scapy', text: `${sas('scapy')}\n` },
  ];
}

/** A word that a shell takes as it is: in quotes where it has to be, and never taken for an option. */
function shellWord(word: string): string {
  const safe = word.startsWith('-') ? `./${word}` : word;
  return /^[\w./:@%+=,-]+$/.test(safe) ? safe : `'${safe.replaceAll("'", String.raw`'\''`)}'`;
}
