/**
 * Colours on a terminal. Elsewhere, and where `NO_COLOR` is set (no-color.org), text stays as it is.
 * @module
 */

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

/** Paints text. */
export type Paint = Readonly<Record<keyof typeof CODES, (text: string) => string>>;

/** The colours for a stream. */
export function paintFor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Paint {
  return makePaint(stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb');
}

/** The colours, or none. */
export function makePaint(isOn: boolean): Paint {
  const paint = (code: number) => (text: string) => (isOn ? `\x1b[${code}m${text}\x1b[0m` : text);
  return {
    bold: paint(CODES.bold),
    dim: paint(CODES.dim),
    red: paint(CODES.red),
    green: paint(CODES.green),
    yellow: paint(CODES.yellow),
    cyan: paint(CODES.cyan),
  };
}
