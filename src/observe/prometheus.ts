/**
 * A node's metrics in Prometheus's text format, by prom-client, which needs Node.
 * @module
 */
import { Counter, Gauge, Registry } from 'prom-client';
import { FAMILIES } from './metrics.ts';
import type { Observed } from './observed.ts';

/** What a scrape says it is. */
export const CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** The text of one scrape. Made of the figures alone, so series of SAs and peers that are gone are gone too. */
export function prometheusText(observed: Observed): Promise<string> {
  const registry = new Registry();
  for (const { name, type, help, labels: labelNames, samples } of FAMILIES) {
    // Labels as a histogram of the library's shares them among its lines: one object is made to text once in a scrape.
    const values = samples(observed)?.map(([sharedLabels, value]) => ({ labels: {}, sharedLabels, value }));
    if (!values) continue;
    const Metric = type === 'counter' ? Counter : Gauge;
    const metric = new Metric({ name, help, labelNames, registers: [registry] });
    // The figures are whole as they are. To set them one by one has the library hash the labels of each, which took most of
    // the time of a scrape.
    const empty = metric.get.bind(metric);
    metric.get = async () => ({ ...(await empty()), values });
  }
  return registry.metrics();
}
