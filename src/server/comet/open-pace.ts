// A storm of connections brings a thousand of them in one turn of the event loop, and opening them takes a tenth of a second in
// which nobody who is there already is served. So a turn begins a few, and the others wait for the next ones.

import type { Clock } from '../clock.js';

/** Opens that begin in one turn. */
const PER_TURN = 64;

/** Lets opens begin, some each turn, in the order in which they came. What waits is bounded by the connections that there are. */
export class OpenPace {
  readonly #clock: Clock;
  #left = PER_TURN;
  #waiting: (() => void)[] = [];
  #scheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Opens that wait for their turn. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Calls `open` at once, or in a later turn. It must not throw. */
  begin(open: () => void): void {
    this.#schedule();
    if (this.#left === 0) {
      this.#waiting.push(open);
      return;
    }
    this.#left--;
    open();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.soon(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    const due = this.#waiting.splice(0, PER_TURN);
    this.#left = PER_TURN - due.length;
    if (due.length > 0) this.#schedule();
    for (const open of due) open();
  }
}
