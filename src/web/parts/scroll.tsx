/**
 * What may be wider than the page: it scrolls by itself, with the keyboard too, and the page does not.
 * @module
 */
import type { ComponentChildren } from 'preact';

interface ScrollProps {
  /** What is in it, for who cannot see it. */
  readonly label: string;
  readonly children: ComponentChildren;
}

export function Scroll({ label, children }: ScrollProps) {
  return (
    <section class="scroll" aria-label={label} tabIndex={0}>
      {children}
    </section>
  );
}
