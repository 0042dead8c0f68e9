// What fails again and again is logged when it begins, now and then while it lasts, and when it is over, with how often.

import type { Clock } from './clock.js';

const AGAIN_MS = 30_000;

/** Where it is said. */
export interface FailureLog {
  warn(details: object, message: string): void;
}

/** One thing that is done again and again, and how often it has failed since it last worked. */
export class Failures {
  readonly #clock: Clock;
  readonly #log: FailureLog;
  readonly #what: string;
  #count = 0;
  /** Monotonic ms. */
  #since = 0;
  #loggedAt = 0;

  /** `what`: the beginning of a sentence. */
  constructor(clock: Clock, log: FailureLog, what: string) {
    this.#clock = clock;
    this.#log = log;
    this.#what = what;
  }

  report(error: unknown): void {
    const now = this.#clock.monotonic();
    if (this.#count++ === 0) this.#since = now;
    else if (now - this.#loggedAt < AGAIN_MS) return;
    this.#loggedAt = now;
    this.#log.warn({ error: String(error), failed: this.#count }, `${this.#what} failed; it is tried again`);
  }

  /** It works. */
  over(): void {
    if (this.#count === 0) return;
    const forMs = Math.round(this.#clock.monotonic() - this.#since);
    this.#log.warn({ failed: this.#count, forMs }, `${this.#what} works again`);
    this.#count = 0;
  }
}
