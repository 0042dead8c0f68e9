// Repeating a push: only with an idempotency key, because only then a message that was taken after all cannot be delivered
// twice. Waits grow, obey the server, and end.

import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { ImgoError } from '../../protocol/errors.js';
import type { Output } from '../output.js';

/** How long a push with a key goes on trying: longer than a restart takes. */
const RETRY_FOR_MS = 60_000;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 2_000;

/** `auto` is a key of its own; anything else is the key. */
export function idempotencyKey(flag: string | undefined): string | undefined {
  if (flag === 'auto') return randomUUID();
  if (flag !== undefined && !/^[\x21-\x7e]{1,100}$/.test(flag)) {
    throw new ImgoError('idempotency_key_invalid', { detail: '1 to 100 visible ASCII characters' });
  }
  return flag;
}

/** The waits between attempts. `next` resolves to false when there will be no other. */
export class Retries {
  readonly #signal: AbortSignal | undefined;
  #waitMs = FIRST_WAIT_MS;
  #since: number | undefined;

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Nothing went wrong since the last success. */
  get isFirst(): boolean {
    return this.#since === undefined;
  }

  /** Something went well: trying may take its full time again. */
  reset(): void {
    this.#waitMs = FIRST_WAIT_MS;
    this.#since = undefined;
  }

  async next(): Promise<boolean> {
    const now = performance.now();
    this.#since ??= now;
    if (isAborted(this.#signal) || now - this.#since > RETRY_FOR_MS) return false;
    // Between half and all of it, so that many of these do not come back at once.
    const ms = this.#waitMs * (0.5 + Math.random() / 2);
    this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
    await wait(ms, undefined, this.#signal === undefined ? {} : { signal: this.#signal }).catch(() => undefined);
    return !isAborted(this.#signal);
  }
}

/** Says, once an outage, that there will be other attempts and for how long. */
export function tellRetry(retries: Retries, error: ImgoError, output: Output): void {
  if (!retries.isFirst) return;
  output.note(`${error.message} Trying again with the same key, for up to ${RETRY_FOR_MS / 1_000} s.`);
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}
