/**
 * The address bar as state.
 * @module
 */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { formatRoute, parseRoute, type Route } from './route.ts';

/** The route that the address bar shows, now and whenever it changes. */
export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const read = () => setHash(location.hash);
    addEventListener('hashchange', read);
    return () => removeEventListener('hashchange', read);
  }, []);
  return useMemo(() => parseRoute(hash), [hash]);
}

/** Goes to a route. `replace` leaves no trace in the history. */
export function goTo(route: Route, replace: boolean): void {
  const hash = formatRoute(route);
  if (hash === location.hash) return;
  if (replace) location.replace(hash);
  else location.hash = hash;
  // The browser says so too, but later: the answer to a click need not wait for that.
  dispatchEvent(new HashChangeEvent('hashchange'));
}
