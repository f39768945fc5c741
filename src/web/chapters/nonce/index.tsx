/**
 * Never twice: two packets under one nonce, and how their clear texts fall out of each other.
 *
 * ```text
 *  #/nonce?share=key&a=…&b=…
 * ```
 * @module
 */
import { toHex } from '../../../base/bytes.ts';
import type { Chapter, ChapterProps } from '../../chapter.ts';
import { rawFrame, saForms, withSecrets } from '../../model/copy-forms.ts';
import { HEADERS, MAX_TEXT, SHARING, sendTwice } from '../../model/twice.ts';
import { Choice, chosen, TextField } from '../../parts/controls.tsx';
import { CopyAs } from '../../parts/copy-as.tsx';
import { Download } from '../../parts/download.tsx';
import { Reference } from '../../parts/reference.tsx';
import { Scroll } from '../../parts/scroll.tsx';

const KNOWN = 'GET /healthz HTTP/1.1  Host: frontend  User-Agent: probe';
const SECRET = 'password=correct-horse-battery-staple; session=7f3a9c';

const CAPTURE = 'esplane-twice.pcapng';

export const NONCE: Chapter = {
  id: 'nonce',
  title: 'Never twice',
  summary: 'Two packets under one nonce give each other away. Why one key on all nodes was a vulnerability.',
  View,
};

function View({ route, go }: ChapterProps) {
  const sharing = chosen(route, 'share', SHARING).value;
  const a = (route.params['a'] ?? KNOWN).slice(0, MAX_TEXT);
  const b = (route.params['b'] ?? SECRET).slice(0, MAX_TEXT);
  const { first, second, sameNonce, mixed, guess, right } = sendTwice([a, b], sharing);
  const count = guess.length;
  const bound = { route, go };
  return (
    <>
      <h1 tabIndex={-1}>Never twice</h1>
      <p>
        AES-GCM makes a stream of bytes from key and nonce, and mixes the packet into it by exclusive or. The
        same key and nonce make the same stream. Two packets in one stream: whoever mixes the two encrypted
        texts has the stream out of the way, without any key. <Reference text="RFC 4106 §3.1" />
      </p>
      <div class="controls">
        <Choice {...bound} name="share" label="Two nodes with" options={SHARING} />
      </div>
      <div class="controls">
        <TextField
          {...bound}
          maxLength={MAX_TEXT}
          name="a"
          label="Node-1 sends, and you know what"
          value={a}
          otherwise={KNOWN}
        />
        <TextField
          {...bound}
          maxLength={MAX_TEXT}
          name="b"
          label="Node-3 sends, and you do not know what"
          value={b}
          otherwise={SECRET}
        />
      </div>

      <Scroll label="The two packets, byte by byte">
        <table class="streams">
          <tbody>
            <Row label="nonce of node-1's packet" text={grouped(first.nonce)} mark={sameNonce} />
            <Row label="nonce of node-3's packet" text={grouped(second.nonce)} mark={sameNonce} />
            <Row label="C1, on the wire" text={hexOf(first.encrypted, count)} />
            <Row label="C2, on the wire" text={hexOf(second.encrypted, count)} />
            <Row label="C1 ⊕ C2" text={hexOf(mixed, count)} />
            <Row label="P1, which you know" text={hexOf(first.clear, count)} />
            <Row label="C1 ⊕ C2 ⊕ P1" text={hexOf(guess, count)} mark={sameNonce} />
            <Row label="the same as text" text={textOf(guess)} mark={sameNonce} />
          </tbody>
        </table>
      </Scroll>
      <div role="status">
        {sameNonce ? (
          <p class="notice">
            Of {count} bytes {right} are those of node-3's packet: its addresses, its ports, and its text: “
            <strong>{textOf(guess.subarray(HEADERS))}</strong>”. No key was needed, and no time.
          </p>
        ) : (
          <p class="notice good">
            Noise: {right} of {count} bytes are right, about as many as chance gives. Different nonces or keys
            make streams that have nothing to do with each other.
          </p>
        )}
      </div>
      <div class="row">
        <Download
          label="Download as pcapng, with keys"
          name={CAPTURE}
          type="application/x-pcapng"
          make={() => withSecrets([rawFrame(first.wire, 1), rawFrame(second.wire, 2)], [first.sa, second.sa])}
        />
        <CopyAs
          forms={[
            { label: 'esplane decrypt', text: `esplane decrypt ${CAPTURE}\n` },
            ...saForms([first.sa, second.sa], CAPTURE, 'esp'),
          ]}
        />
      </div>
      <p>
        And it does not end with two texts. Two ICVs under one nonce give an equation for the key that
        authenticates: who solves it makes packets of his own that every receiver believes.{' '}
        <Reference text="RFC 5116 §5.1.1" />
      </p>

      <h2>Who keeps nonces apart</h2>
      <p>
        A nonce is the salt, which belongs to the key, and the IV, which is in the packet. Linux makes the IV
        from the sequence number and a random number that it draws for every SA. Within one SA no number comes
        twice: ESP forbids that it wraps, and the SA ends first. <Reference text="RFC 4303 §3.3.3" /> Between
        two SAs with the same key nothing keeps the IVs apart but that random number, and nothing at all where
        an implementation counts from 1.
      </p>
      <h2>CVE-2024-28860</h2>
      <p>
        Until 1.13.13, 1.14.9 and 1.15.3 Cilium gave all nodes the one key of the Secret. So every node sealed
        under the same key, with numbers that all begin at 1, and again after each reboot; what was sealed for
        one node any other would open; and as there was no replay window, a packet recorded once could be sent
        again to any of them at any time. Since then a <code>+</code> behind the key id gives each pair of
        nodes a key for each direction, derived also from their boot ids: no two SAs share a key, and a reboot
        ends the old one. An update alone changed nothing: the key had to be rotated to a line with a{' '}
        <code>+</code>. From 1.17 on every key is used so, with it or without.{' '}
        <a href="#/keys">See how they are derived.</a>
      </p>
    </>
  );
}

interface RowProps {
  readonly label: string;
  readonly text: string;
  readonly mark?: boolean;
}

function Row({ label, text, mark = false }: RowProps) {
  return (
    <tr>
      <th scope="row">{label}</th>
      <td>
        <code class={mark ? 'differs' : ''}>{text}</code>
      </td>
    </tr>
  );
}

function grouped(hex: string): string {
  return hex.replace(/(..)(?=.)/g, '$1 ');
}

function hexOf(bytes: Uint8Array, count: number): string {
  return grouped(toHex(bytes, 0, count));
}

/** A character a byte, three columns wide as the hex above it; a dot for what cannot be shown. */
function textOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => (byte > 0x1f && byte < 0x7f ? String.fromCharCode(byte) : '·')).join('');
}
