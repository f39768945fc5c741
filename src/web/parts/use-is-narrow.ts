/**
 * Is the page as narrow as a phone? Pictures then take another shape, where shrinking would make them unreadable.
 * @module
 */
import { useEffect, useState } from 'preact/hooks';

export function useIsNarrow(): boolean {
  const [query] = useState(() => matchMedia('(max-width: 40rem)'));
  const [isNarrow, setNarrow] = useState(query.matches);
  useEffect(() => {
    const read = () => setNarrow(query.matches);
    query.addEventListener('change', read);
    return () => query.removeEventListener('change', read);
  }, [query]);
  return isNarrow;
}
