/**
 * Where metrics are served: host and port, as `--metrics` and `metrics:` give them.
 * @module
 */
import { parseAddress } from '../wire/address.ts';

export interface MetricsAddress {
  /** As it was given. */
  readonly text: string;
  /** Left out, all addresses of the host. */
  readonly host?: string;
  /** 0 is any that is free. */
  readonly port: number;
}

/** Reads `127.0.0.1:9962`, `host:9962`, `:9962` or `[::1]:9962`; `undefined` when it is none of these. */
export function parseMetricsAddress(text: string): MetricsAddress | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s/]*)):(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const [, v6, name = '', digits] = match;
  const port = Number(digits);
  if (port > 0xffff) return undefined;
  if (v6 !== undefined) return parseAddress(v6)?.length === 16 ? { text, host: v6, port } : undefined;
  return name === '' ? { text, port } : { text, host: name, port };
}
