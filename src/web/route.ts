/**
 * Where the reader is, as an address: `#/packet/step/seal?mode=vxlan&v=6`. All state that matters is in it, so that a
 * link shows what its sender saw.
 *
 * ```text
 *  #/bytes/field/esp.seq?p=native-v6
 *    └─┬─┘ └────┬──────┘ └───┬─────┘
 *   chapter   path         params
 * ```
 * @module
 */

/** An address, taken apart. */
export interface Route {
  /** Id of the chapter; empty for the front page. */
  readonly chapter: string;
  /** What stands behind the chapter, between slashes. */
  readonly path: readonly string[];
  readonly params: Readonly<Record<string, string>>;
}

/** What can be changed in a route, from where the reader is. */
export interface RouteChange {
  readonly path?: readonly string[];
  /** Set, or with `undefined` taken away; the others stay. */
  readonly params?: Readonly<Record<string, string | undefined>>;
}

/** Reads an address. Everything is a route: whether there is such a place, the chapter says. */
export function parseRoute(hash: string): Route {
  const text = hash.replace(/^#?\/?/, '');
  const mark = text.indexOf('?');
  const [chapter = '', ...path] = (mark < 0 ? text : text.slice(0, mark))
    .split('/')
    .map(decode)
    .filter((part, i) => i === 0 || part !== '');
  const params: Record<string, string> = Object.create(null);
  for (const [name, value] of new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1))) params[name] = value;
  return { chapter, path, params };
}

/** Writes an address, `#` and all. The order of parameters is theirs, so that one place has one address. */
export function formatRoute({ chapter, path, params }: Route): string {
  const names = Object.keys(params).sort();
  const query = names.map((name) => `${encode(name)}=${encode(params[name]!)}`).join('&');
  return `#/${[chapter, ...path].map(encode).join('/')}${query && `?${query}`}`;
}

/** A route with something changed. */
export function changed(route: Route, { path = route.path, params = {} }: RouteChange): Route {
  const all: Record<string, string> = {};
  for (const [name, value] of Object.entries({ ...route.params, ...params })) {
    if (value !== undefined) all[name] = value;
  }
  return { chapter: route.chapter, path, params: all };
}

/** As `encodeURIComponent`, but `:`, `,` and `~` stay: people read these addresses. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll('%3A', ':').replaceAll('%2C', ',');
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a `%` typed by hand
  }
}
