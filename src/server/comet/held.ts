// Sessions whose sockets do not take what they are given, in the order in which that began. They are few; no other session costs
// anything.

import type { Clock } from '../clock.js';

/** Sessions that are remembered; beyond it they are slow all the same, and not shown. */
const MAX_HELD = 65_536;
/** Held for so long: no hiccup. */
const LAGGING_MS = 1_000;

/** Sessions with a write that the kernel has not taken. */
export class HeldSessions<S> {
  /** Since when, monotonic ms; the longest first. */
  readonly #since = new Map<S, number>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  held(session: S): void {
    if (this.#since.size < MAX_HELD) this.#since.set(session, this.#clock.monotonic());
  }

  drained(session: S): void {
    this.#since.delete(session);
  }

  /** How many are held for longer than a moment. */
  lagging(): number {
    const now = this.#clock.monotonic();
    let count = 0;
    for (const since of this.#since.values()) {
      if (now - since < LAGGING_MS) break;
      count++;
    }
    return count;
  }

  since(session: S): number | undefined {
    return this.#since.get(session);
  }

  [Symbol.iterator](): IterableIterator<S> {
    return this.#since.keys();
  }
}
