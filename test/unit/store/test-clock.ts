// A clock whose time stands still until a test moves it. Timers and turns of the event loop are real: the engine under
// test does real I/O.

import { type Clock, systemClock } from '../../../src/server/clock.js';

export class TestClock implements Clock {
  readonly #start = 1_800_000_000_000;
  #passed = 0;
  #skew = 0;

  now(): number {
    return this.#start + this.#passed + this.#skew;
  }
  monotonic(): number {
    return this.#passed;
  }
  /** Time passes. */
  pass(ms: number): void {
    this.#passed += ms;
  }
  /** Somebody sets the wall clock. */
  set(ms: number): void {
    this.#skew = ms - this.#start - this.#passed;
  }
  readonly after = systemClock.after;
  readonly every = systemClock.every;
  readonly clear = systemClock.clear;
  readonly soon = systemClock.soon;
  readonly random = systemClock.random;
  readonly randomBytes = systemClock.randomBytes;
}
