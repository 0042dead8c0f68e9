// How late a process's own clockwork runs: what an event loop that is busy does to everything else.

/** Ticks of a quarter of a second: ten seconds. */
const SAMPLES = 40;

/** The samples of the last ten seconds or so: how many ms a tick came after it was due. */
export class Lateness {
  readonly #samples = new Float64Array(SAMPLES);
  #next = 0;
  #count = 0;
  #due = Number.POSITIVE_INFINITY;

  /** A tick at `now`; the next one is due after `intervalMs`. */
  tick(now: number, intervalMs: number): void {
    if (this.#due !== Number.POSITIVE_INFINITY) {
      this.#samples[this.#next] = Math.max(0, now - this.#due);
      this.#next = (this.#next + 1) % SAMPLES;
      this.#count = Math.min(SAMPLES, this.#count + 1);
    }
    this.#due = now + intervalMs;
  }

  /** The 99th percentile of the samples, ms; 0 without any. */
  p99(): number {
    if (this.#count === 0) return 0;
    const sorted = this.#samples.slice(0, this.#count).sort();
    return sorted[Math.ceil(this.#count * 0.99) - 1] ?? 0;
  }
}
