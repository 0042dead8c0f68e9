/**
 * Gives all topics of a comet their turns: each turn of the event loop serves a few hundred sockets, then yields, so that
 * accepts, heartbeats and HTTP keep their latency. A large topic does not hold up small ones: turns go round.
 */
import type { Clock } from '../clock.js';

/** Work over many sockets that goes in steps. */
export interface Sweepable {
  /** Visits up to `sockets` members. Returns how many it visited; fewer than asked for means that the sweep has ended. */
  step(sockets: number): number;
}

/** What a sweep costs even when it finds nobody, in sockets. */
const STEP_COST = 4;

export class Sweeper {
  readonly #clock: Clock;
  readonly #yieldEvery: number;
  #queue: Sweepable[] = [];
  #scheduled = false;

  constructor(clock: Clock, yieldEvery: number) {
    this.#clock = clock;
    this.#yieldEvery = Math.max(1, yieldEvery);
  }

  /** Sweeps that have not ended. */
  get active(): number {
    return this.#queue.length;
  }

  /** Queues a sweep; its first step is in the next turn. The caller queues it once until it has ended. */
  start(sweep: Sweepable): void {
    this.#queue.push(sweep);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.soon(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    const queue = this.#queue;
    let budget = this.#yieldEvery;
    let next = 0;
    this.#queue = [];
    while (budget > 0 && next < queue.length) {
      const sweep = queue[next++] as Sweepable;
      const visited = sweep.step(this.#yieldEvery);
      budget -= visited + STEP_COST;
      if (visited >= this.#yieldEvery) this.#queue.push(sweep);
    }
    if (next < queue.length) this.#queue = queue.slice(next).concat(this.#queue);
    if (this.#queue.length > 0) this.#schedule();
  }
}
