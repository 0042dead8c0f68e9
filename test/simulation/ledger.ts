// An engine with the whole history of what was written to it, in its own process. A failover takes the newest writes away and
// goes through the others again, in the times at which they were made: what an asynchronous replica has.

import type { Clock } from '../../src/server/clock.js';
import type { SimProcess } from './scheduler.js';

interface Moment {
  readonly now: number;
  readonly monotonic: number;
}

interface Write<T> extends Moment {
  readonly run: (engine: T) => unknown;
  readonly shard: number | undefined;
}

export class Ledger<T> {
  engine: T;
  readonly #process: SimProcess;
  readonly #create: (clock: Clock) => T;
  readonly #clock: Clock;
  readonly #born: Moment;
  #history: Write<T>[] = [];
  #safe = 0;
  /** The past that is gone through again. */
  #at: Moment | undefined;

  /** `create`: an empty engine. Its methods act before they return. */
  constructor(process: SimProcess, create: (clock: Clock) => T) {
    this.#process = process;
    this.#create = create;
    this.#born = { now: process.now(), monotonic: process.monotonic() };
    this.#clock = {
      now: () => this.#at?.now ?? process.now(),
      monotonic: () => this.#at?.monotonic ?? process.monotonic(),
      after: (ms, run) => process.after(ms, run),
      every: (ms, run) => process.every(ms, run),
      clear: (timer) => process.clear(timer),
      soon: (run) => process.soon(run),
      random: () => process.random(),
      randomBytes: (length) => process.randomBytes(length),
    };
    this.engine = create(this.#clock);
  }

  /** Executes a write now, and remembers it. */
  write<R>(run: (engine: T) => Promise<R>, shard?: number): Promise<R> {
    const { now, monotonic } = { now: this.#process.now(), monotonic: this.#process.monotonic() };
    this.#history.push({ now, monotonic, run, shard });
    return run(this.engine);
  }

  /** The newest writes are gone, of one shard or of all. Returns how many were lost. */
  failover(writes: number, shard?: number): number {
    let lost = 0;
    const kept: Write<T>[] = [];
    for (let at = this.#history.length - 1; at >= 0; at--) {
      const write = this.#history[at] as Write<T>;
      const affected = shard === undefined || write.shard === shard;
      if (at >= this.#safe && affected && lost < writes) lost++;
      else kept.push(write);
    }
    this.#history = kept.reverse();
    this.#at = this.#born;
    this.engine = this.#create(this.#clock);
    for (const write of this.#history) {
      this.#at = write;
      write.run(this.engine);
    }
    this.#at = undefined;
    return lost;
  }

  /** Writes from now on may be lost; those before are safe. */
  settle(): void {
    this.#safe = this.#history.length;
  }
}
