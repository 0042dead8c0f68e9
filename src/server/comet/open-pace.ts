// A storm of connections brings a thousand of them in one turn of the event loop, and opening them takes a tenth of a second in
// which nobody who is there already is served. So a turn begins a few, fewer still while a sweep goes on, and the others wait for
// the next ones.

import type { Clock } from '../clock.js';

/** Opens that begin in one turn. */
const PER_TURN = 64;
/** While a sweep goes on: together they take a fraction of its step. */
const PER_STEP = 8;

/** Lets opens begin, some each turn, in the order in which they came. What waits is bounded by the connections that there are. */
export class OpenPace {
  readonly #clock: Clock;
  readonly #sweeping: () => boolean;
  /** Of this turn. */
  #begun = 0;
  #waiting: (() => void)[] = [];
  #scheduled = false;

  constructor(clock: Clock, sweeping: () => boolean) {
    this.#clock = clock;
    this.#sweeping = sweeping;
  }

  /** Opens that wait for their turn. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Calls `open` at once, or in a later turn. It must not throw. */
  begin(open: () => void): void {
    this.#schedule();
    // Nobody goes before who waits, even where a sweep has ended meanwhile and more may begin.
    if (this.#waiting.length > 0 || this.#begun >= this.#most()) {
      this.#waiting.push(open);
      return;
    }
    this.#begun++;
    open();
  }

  #most(): number {
    return this.#sweeping() ? PER_STEP : PER_TURN;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.soon(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    const due = this.#waiting.splice(0, this.#most());
    this.#begun = due.length;
    if (due.length > 0) this.#schedule();
    for (const open of due) open();
  }
}
