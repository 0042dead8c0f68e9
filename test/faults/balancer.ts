// What stands before the logics, as a load balancer would: it asks each whether it lives, and sends callers to those that do.
// Whether a logic can do what it is asked, it has to say itself.
import { setTimeout as wait } from 'node:timers/promises';
import { call } from '../harness/pusher.js';

const EVERY_MS = 500;
const ANSWER_MS = 1_000;

export class Balancer implements AsyncDisposable {
  readonly #addresses: readonly string[];
  readonly #dead = new Set<string>();
  readonly #stop = new AbortController();
  readonly #watching: Promise<unknown>;

  /** `addresses`: base addresses of logics. */
  constructor(addresses: readonly string[]) {
    this.#addresses = addresses;
    this.#watching = Promise.all(addresses.map((address) => this.#watch(address)));
  }

  /** Those that answer; all, where none does. */
  get alive(): readonly string[] {
    const alive = this.#addresses.filter((address) => !this.#dead.has(address));
    return alive.length > 0 ? alive : this.#addresses;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  async #watch(address: string): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const answer = await call(`${address}/healthz`, 'GET', undefined, {}, ANSWER_MS).catch(() => undefined);
      if (answer?.status === 200) this.#dead.delete(address);
      else this.#dead.add(address);
      await wait(EVERY_MS);
    }
  }
}
