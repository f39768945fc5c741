/**
 * The same thing for other tools: a text to choose, to read and to copy.
 * @module
 */
import { useRef, useState } from 'preact/hooks';

/** A text for a tool. */
export interface CopyForm {
  /** The tool: `esplane`, `tshark`, `ip xfrm`, `scapy`. */
  readonly label: string;
  readonly text: string;
}

/** @param forms at least one */
export function CopyAs({ forms }: { readonly forms: readonly CopyForm[] }) {
  const [label, setLabel] = useState(forms[0]!.label);
  const [said, say] = useState('');
  const shown = useRef<HTMLPreElement>(null);
  const form = forms.find((one) => one.label === label) ?? forms[0]!;

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(form.text);
      say('Copied.');
    } catch {
      // Not allowed, or too old: what is selected the reader copies.
      getSelection()?.selectAllChildren(shown.current!);
      say('Selected: copy it with Ctrl-C.');
    }
  };

  return (
    <details class="copy-as">
      <summary>Copy as …</summary>
      <div class="row">
        <label>
          For{' '}
          <select
            value={form.label}
            onChange={(event) => {
              setLabel(event.currentTarget.value);
              say('');
            }}
          >
            {forms.map((one) => (
              <option key={one.label}>{one.label}</option>
            ))}
          </select>
        </label>
        <button type="button" onClick={copy}>
          Copy
        </button>
        <span role="status">{said}</span>
      </div>
      <pre ref={shown} tabIndex={0}>
        {form.text}
      </pre>
    </details>
  );
}
