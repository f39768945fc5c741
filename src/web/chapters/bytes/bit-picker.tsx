/**
 * The eight bits of the byte that was picked: each a button that flips it.
 * @module
 */
import type { Flip } from '../../model/flip.ts';

interface BitPickerProps {
  readonly byte: number;
  /** What it is now. */
  readonly value: number;
  /** The name of its field. */
  readonly label: string;
  readonly flips: readonly Flip[];
  readonly onFlip: (flip: Flip) => void;
  /** The reader presses Escape. */
  readonly onLeave: () => void;
}

const BITS = [7, 6, 5, 4, 3, 2, 1, 0];

export function BitPicker({ byte, value, label, flips, onFlip, onLeave }: BitPickerProps) {
  return (
    <fieldset class="bits" onKeyDown={(event) => event.key === 'Escape' && onLeave()}>
      <legend>
        Byte {byte}, {label}: flip a bit
      </legend>
      {BITS.map((bit) => {
        const isFlipped = flips.some((flip) => flip.byte === byte && flip.bit === bit);
        return (
          <button
            key={bit}
            type="button"
            class={isFlipped ? 'changed' : ''}
            aria-pressed={isFlipped}
            aria-label={`Bit ${bit}, ${(value >>> bit) & 1}`}
            onClick={() => onFlip({ byte, bit })}
          >
            {(value >>> bit) & 1}
          </button>
        );
      })}
    </fieldset>
  );
}
