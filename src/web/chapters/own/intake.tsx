/**
 * Where the reader gives things: dropped anywhere on the chapter, chosen as files, or pasted.
 * @module
 */
import { useEffect, useState } from 'preact/hooks';
import { KIND_NAMES } from '../../../inspect/files/kinds.ts';
import type { Piece } from '../../model/own-pieces.ts';

/** Minor releases at which something changed, newest first. */
const VERSIONS = ['1.20', '1.19', '1.18', '1.17', '1.16', '1.15', '1.14', '1.13'];

/** That of ESP in UDP (RFC 3948). */
const UDP_PORT = 4500;

interface IntakeProps {
  readonly pieces: readonly Piece[];
  readonly cilium: string;
  readonly onCilium: (version: string) => void;
  /** Absent where ESP is in IP. */
  readonly udpPort: number | undefined;
  readonly onUdpPort: (port: number | undefined) => void;
  readonly onFiles: (files: readonly { readonly name: string; readonly blob: Blob }[]) => void;
  readonly onPaste: (text: string) => void;
  readonly onRemove: (piece: Piece) => void;
  readonly onClear: () => void;
}

export function Intake(props: IntakeProps) {
  const { pieces, cilium, onCilium, udpPort, onUdpPort, onFiles, onPaste, onRemove, onClear } = props;
  const [isOver, setOver] = useState(false);
  const [text, setText] = useState('');
  const take = (files: FileList | null | undefined) => {
    if (files && files.length > 0) onFiles([...files].map((file) => ({ name: file.name, blob: file })));
  };

  // Anywhere: a file that misses the frame would otherwise take the place of the page.
  useEffect(() => {
    const over = (event: DragEvent) => {
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const drop = (event: DragEvent) => {
      event.preventDefault();
      setOver(false);
      take(event.dataTransfer?.files);
    };
    addEventListener('dragover', over);
    addEventListener('dragleave', leave);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('dragover', over);
      removeEventListener('dragleave', leave);
      removeEventListener('drop', drop);
    };
  });

  return (
    <section class={`own-intake${isOver ? ' over' : ''}`} aria-label="What to look at">
      <div class="panes">
        <div>
          <label>
            <b>Drop files here, or choose them</b>
            <input
              type="file"
              multiple
              onChange={(event) => {
                take(event.currentTarget.files);
                event.currentTarget.value = '';
              }}
            />
          </label>
          <p>
            A pcap or pcapng file, and what opens it: Cilium's keys with CiliumNodes, the text of{' '}
            <code>ip xfrm state</code>, or Wireshark's <code>esp_sa</code>. A capture that brings its own keys
            needs nothing else.
          </p>
        </div>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (text.trim() === '') return;
            onPaste(text);
            setText('');
          }}
        >
          <label>
            <b>Or paste any of it, or a packet in hexadecimal</b>
            <textarea
              rows={4}
              spellcheck={false}
              autocomplete="off"
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
            />
          </label>
          <button type="submit">Add what is pasted</button>
        </form>
      </div>
      {pieces.length > 0 && (
        <ul class="own-pieces" aria-label="Given so far">
          {pieces.map((piece, i) => (
            <li key={`${i} ${piece.name}`}>
              <b>{piece.name}</b> <span>{KIND_NAMES[piece.kind]}</span>
              <button type="button" aria-label={`Remove ${piece.name}`} onClick={() => onRemove(piece)}>
                Remove
              </button>
            </li>
          ))}
        </ul>
      )}
      <div class="row">
        <label>
          Cilium{' '}
          <select value={cilium} onChange={(event) => onCilium(event.currentTarget.value)}>
            {VERSIONS.map((version) => (
              <option key={version}>{version}</option>
            ))}
          </select>
        </label>
        <label>
          <input
            type="checkbox"
            checked={udpPort !== undefined}
            onChange={(event) => onUdpPort(event.currentTarget.checked ? UDP_PORT : undefined)}
          />{' '}
          keys are for ESP in UDP <small>(esplane's nodes can; Cilium's do not)</small>
        </label>
        {udpPort !== undefined && (
          <label>
            UDP port{' '}
            <input
              type="number"
              min={1}
              max={65535}
              value={udpPort}
              onChange={({ currentTarget: field }) => {
                if (field.value !== '' && field.validity.valid) onUdpPort(field.valueAsNumber);
                else field.value = String(udpPort);
              }}
            />
          </label>
        )}
        {pieces.length > 0 && (
          <button type="button" onClick={onClear}>
            Forget everything
          </button>
        )}
      </div>
    </section>
  );
}
