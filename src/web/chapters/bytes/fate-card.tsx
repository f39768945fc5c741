/**
 * What became of the packet that the reader has altered.
 * @module
 */
import type { Fate } from '../../model/fate.ts';
import { Reference } from '../../parts/reference.tsx';

interface FateCardProps {
  readonly fate: Fate | undefined;
  readonly onUndo: () => void;
}

/** Spoken when it changes: the reader's focus stays on the bit. */
export function FateCard({ fate, onUndo }: FateCardProps) {
  return (
    <div class={`fate notice ${fate?.outcome === 'dropped' ? '' : 'good'}`} role="status">
      {fate ? (
        <>
          <p>
            <b>{fate.headline}</b>
          </p>
          <p>
            {fate.counter ? (
              <>
                The kernel counts it in <code>{fate.counter.name}</code> ({fate.counter.where}).
              </>
            ) : (
              'No counter rises.'
            )}
          </p>
          {fate.why.map((text) => (
            <p key={text}>{text}</p>
          ))}
          {fate.rule !== undefined && (
            <p>
              <Reference text={fate.rule} />
            </p>
          )}
          <button type="button" onClick={onUndo}>
            Put it back
          </button>
        </>
      ) : (
        <p>
          The packet arrives as it was sent, and the pod gets it. Click a byte on the wire, and flip a bit in
          it.
        </p>
      )}
    </div>
  );
}
