/**
 * Where to read on: the section of an RFC, a file of Cilium or of Linux, as a link; anything else as it is. A link asks
 * no server before it is followed.
 * @module
 */
import type { ComponentChildren } from 'preact';

const RFC = /RFC (\d+)(?: §([A-Z]?\d+(?:\.\d+)*|[A-Z]))?/;
const CILIUM = /Cilium (1\.\d+): (\S+)/;
/** The release that the captures were made with. */
const LINUX = /Linux: (\S+)/;
const ANY = new RegExp(`${RFC.source}|${CILIUM.source}|${LINUX.source}`, 'g');

/** @param text such as `RFC 4303 §2.2`, `Cilium 1.18: bpf/bpf_host.c`, or several in a row */
export function Reference({ text }: { readonly text: string }) {
  const parts: ComponentChildren[] = [];
  let done = 0;
  for (const match of text.matchAll(ANY)) {
    const [whole] = match;
    parts.push(text.slice(done, match.index));
    parts.push(
      <a key={match.index} href={urlOf(match)} rel="noreferrer">
        {whole}
      </a>,
    );
    done = match.index + whole.length;
  }
  return (
    <cite>
      {parts}
      {text.slice(done)}
    </cite>
  );
}

function urlOf([, rfc, section, release, ciliumFile, linuxFile]: RegExpMatchArray): string {
  if (ciliumFile) return `https://github.com/cilium/cilium/blob/v${release}.0/${ciliumFile}`;
  if (linuxFile) return `https://github.com/torvalds/linux/blob/v6.1/${linuxFile}`;
  const anchor = section === undefined ? '' : `#${/^\d/.test(section) ? 'section' : 'appendix'}-${section}`;
  return `https://www.rfc-editor.org/rfc/rfc${rfc}${anchor}`;
}
