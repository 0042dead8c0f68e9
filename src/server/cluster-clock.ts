// One time for all nodes of a cluster: what one of them stamps, others judge (when a message expires, how old it is), and a
// machine whose clock is wrong would let go what is fresh. Nodes that have Redis take Redis's time, comets that of a logic.

import type { Clock } from './clock.js';

/** Clocks that differ by less are left as they are: nothing is judged so closely. Milliseconds. */
const AGREE_MS = 500;
/** An answer that took longer says too little. */
const SLOW_MS = 2_000;
/** From here on somebody should know. */
const TELL_MS = 2_000;

/** This machine's clock, set right by what is learned of another one. */
export class ClusterClock implements Clock {
  readonly #base: Clock;
  readonly #log: { warn(details: object, message: string): void };
  #skewMs = 0;

  constructor(base: Clock, log: { warn(details: object, message: string): void }) {
    this.#base = base;
    this.#log = log;
  }

  now(): number {
    return this.#base.now() + this.#skewMs;
  }
  monotonic(): number {
    return this.#base.monotonic();
  }
  after(ms: number, run: () => void): ReturnType<Clock['after']> {
    return this.#base.after(ms, run);
  }
  every(ms: number, run: () => void): ReturnType<Clock['every']> {
    return this.#base.every(ms, run);
  }
  clear(timer: ReturnType<Clock['after']> | undefined): void {
    this.#base.clear(timer);
  }
  soon(run: () => void): void {
    this.#base.soon(run);
  }
  random(): number {
    return this.#base.random();
  }
  randomBytes(length: number): Uint8Array {
    return this.#base.randomBytes(length);
  }

  /** What the clock that counts said, wall ms; it was asked at `askedAt`, monotonic ms, and its answer has just come. */
  learn(said: number, askedAt: number): void {
    const took = this.#base.monotonic() - askedAt;
    if (took > SLOW_MS) return;
    const off = said + took / 2 - this.#base.now();
    if (Math.abs(off - this.#skewMs) <= AGREE_MS + took / 2) return;
    this.#skewMs = Math.round(off);
    if (Math.abs(off) >= TELL_MS) {
      this.#log.warn({ skewMs: this.#skewMs }, 'the clock of this machine is wrong: the time of the cluster is used');
    }
  }
}
