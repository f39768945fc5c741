/**
 * Where to read on: the section of an RFC as a link, anything else as it is. A link asks nobody before it is followed.
 * @module
 */
const RFC = /RFC (\d+)(?: §([A-Z]?\d+(?:\.\d+)*|[A-Z]))?/g;

/** @param text such as `RFC 4303 §2.2`, or several in a row */
export function Reference({ text }: { readonly text: string }) {
  const parts = [];
  let done = 0;
  for (const match of text.matchAll(RFC)) {
    const [whole, number, section] = match;
    const anchor = section === undefined ? '' : `#${/^\d/.test(section) ? 'section' : 'appendix'}-${section}`;
    parts.push(text.slice(done, match.index));
    parts.push(
      <a key={match.index} href={`https://www.rfc-editor.org/rfc/rfc${number}${anchor}`} rel="noreferrer">
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
