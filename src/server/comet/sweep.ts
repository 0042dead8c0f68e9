/**
 * Gives all topics of a comet their turns: each turn of the event loop serves a few hundred sockets, then yields, so that
 * accepts, heartbeats and HTTP keep their latency. A large topic does not hold up small ones: turns go round. Where everything
 * else takes long, a storm of connections for one, sweeps get three times as much.
 */
import type { Clock } from '../clock.js';

/** Work over many sockets that goes in steps. */
export interface Sweepable {
  /** Visits up to `sockets` members. Returns how many it visited; fewer than asked for means that the sweep has ended. */
  step(sockets: number): number;
}

/** What a sweep costs even when it finds nobody, in sockets. */
const STEP_COST = 4;
/** A turn may take so many times as long as it waited: who is delivered to is late by a third of a sweep at most. */
const SHARE = 3;
/** So long in all, milliseconds. */
const MAX_TURN_MS = 50;
/** As many places that are done with are given up together. */
const COMPACT_AT = 1_024;

export class Sweeper {
  readonly #clock: Clock;
  readonly #yieldEvery: number;
  #queue: Sweepable[] = [];
  /** Those before it have had their turn. */
  #next = 0;
  #scheduled = false;
  /** Monotonic ms. */
  #scheduledAt = 0;
  /** Of sweeps that start while a turn goes on: what one writes again has to have changed meanwhile. */
  #fresh: Sweepable[] | undefined;

  constructor(clock: Clock, yieldEvery: number) {
    this.#clock = clock;
    this.#yieldEvery = Math.max(1, yieldEvery);
  }

  /** Sweeps that have not ended. */
  get active(): number {
    return this.#queue.length - this.#next + (this.#fresh?.length ?? 0);
  }

  /** Queues a sweep; its first step is in the next turn. The caller queues it once until it has ended. */
  start(sweep: Sweepable): void {
    (this.#fresh ?? this.#queue).push(sweep);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#scheduledAt = this.#clock.monotonic();
    this.#clock.soon(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    const began = this.#clock.monotonic();
    const share = Math.min((began - this.#scheduledAt) * SHARE, MAX_TURN_MS);
    const fresh: Sweepable[] = [];
    this.#fresh = fresh;
    try {
      do this.#round();
      while (this.#next < this.#queue.length && this.#clock.monotonic() - began < share);
    } finally {
      this.#fresh = undefined;
      this.#queue.push(...fresh);
    }
    if (this.active > 0) this.#schedule();
  }

  #round(): void {
    const queue = this.#queue;
    // What is queued from here on has its turn in the next round.
    const end = queue.length;
    let budget = this.#yieldEvery;
    while (budget > 0 && this.#next < end) {
      const sweep = queue[this.#next++] as Sweepable;
      const visited = sweep.step(this.#yieldEvery);
      budget -= visited + STEP_COST;
      if (visited >= this.#yieldEvery) queue.push(sweep);
    }
    if (this.#next > COMPACT_AT || this.#next === queue.length) {
      this.#queue = queue.slice(this.#next);
      this.#next = 0;
    }
  }
}
