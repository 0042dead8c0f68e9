/**
 * Where many processes share a core, each wakes for a connection or two and pays more for its cold caches than for them: a
 * million connections over 113 processes had 12,000 turns a second, 160 us each, for two events a turn. So a process that has
 * read something waits until its next turn is due, and finds what came meanwhile together. It is what interrupt
 * moderation is to a network card; on a core of its own a process never waits.
 */
import type { Clock } from '../clock.js';

export class Turns {
  readonly #clock: Clock;
  readonly #everyMs: number;
  /** Nobody wakes it: what is waited for is the time. */
  readonly #cell = new Int32Array(new SharedArrayBuffer(4));
  #since = Number.NEGATIVE_INFINITY;
  #ending = false;

  /** `everyMs`: from the end of one turn to the end of the next, at least. */
  constructor(clock: Clock, everyMs: number) {
    this.#clock = clock;
    this.#everyMs = everyMs;
  }

  /** Something was read in this turn. */
  took(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#clock.soon(() => {
      const left = this.#since + this.#everyMs - this.#clock.monotonic();
      if (left > 0) Atomics.wait(this.#cell, 0, 0, left);
      this.#since = this.#clock.monotonic();
      this.#ending = false;
    });
  }
}
