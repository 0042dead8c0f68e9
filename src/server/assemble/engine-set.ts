// What logics and jobs work with, whichever engines these are, and what opening them needs.

import type { Logger } from 'pino';
import type { Clock } from '../clock.js';
import type { JobOptions } from '../job/job.js';
import type { Queue } from '../queue/queue.js';
import type { Registry } from '../router/registry.js';
import type { Buckets } from '../store/buckets.js';
import type { Credentials } from '../store/credentials.js';

/** What logics and jobs work with. */
export interface Engines extends Pick<JobOptions, 'deadLetter'> {
  readonly buckets: Buckets;
  readonly credentials: Credentials;
  readonly registry: Registry;
  readonly queue: Queue;
  /** Codes of what they cannot do now, beyond what the store's health says. */
  readonly problems?: () => readonly string[];
}

export interface EnginesOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly version: string;
  readonly leaseMs: number;
  /** What brokers log this process as. */
  readonly name: string;
  /** Ends the wait for what cannot be reached. */
  readonly signal: AbortSignal;
  /** The time of the store, wall ms, where that is another machine's; it was asked at `askedAt`, monotonic ms. */
  readonly onTime?: ((said: number, askedAt: number) => void) | undefined;
  /** Code of what is waited for; undefined: nothing any more. */
  readonly onWaiting: (code: string | undefined) => void;
}
