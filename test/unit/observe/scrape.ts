// Reads an exposition as Prometheus does, and complains of whatever it would: a line that is none, a series twice, a metric
// whose lines are apart, a histogram that falls.

export interface Scraped {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\+Inf|-Inf|NaN|-?[0-9.e+-]+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/y;

/** Metrics by name. @throws Error with the line that is wrong */
export function parseScrape(text: string): ReadonlyMap<string, Scraped> {
  const metrics = new Map<string, { type: string; help: string; samples: Sample[] }>();
  const seen = new Set<string>();
  let current: { name: string; metric: { type: string; help: string; samples: Sample[] } } | undefined;
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  for (const line of text.slice(0, -1).split('\n')) {
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === 'HELP') {
      if (metrics.has(name)) throw new Error(`again: ${line}`);
      current = { name, metric: { type: '', help: rest, samples: [] } };
      metrics.set(name, current.metric);
    } else if (kind === 'TYPE') {
      if (current?.name !== name) throw new Error(`apart from its help: ${line}`);
      current.metric.type = rest;
    } else {
      const sample = sampleOf(line);
      const base = current?.metric.type === 'histogram' ? sample.name.replace(/_(bucket|sum|count)$/, '') : sample.name;
      if (current === undefined || base !== current.name) throw new Error(`apart from its metric: ${line}`);
      const series = line.slice(0, line.lastIndexOf(' '));
      if (seen.has(series)) throw new Error(`twice: ${line}`);
      seen.add(series);
      current.metric.samples.push(sample);
    }
  }
  for (const [name, metric] of metrics) if (metric.type === 'histogram') checkHistogram(name, metric);
  return metrics;
}

function sampleOf(line: string): Sample {
  const [, name = '', pairs = '', value = ''] = SAMPLE.exec(line) ?? [];
  if (name === '') throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < pairs.length) {
    const match = LABEL.exec(pairs);
    if (match === null) throw new Error(`not labels: ${line}`);
    labels[match[1] ?? ''] = match[2] ?? '';
  }
  return { name, labels, value: value.endsWith('Inf') ? Number(value.replace('Inf', 'Infinity')) : Number(value) };
}

function checkHistogram(name: string, { samples }: Scraped): void {
  const byLabels = new Map<string, Sample[]>();
  for (const sample of samples) {
    const { le: _le, ...labels } = sample.labels;
    const key = JSON.stringify(labels);
    byLabels.set(key, [...(byLabels.get(key) ?? []), sample]);
  }
  for (const one of byLabels.values()) {
    const buckets = one.filter((sample) => sample.name === `${name}_bucket`).map(({ value }) => value);
    if (buckets.some((value, at) => value < (buckets[at - 1] ?? 0))) throw new Error(`${name} falls`);
    const count = one.find((sample) => sample.name === `${name}_count`)?.value;
    if (count !== buckets.at(-1)) throw new Error(`${name}_count is not its last bucket`);
  }
}
