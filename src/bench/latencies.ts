/** Latencies as counts by millisecond: they add up across processes, and percentiles come of all of them. */
import type { Latencies, Percentiles } from './figures.js';

/** The value below which a share of all lies; 0 when there are none. */
export function percentile(latencies: Latencies, share: number): number {
  let all = 0;
  for (const [, count] of latencies) all += count;
  let seen = 0;
  for (const [ms, count] of latencies) {
    seen += count;
    if (seen >= all * share) return ms;
  }
  return 0;
}

/** All five that are shown; zeros when there are none. */
export function percentilesOf(latencies: Latencies): Percentiles {
  const at = (share: number) => percentile(latencies, share);
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1) };
}

/** Counts of several processes as one, in order. */
export function addUp(parts: Iterable<Latencies>): Latencies {
  const all = new Map<number, number>();
  for (const part of parts) for (const [ms, count] of part) all.set(ms, (all.get(ms) ?? 0) + count);
  return [...all].sort(([a], [b]) => a - b);
}

/** Nothing is told apart above. */
const MOST_MS = 600_000;

/** Counts as they come. */
export class Histogram {
  readonly #counts = new Map<number, number>();

  /** Another one, of `ms`, rounded up. */
  add(ms: number): void {
    const whole = Math.max(0, Math.min(MOST_MS, Math.ceil(ms)));
    this.#counts.set(whole, (this.#counts.get(whole) ?? 0) + 1);
  }

  /** What came since the last time, in order. */
  take(): Latencies {
    const taken = [...this.#counts].sort(([a], [b]) => a - b);
    this.#counts.clear();
    return taken;
  }
}
