/**
 * A node's metrics in Prometheus's text format, by prom-client, which needs Node.
 * @module
 */
import { Counter, Gauge, Registry } from 'prom-client';
import type { Family } from './family.ts';
import { FAMILIES } from './metrics.ts';
import type { Observed } from './observed.ts';

/** What a scrape says it is. */
export const CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/**
 * The text of one scrape. Made of the figures alone, so series of SAs and peers that are gone are gone too.
 * @throws {Error} when a label is not in its family's list
 */
export function prometheusText(observed: Observed): Promise<string> {
  const registry = new Registry();
  for (const family of FAMILIES) {
    const samples = family.samples(observed);
    if (samples) add(registry, family, samples);
  }
  return registry.metrics();
}

function add(
  registry: Registry,
  { name, type, help, labels }: Family,
  samples: NonNullable<ReturnType<Family['samples']>>,
): void {
  const options = { name, help, labelNames: labels, registers: [registry] };
  if (type === 'counter') {
    const counter = new Counter(options);
    for (const [values, value] of samples) counter.inc(values, value);
    return;
  }
  const gauge = new Gauge(options);
  const highest = new Map<string, number>();
  for (const [values, value] of samples) {
    const series = Object.values(values).join('\0');
    const most = Math.max(value, highest.get(series) ?? value);
    highest.set(series, most);
    gauge.set(values, most);
  }
}
