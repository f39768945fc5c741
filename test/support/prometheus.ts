/**
 * Reads Prometheus's text format 0.0.4, strictly: what is not in it is an error.
 * @module
 */
export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricFamily {
  readonly help: string;
  type: string;
  readonly samples: MetricSample[];
}

export interface Metrics {
  readonly families: ReadonlyMap<string, MetricFamily>;
  /** The value of the one sample with exactly these labels. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

/** @throws {Error} at the first line that is not as it should be */
export function parseMetrics(text: string): Metrics {
  const families = new Map<string, MetricFamily>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const help = /^# HELP ([a-z_]+) (.+)$/.exec(line);
    const type = /^# TYPE ([a-z_]+) (gauge|counter)$/.exec(line);
    const sample = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (help) {
      if (families.has(help[1]!)) throw new Error(`twice: ${line}`);
      families.set(help[1]!, { help: help[2]!, type: '', samples: [] });
    } else if (type) families.get(type[1]!)!.type = type[2]!;
    else if (sample) {
      const [, name, labels = '', value] = sample;
      const family = families.get(name!);
      if (!family || family.type === '' || Number.isNaN(Number(value))) throw new Error(`no sample: ${line}`);
      family.samples.push({ labels: readLabels(labels), value: Number(value) });
    } else throw new Error(`not understood: ${line}`);
  }
  return {
    families,
    value: (name, labels = {}) => {
      const want = sorted(labels);
      return families.get(name)?.samples.find((sample) => sorted(sample.labels) === want)?.value;
    },
  };
}

function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  const one = /([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"(?:,|$)/y;
  while (one.lastIndex < text.length) {
    const at = one.lastIndex;
    const match = one.exec(text);
    if (!match) throw new Error(`no labels: ${text.slice(at)}`);
    labels[match[1]!] = match[2]!.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
  }
  return labels;
}

function sorted(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}
