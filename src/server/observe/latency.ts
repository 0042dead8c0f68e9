/**
 * How long something took, as counts in fixed buckets: one histogram since the start, for Prometheus, and one of the last ten
 * seconds or so, for people. Histograms of several nodes add up to that of all; percentiles never do.
 */

/** Upper bounds in ms; one more bucket is above the last. */
export const LATENCY_BOUNDS_MS: readonly number[] = [
  1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000,
  10_000, 15_000, 20_000, 30_000, 60_000,
];

/** What a node says of a latency. */
export interface LatencyFigures {
  /** Monotonic, by bucket. */
  readonly counts: readonly number[];
  readonly sumMs: number;
  /** Of the last ten seconds or so, by bucket. */
  readonly recent: readonly number[];
}

const BUCKETS = LATENCY_BOUNDS_MS.length + 1;
const SLOTS = 10;
const SLOT_MS = 1_000;

/** Counts how long something takes. A sample costs a few steps and no memory. */
export class Latency {
  readonly #counts = new Float64Array(BUCKETS);
  /** A row of buckets for each of the last seconds, in a ring. */
  readonly #slots = new Float64Array(BUCKETS * SLOTS);
  #slot = 0;
  #sumMs = 0;

  /** `now`: monotonic ms. What clocks that differ make negative counts as 0. */
  add(ms: number, now: number): void {
    this.#turn(now);
    const bucket = bucketOf(ms);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    const at = (this.#slot % SLOTS) * BUCKETS + bucket;
    this.#slots[at] = (this.#slots[at] as number) + 1;
    this.#sumMs += Math.max(0, ms);
  }

  /** Since the start. */
  totals(): Pick<LatencyFigures, 'counts' | 'sumMs'> {
    return { counts: [...this.#counts], sumMs: this.#sumMs };
  }

  figures(now: number): LatencyFigures {
    this.#turn(now);
    const recent = new Array<number>(BUCKETS).fill(0);
    for (let at = 0; at < this.#slots.length; at++) {
      recent[at % BUCKETS] = (recent[at % BUCKETS] as number) + (this.#slots[at] as number);
    }
    return { ...this.totals(), recent };
  }

  /** Forgets the seconds that are too long ago. */
  #turn(now: number): void {
    const slot = Math.floor(now / SLOT_MS);
    for (let passed = Math.max(this.#slot + 1, slot - SLOTS + 1); passed <= slot; passed++) {
      const from = (passed % SLOTS) * BUCKETS;
      this.#slots.fill(0, from, from + BUCKETS);
    }
    this.#slot = Math.max(this.#slot, slot);
  }
}

function bucketOf(ms: number): number {
  let low = 0;
  let high = BUCKETS - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ms <= (LATENCY_BOUNDS_MS[middle] as number)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Several of them as one. */
export function addUp(parts: readonly (readonly number[])[]): readonly number[] {
  const total = new Array<number>(BUCKETS).fill(0);
  for (const part of parts) for (let at = 0; at < BUCKETS; at++) total[at] = (total[at] as number) + (part[at] ?? 0);
  return total;
}

/** A percentile of counts by bucket, ms, taken to be even within a bucket; undefined: nothing was counted. */
export function percentile(counts: readonly number[], share: number): number | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  let left = total * share;
  for (let at = 0; at < counts.length; at++) {
    const count = counts[at] as number;
    if (left > count || count === 0) {
      left -= count;
      continue;
    }
    const from = at === 0 ? 0 : (LATENCY_BOUNDS_MS[at - 1] as number);
    const to = LATENCY_BOUNDS_MS[at] ?? from;
    return from + (to - from) * (left / count);
  }
  return LATENCY_BOUNDS_MS.at(-1);
}
