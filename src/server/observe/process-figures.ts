// What this process uses: CPU, memory, descriptors, its event loop, its collections. What has to be watched to be known is
// watched from the first scrape on: a process that nobody scrapes pays nothing. Nothing here opens a file that must be opened:
// a process without a descriptor left is still told of.

// biome-ignore lint/style/noRestrictedImports: what the event loop and the collector did; no time is taken
import { type PerformanceEntry, PerformanceObserver, performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { Clock, Timer } from '../clock.js';
import type { Exposition } from './exposition.js';
import { cpuSeconds, descriptorLimit, descriptorsInUse } from './process.js';

/** Between two looks at how late the event loop is. */
const LOOK_MS = 50;
/** As many looks are counted that a loop which stood still did not take: a minute's. */
const MISSED_MAX = 1_200;
const DELAY_BOUNDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5] as const;
const GC_BOUNDS = [0.001, 0.01, 0.1, 1] as const;
/** V8's kinds of collections (perf_hooks.constants.NODE_PERFORMANCE_GC_…). */
const GC_KINDS: ReadonlyMap<number, string> = new Map([
  [1, 'minor'],
  [4, 'major'],
  [8, 'incremental'],
  [16, 'weakcb'],
]);

class Counted {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sumSeconds = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  add(seconds: number): void {
    let at = 0;
    while (at < this.bounds.length && seconds > (this.bounds[at] as number)) at++;
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.sumSeconds += seconds;
  }
}

/** Of one process. */
export class ProcessFigures {
  readonly #clock: Clock;
  readonly #delay = new Counted(DELAY_BOUNDS);
  readonly #gc = new Map<string, Counted>();
  #timer: Timer | undefined;
  #observer: PerformanceObserver | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  write(to: Exposition): void {
    this.#watch();
    to.add('process_cpu_seconds_total', cpuSeconds());
    to.add('process_resident_memory_bytes', residentBytes());
    to.add('process_start_time_seconds', performance.timeOrigin / 1_000);
    to.add('process_open_fds', descriptorsInUse() || undefined);
    to.add('process_max_fds', descriptorLimit());
    const { total_heap_size: total, used_heap_size: used, external_memory: external } = getHeapStatistics();
    to.add('nodejs_heap_size_total_bytes', total);
    to.add('nodejs_heap_size_used_bytes', used);
    to.add('nodejs_external_memory_bytes', external);
    const loop = performance.eventLoopUtilization();
    to.add('nodejs_eventloop_active_seconds_total', loop.active / 1_000);
    to.histogram('imgo_eventloop_delay_seconds', this.#delay);
    for (const [kind, counted] of this.#gc) to.histogram('nodejs_gc_duration_seconds', counted, { kind });
  }

  /** Lets go of what observes the process. */
  stop(): void {
    this.#clock.clear(this.#timer);
    this.#observer?.disconnect();
  }

  #watch(): void {
    if (this.#timer !== undefined) return;
    let due = this.#clock.monotonic() + LOOK_MS;
    this.#timer = this.#clock.every(LOOK_MS, () => {
      const now = this.#clock.monotonic();
      // A loop that stood still for a second would have been found late by every look that fell into it.
      this.#delay.add(Math.max(0, now - due) / 1_000);
      const missed = Math.min(MISSED_MAX, Math.floor((now - due) / LOOK_MS));
      for (let one = 1; one <= missed; one++) this.#delay.add((now - due - one * LOOK_MS) / 1_000);
      due = now + LOOK_MS;
    });
    for (const kind of GC_KINDS.values()) this.#gc.set(kind, new Counted(GC_BOUNDS));
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as readonly (PerformanceEntry & {
        readonly detail?: { readonly kind?: number };
      })[]) {
        const { duration, detail } = entry;
        const kind = GC_KINDS.get(detail?.kind ?? 0);
        if (kind !== undefined) this.#gc.get(kind)?.add(duration / 1_000);
      }
    });
    this.#observer.observe({ entryTypes: ['gc'] });
  }
}

/** Undefined where it cannot be read: at the last descriptor. */
function residentBytes(): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}
