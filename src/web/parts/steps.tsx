/**
 * Walks a reader through steps: buttons back and forth, the left and right arrow keys, and a list to jump in.
 * @module
 */
import { useLayoutEffect } from 'preact/hooks';

export interface Step {
  /** Its name in addresses. */
  readonly id: string;
  readonly title: string;
}

interface StepsProps {
  readonly steps: readonly Step[];
  /** Id of the step at hand. */
  readonly current: string;
  readonly onGo: (id: string) => void;
}

/** Where the arrow keys have work of their own. */
const BUSY = 'input, select, textarea, [role=grid], [role=tree], [contenteditable]';

export function Steps({ steps, current, onGo }: StepsProps) {
  const at = steps.findIndex(({ id }) => id === current);
  const back = steps[at - 1];
  const next = steps[at + 1];

  // Together with what is drawn: a key that comes right after it counts from there.
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      if ((event.target as HTMLElement | null)?.closest?.(BUSY)) return;
      const to = event.key === 'ArrowLeft' ? back : event.key === 'ArrowRight' ? next : undefined;
      if (!to) return;
      event.preventDefault();
      onGo(to.id);
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  });

  return (
    <nav class="steps" aria-label="Steps">
      <button type="button" aria-disabled={!back} onClick={() => back && onGo(back.id)}>
        ← Back
      </button>
      <label>
        <span class="hidden">Step</span>
        <select value={current} onChange={(event) => onGo(event.currentTarget.value)}>
          {steps.map(({ id, title }, i) => (
            <option key={id} value={id}>
              {i + 1}. {title}
            </option>
          ))}
        </select>
      </label>
      <button type="button" aria-disabled={!next} onClick={() => next && onGo(next.id)}>
        Next →
      </button>
    </nav>
  );
}
