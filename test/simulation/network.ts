// Calls between processes: late, out of order, executed with the answer lost, or not executed at all. A call to a process
// that dies fails; a call to one that is paused waits until its deadline, and may be executed after it.

import { ImgoError } from '../../src/protocol/errors.js';
import type { Scheduler, SimProcess } from './scheduler.js';

export interface NetworkOptions {
  readonly minMs: number;
  readonly maxMs: number;
  /** How long a caller waits for an answer. */
  readonly deadlineMs: number;
}

export class Network {
  /** Probability that a request, or an answer, is lost. 0 when the network is well. */
  loss = 0;
  /** Probability that a message takes ten times as long. */
  delays = 0;
  readonly #scheduler: Scheduler;
  readonly #options: NetworkOptions;

  constructor(scheduler: Scheduler, options: NetworkOptions) {
    this.#scheduler = scheduler;
    this.#options = options;
  }

  latency(): number {
    const { minMs, maxMs } = this.#options;
    return this.#scheduler.between(minMs, maxMs) * (this.#scheduler.chance(this.delays) ? 10 : 1);
  }

  /** A call that may take long, and fails only when `to` dies. */
  lossless<T>(from: SimProcess, to: SimProcess, run: () => T | Promise<T>): Promise<T> {
    const { loss } = this;
    this.loss = 0;
    try {
      return this.call(from, to, run, Number.POSITIVE_INFINITY);
    } finally {
      this.loss = loss;
    }
  }

  /** Rejects with `outcome_unknown` when no answer came; `run` may have been executed all the same. */
  call<T>(
    from: SimProcess,
    to: SimProcess,
    run: () => T | Promise<T>,
    deadlineMs = this.#options.deadlineMs,
  ): Promise<T> {
    const loss = this.loss;
    return new Promise((resolve, reject) => {
      const scheduler = this.#scheduler;
      let settled = false;
      const settle = (act: () => void): void => {
        if (settled) return;
        settled = true;
        from.clear(deadline);
        to.onDeath.delete(broken);
        act();
      };
      const fail = (): void => settle(() => reject(new ImgoError('outcome_unknown')));
      const deadline = Number.isFinite(deadlineMs) ? from.after(deadlineMs, fail) : undefined;
      const broken = (): void => {
        scheduler.schedule(from, this.latency(), fail);
      };
      if (to.state === 'dead') {
        broken();
        return;
      }
      to.onDeath.add(broken);
      if (scheduler.chance(loss)) return;
      const answer = (act: () => void): void => {
        if (!scheduler.chance(loss)) scheduler.schedule(from, this.latency(), () => settle(act));
      };
      scheduler.schedule(to, this.latency(), () => {
        Promise.resolve()
          .then(run)
          .then(
            (value) => answer(() => resolve(value)),
            (error: unknown) => answer(() => reject(error)),
          );
      });
    });
  }
}
