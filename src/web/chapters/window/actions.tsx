/**
 * What the reader does to the window: buttons that add to the list of actions.
 * @module
 */
import { useState } from 'preact/hooks';
import type { WindowRun } from '../../model/window.ts';
import type { ActionKind } from '../../model/window-actions.ts';
import { shown } from '../../model/window-text.ts';

interface ActionsProps {
  readonly run: WindowRun;
  readonly onAct: (kind: ActionKind, count: number) => void;
  /** Takes the last action back; absent where there is none. */
  readonly onUndo: (() => void) | undefined;
}

const U32 = 2 ** 32;

export function Actions({ run, onAct, onUndo }: ActionsProps) {
  const [count, setCount] = useState(1);
  const [far, setFar] = useState(100);
  const [pick, setPick] = useState(1);
  const packets = run.packets.length;
  const replayed = Math.min(pick, Math.max(packets, 1));
  const button = (label: string, kind: ActionKind, n: number, isOff = false) => (
    <button type="button" aria-disabled={isOff} onClick={() => !isOff && onAct(kind, n)}>
      {label}
    </button>
  );
  return (
    <div class="actions" role="group" aria-label="What happens next">
      <div class="row">
        <label>
          Packets{' '}
          <select value={count} onChange={(event) => setCount(Number(event.currentTarget.value))}>
            {[1, 5, 20, 100, 1000].map((n) => (
              <option key={n} value={n}>
                {n}
              </option>
            ))}
          </select>
        </label>
        {button('Send', 'send', count)}
        {button('Lose', 'lose', count)}
        {button('Hold back', 'hold', count)}
        {button(`Let ${run.held} arrive`, 'deliver', Math.max(run.held, 1), run.held === 0)}
      </div>
      <div class="row">
        <label>
          Packet{' '}
          <input
            type="number"
            min={1}
            max={Math.max(packets, 1)}
            value={replayed}
            onInput={(event) => setPick(Math.max(1, Math.floor(event.currentTarget.valueAsNumber || 1)))}
          />{' '}
          of {shown(packets)}
        </label>
        {button('Replay it', 'replay', replayed, packets === 0)}
      </div>
      <div class="row">
        <label>
          Ahead by{' '}
          <select value={far} onChange={(event) => setFar(Number(event.currentTarget.value))}>
            {[10, 100, 2000, U32 - 1000, U32 + 100].map((n) => (
              <option key={n} value={n}>
                {n > U32 ? `2^32 + ${n - U32}` : n > 1e6 ? `2^32 − ${U32 - n}` : shown(n)}
              </option>
            ))}
          </select>
        </label>
        {button('Jump', 'jump', far)}
        {button('Forge', 'forge', far)}
        {button('Sender starts again with 1', 'restart', 1)}
        <button type="button" aria-disabled={!onUndo} onClick={() => onUndo?.()}>
          Undo
        </button>
      </div>
    </div>
  );
}
