/**
 * A node's metrics in Prometheus's text format, by prom-client, which needs Node.
 * @module
 */
import { Counter, Gauge, Registry } from 'prom-client';
import { isCounter } from './family.ts';
import { FAMILIES } from './metrics.ts';
import type { Observed } from './observed.ts';

/** What a scrape says it is. */
export const CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** The text of one scrape. Made of the figures alone, so series of SAs and peers that are gone are gone too. */
export function prometheusText(observed: Observed): Promise<string> {
  const registry = new Registry();
  for (const family of FAMILIES) {
    const { name, help } = family;
    const samples = family.samples(observed);
    if (samples === undefined) continue;
    // Labels as a histogram of the library's shares them among its lines: one object is made to text once in a scrape.
    const values = (typeof samples === 'number' ? [[{}, samples] as const] : samples).map(
      ([sharedLabels, value]) => ({ labels: {}, sharedLabels, value }),
    );
    const Metric = isCounter(family) ? Counter : Gauge;
    const metric = new Metric({ name, help, registers: [registry] });
    // The figures are whole as they are. To set them one by one has the library hash the labels of each, which took most of
    // the time of a scrape.
    const empty = metric.get.bind(metric);
    metric.get = async () => ({ ...(await empty()), values });
  }
  return registry.metrics();
}
