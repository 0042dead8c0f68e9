/**
 * Adaptive coalescing: a topic's next sweep begins when the window has passed since the last one began and that one has
 * ended. After an idle window the first message goes at once; under overload the batch grows and nothing else happens.
 */
import type { Clock, Timer } from '../clock.js';

export class Window {
  /** How long the last sweep took. */
  sweepMs = 0;
  readonly #clock: Clock;
  readonly #windowMs: number;
  readonly #begin: () => void;
  /** Changes ever, and as many as the running sweep had seen when it began. */
  #changes = 0;
  #seen = 0;
  #beganAt = Number.NEGATIVE_INFINITY;
  /** From `begin` until `ended`, and from `began` on. */
  #busy = false;
  #sweeping = false;
  #stopped = false;
  #timer: Timer | undefined;

  /** `begin` queues a sweep; the sweep says `began` at its first step and `ended` at its last. */
  constructor(clock: Clock, windowMs: number, begin: () => void) {
    this.#clock = clock;
    this.#windowMs = windowMs;
    this.#begin = begin;
  }

  /** Something is due. `anybody`: there are members. */
  changed(now: number, anybody: boolean): void {
    this.#changes++;
    if (anybody && !this.#busy && !this.#stopped && this.#timer === undefined) this.#schedule(now);
  }

  began(): void {
    this.#sweeping = true;
    this.#beganAt = this.#clock.monotonic();
    this.#seen = this.#changes;
  }

  ended(anybody: boolean): void {
    const now = this.#clock.monotonic();
    this.sweepMs = now - this.#beganAt;
    this.#busy = this.#sweeping = false;
    if (this.#changes !== this.#seen && anybody && !this.#stopped) this.#schedule(now);
  }

  /** How long the last sweep took, or the running one has taken where that is more. */
  latestSweepMs(now: number): number {
    return this.#sweeping ? Math.max(this.sweepMs, now - this.#beganAt) : this.sweepMs;
  }

  stop(): void {
    this.#stopped = true;
    this.#clock.clear(this.#timer);
    this.#timer = undefined;
  }

  #schedule(now: number): void {
    const wait = this.#beganAt + this.#windowMs - now;
    if (wait > 0) this.#timer = this.#clock.after(wait, () => this.#go());
    else this.#go();
  }

  #go(): void {
    this.#timer = undefined;
    if (this.#stopped) return;
    this.#busy = true;
    this.#begin();
  }
}
