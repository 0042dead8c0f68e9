// A storm brings a thousand connections, or takes them away, in one turn of the event loop, and to open or close them takes a tenth
// of a second in which nobody else is served. So a turn begins a few, fewer still while a sweep goes on, and the others wait for
// the next ones.

import type { Clock } from '../clock.js';

/** As many begin in one turn. */
const PER_TURN = 8;
/** While a sweep goes on: together they take a fraction of its step. */
const PER_STEP = 4;

/** Lets what costs a connection's worth begin, some each turn, in the order in which it came. At most one a connection waits. */
export class TurnPace {
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

  /** Those that wait for their turn. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Calls `run` at once, or in a later turn. It must not throw. */
  begin(run: () => void): void {
    this.#schedule();
    // Nobody goes before who waits, even where a sweep has ended meanwhile and more may begin.
    if (this.#waiting.length > 0 || this.#begun >= this.#most()) {
      this.#waiting.push(run);
      return;
    }
    this.#begun++;
    run();
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
    for (const run of due) run();
  }
}
