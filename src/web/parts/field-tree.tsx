/**
 * A packet as a tree of fields, each a link to its own address. Hovering or focusing one says so, and one can be lit
 * from outside: together with a hex grid either side lights the other.
 * @module
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Place } from '../model/places.ts';

interface FieldTreeProps {
  /** From `placesOf`, depth first. */
  readonly places: readonly Place[];
  readonly label: string;
  /** Name of the field to light up, because the reader looks at its bytes. */
  readonly lit?: string | undefined;
  /** Name of the field whose address this is. */
  readonly current?: string | undefined;
  readonly hrefOf: (place: Place) => string;
  /** Picks a field without going to its address, where the address is to say nothing. */
  readonly onPick?: (place: Place) => void;
  readonly onLight: (place: Place | undefined) => void;
}

/** The tree. One field takes the tab key; the arrow keys walk from there, Enter opens a field's address. */
export function FieldTree({ places, label, lit, current, hrefOf, onPick, onLight }: FieldTreeProps) {
  const root = useRef<HTMLUListElement>(null);
  const [walker, setWalker] = useState(places[0]?.name);
  const stop = places.some(({ name }) => name === (current ?? walker))
    ? (current ?? walker)
    : places[0]?.name;

  // What lights up stays in sight of a tree that scrolls by itself, without moving the page.
  useEffect(() => {
    const tree = root.current!;
    const item = lit === undefined ? null : tree.querySelector<HTMLElement>('a.lit');
    if (!item || item.matches(':hover, :focus')) return;
    const top = item.offsetTop - tree.offsetTop;
    if (top < tree.scrollTop || top > tree.scrollTop + tree.clientHeight - item.clientHeight)
      tree.scrollTop = top - tree.clientHeight / 2;
  }, [lit]);

  const walk = (event: KeyboardEvent) => {
    const links = [...root.current!.querySelectorAll('a')];
    const at = links.indexOf(event.target as HTMLAnchorElement);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: links.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    links[Math.max(0, Math.min(links.length - 1, to))]!.focus();
    event.preventDefault();
  };

  const branch = (parent: Place | undefined) =>
    places
      .filter((place) => place.parent === parent)
      .map((place) => {
        const { field, name } = place;
        const children = branch(place);
        const classes = [
          field.protection,
          name === lit && 'lit',
          place.isInner && 'inner',
          field.problem !== undefined && 'wrong',
        ];
        return (
          <li key={name} role="none">
            <a
              role="treeitem"
              aria-current={name === current ? 'true' : undefined}
              aria-level={place.depth + 1}
              aria-selected={name === current}
              class={classes.filter(Boolean).join(' ')}
              href={hrefOf(place)}
              onClick={(event) => {
                if (!onPick) return;
                event.preventDefault();
                onPick(place);
              }}
              tabIndex={name === stop ? 0 : -1}
              onMouseEnter={() => onLight(place)}
              onFocus={() => {
                setWalker(name);
                onLight(place);
              }}
              onBlur={() => onLight(undefined)}
            >
              <b>{field.label}</b> <span>{field.text}</span>
              {field.problem !== undefined && <em> {field.problem}</em>}
            </a>
            {children.length > 0 && <ul role="group">{children}</ul>}
          </li>
        );
      });

  return (
    <ul
      ref={root}
      class="fields"
      role="tree"
      aria-label={label}
      tabIndex={-1}
      onKeyDown={walk}
      onMouseLeave={() => onLight(undefined)}
    >
      {branch(undefined)}
    </ul>
  );
}
