/**
 * Your own: a capture or a packet of the reader's, decrypted, explained and diagnosed in a worker of this page.
 *
 * Nothing of it is stored, and nothing of it is in the address: what is looked at is state of this view alone, which
 * ends, with its worker, when the reader leaves the chapter.
 * @module
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import { DEFAULT_VERSION, formatVersion } from '../../../cilium/version.ts';
import type { Chapter } from '../../chapter.ts';
import { ownCommands } from '../../model/own-command.ts';
import type { OwnInput } from '../../model/own-messages.ts';
import { type OpeningText, type Piece, piecesOf, type Subject } from '../../model/own-pieces.ts';
import { CopyAs } from '../../parts/copy-as.tsx';
import { DiagnosisView } from './diagnosis.tsx';
import { FrameView } from './frame-view.tsx';
import { Intake } from './intake.tsx';
import { Packets } from './packets.tsx';
import { Summary } from './summary.tsx';
import { useWork } from './use-work.ts';

export const OWN: Chapter = {
  id: 'own',
  title: 'Your own',
  summary:
    'A capture or a packet of yours, with the keys that open it: decrypted, explained and diagnosed on this page.',
  View,
};

/** What the reader has given so far. */
interface Given {
  readonly subject?: Subject | undefined;
  readonly texts: readonly OpeningText[];
  readonly cilium: string;
  readonly udpPort?: number | undefined;
}

const NOTHING: Given = { texts: [], cilium: formatVersion(DEFAULT_VERSION) };

function View() {
  const [given, setGiven] = useState<Given>(NOTHING);
  const [refused, setRefused] = useState<readonly string[]>([]);
  const [frame, setFrame] = useState<number>();
  const pasted = useRef(0);
  const { work, read, explain, save, stop } = useWork();
  const { subject, texts, cilium, udpPort } = given;
  const input: OwnInput | undefined = subject && { subject, texts, cilium, udpPort };

  useEffect(() => {
    setFrame(undefined);
    if (input) read(input);
    else stop();
  }, [given]);

  const look = (number: number) => {
    setFrame(number);
    explain(number);
  };
  // Of one packet there is nothing to choose.
  const isOnePacket = subject?.kind === 'packet' && work.result !== undefined;
  useEffect(() => {
    if (isOnePacket && work.result!.frames > 0) look(1);
  }, [isOnePacket]);

  const add = async (files: readonly { readonly name: string; readonly blob: Blob }[]) => {
    const pieces: Piece[] = [];
    const problems: string[] = [];
    for (const { name, blob } of files) {
      try {
        pieces.push(...(await piecesOf(name, blob)));
      } catch (error) {
        problems.push(error instanceof Error ? error.message : String(error));
      }
    }
    setRefused(problems);
    if (pieces.length > 0) setGiven((now) => pieces.reduce(withPiece, now));
  };
  const paste = (text: string) => {
    pasted.current++;
    return add([{ name: `pasted-${pasted.current}.txt`, blob: new Blob([text]) }]);
  };

  const problem = work.problem ?? work.result?.problem;
  const canSave = work.result?.hasSas === true && work.result.esp > 0;
  const base = subject?.name.replace(/\.[^.]*$/, '') ?? '';
  return (
    <div class="own">
      <h1 tabIndex={-1}>Your own</h1>
      <p>
        A capture or a packet of yours, with what opens it. esplane reads both in this browser, as{' '}
        <code>esplane decrypt</code>, <code>explain</code> and <code>diagnose</code> do.
      </p>
      <p class="notice good">
        Nothing leaves this page: it sends nothing, stores nothing, and puts nothing of it into the address.
        What you give it is forgotten when you leave the chapter.
      </p>
      <Intake
        pieces={[...(subject ? [subject] : []), ...texts]}
        cilium={cilium}
        onCilium={(version) => setGiven({ ...given, cilium: version })}
        udpPort={udpPort}
        onUdpPort={(port) => setGiven({ ...given, udpPort: port })}
        onFiles={add}
        onPaste={paste}
        onRemove={(piece) => setGiven(without(given, piece))}
        onClear={() => {
          setRefused([]);
          setGiven(NOTHING);
        }}
      />
      {[...refused, ...(problem ? [problem] : [])].map((text) => (
        <p key={text} class="notice" role="alert">
          {text}
        </p>
      ))}
      {!subject && texts.length > 0 && <p class="notice">Now add a capture, or a packet.</p>}
      {work.progress && (
        <div class="row" role="group" aria-label="Progress">
          <progress
            aria-label="Read so far"
            max={1}
            value={work.progress.size > 0 ? work.progress.done / work.progress.size : 0}
          />
          <span>
            {megabytes(work.progress.done)} of {megabytes(work.progress.size)} MB
          </span>
          <button
            type="button"
            onClick={() =>
              stop(
                `${subject?.name ?? ''}: cancelled after ${megabytes(work.progress!.done)} of ${megabytes(work.progress!.size)} MB.`,
              )
            }
          >
            Cancel
          </button>
        </div>
      )}
      {work.result && <Summary name={subject?.name ?? ''} result={work.result} first={work.rows[0]} />}
      {canSave && (
        <div class="row">
          <button type="button" onClick={() => save('clear', `${base}-clear.pcapng`)}>
            Download the clear packets as pcapng
          </button>
          <button type="button" onClick={() => save('wire', `${base}-with-keys.pcapng`)}>
            Download the capture as pcapng, with your keys
          </button>
          <button type="button" onClick={() => save('lines', `${base}.jsonl`)}>
            Download the JSON lines
          </button>
        </div>
      )}
      {input && <CopyAs forms={ownCommands(input, frame)} />}
      {work.result?.diagnosis && work.result.esp > 0 && (
        <DiagnosisView diagnosis={work.result.diagnosis} onFrame={look} />
      )}
      {work.rows.length > 0 && (
        <Packets
          rows={work.rows}
          dropped={work.dropped}
          esp={work.result?.esp}
          isOpen={work.result?.hasSas ?? true}
          current={frame}
          onFrame={look}
        />
      )}
      {work.shown && work.shown.frame === frame && (
        <FrameView key={frame} frame={frame} explanation={work.shown.explanation} />
      )}
    </div>
  );
}

/** There is one subject: a new one takes the place of the old. */
function withPiece(now: Given, piece: Piece): Given {
  if (piece.kind === 'capture' || piece.kind === 'packet') return { ...now, subject: piece };
  return { ...now, texts: [...now.texts, piece] };
}

function without(now: Given, piece: Piece): Given {
  return {
    ...now,
    subject: now.subject === piece ? undefined : now.subject,
    texts: now.texts.filter((text) => text !== piece),
  };
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
