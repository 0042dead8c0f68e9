// An answer to a scrape, in Prometheus' text format 0.0.4: names and help come from the table, values from who has them. It
// writes a metric's lines together, in the order of the table; what has no value has no line.
// Format: https://prometheus.io/docs/instrumenting/exposition_formats/

import { METRICS, type MetricName, type MetricRow } from './metric-table.js';

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string>>;

/** Values counted into buckets. */
export interface Buckets {
  /** Upper bounds in seconds, rising. */
  readonly bounds: readonly number[];
  /** Of each bound, not cumulated; one more for what is above the last. */
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}

/** The lines of one answer. */
export class Exposition {
  readonly #lines = new Map<MetricName, string[]>();

  /** One value. Undefined, or not a number: no line. */
  add(name: MetricName, value: number | undefined, labels: Labels = {}): void {
    if (value === undefined || Number.isNaN(value)) return;
    this.#of(name).push(line(name, labels, value));
  }

  histogram(name: MetricName, { bounds, counts, sumSeconds }: Buckets, labels: Labels = {}): void {
    const lines = this.#of(name);
    let total = 0;
    for (const [at, bound] of bounds.entries()) {
      total += counts[at] ?? 0;
      lines.push(line(`${name}_bucket`, { ...labels, le: String(bound) }, total));
    }
    total += counts[bounds.length] ?? 0;
    lines.push(line(`${name}_bucket`, { ...labels, le: '+Inf' }, total));
    lines.push(line(`${name}_sum`, labels, sumSeconds), line(`${name}_count`, labels, total));
  }

  text(): string {
    const parts: string[] = [];
    for (const [name, row] of Object.entries(METRICS) as [MetricName, MetricRow][]) {
      const lines = this.#lines.get(name);
      if (lines !== undefined)
        parts.push(`# HELP ${name} ${escaped(row.help)}`, `# TYPE ${name} ${row.type}`, ...lines);
    }
    return `${parts.join('\n')}\n`;
  }

  #of(name: MetricName): string[] {
    let lines = this.#lines.get(name);
    if (lines === undefined) {
      lines = [];
      this.#lines.set(name, lines);
    }
    return lines;
  }
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text).replaceAll('"', '\\"')}"`);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${spelled(value)}`;
}

function spelled(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
