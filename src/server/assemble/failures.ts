// What fails again and again for one reason is logged when it begins, and now and then.

import type { Logger } from 'pino';
import type { Clock } from '../clock.js';

const AGAIN_MS = 30_000;

export class Failures {
  readonly #clock: Clock;
  readonly #log: Pick<Logger, 'warn'>;
  readonly #message: string;
  #reason = '';
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, log: Pick<Logger, 'warn'>, message: string) {
    this.#clock = clock;
    this.#log = log;
    this.#message = message;
  }

  report(error: unknown): void {
    const reason = String(error);
    const now = this.#clock.monotonic();
    if (reason === this.#reason && now - this.#loggedAt < AGAIN_MS) return;
    this.#reason = reason;
    this.#loggedAt = now;
    this.#log.warn({ error: reason }, this.#message);
  }

  /** It works. */
  over(): void {
    this.#reason = '';
  }
}
