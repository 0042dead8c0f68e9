// What became of pushes with an idempotency key: another process applies them, and the store tells. Once the mark of a
// record's bucket has reached its id the key names the message that it stands for, or a note says that it was put aside. Asked
// for all that wait at once, the more seldom the longer nothing happens.

import { ImgoError } from '../../../protocol/errors.js';
import { compareIds, type MessageId } from '../../../protocol/ids.js';
import { type Clock, pause } from '../../clock.js';
import { bucketOf } from '../../store/bucket.js';
import type { Buckets, Idempotency, KeyUse, PushRecord } from '../../store/buckets.js';
import type { Accepted } from '../queue.js';
import type { AsideNotes } from './options.js';

/** Between two looks, ms. */
const LOOK_MIN_MS = 3;
const LOOK_MAX_MS = 50;

const ASIDE = 'the store cannot keep this message; it is among the dead letters';

interface Waiting {
  readonly record: PushRecord & { readonly idempotency: Idempotency };
  readonly bucket: number;
  readonly id: MessageId;
  /** Monotonic ms. */
  readonly until: number;
  readonly resolve: (accepted: Accepted) => void;
  readonly reject: (error: ImgoError) => void;
}

export interface AnswersParts {
  readonly answers: Pick<Buckets, 'marks' | 'keyUses'>;
  readonly asides: Pick<AsideNotes, 'has'>;
  readonly clock: Clock;
  readonly answerMs: number;
}

export class Answers {
  readonly #store: Pick<Buckets, 'marks' | 'keyUses'>;
  readonly #asides: Pick<AsideNotes, 'has'>;
  readonly #clock: Clock;
  readonly #answerMs: number;
  #waiting = new Set<Waiting>();
  #looking = false;
  readonly #stop = new AbortController();

  constructor({ answers, asides, clock, answerMs }: AnswersParts) {
    this.#store = answers;
    this.#asides = asides;
    this.#clock = clock;
    this.#answerMs = answerMs;
  }

  /**
   * The answer for a record that is in the topic under `id`.
   * @throws ImgoError idempotency_mismatch, idempotency_full, outcome_unknown, internal: it was put aside
   */
  of(record: Waiting['record'], id: MessageId): Promise<Accepted> {
    return new Promise((resolve, reject) => {
      const until = this.#clock.monotonic() + this.#answerMs;
      this.#waiting.add({ record, bucket: bucketOf(record.log), id, until, resolve, reject });
      if (!this.#looking) void this.#look();
    });
  }

  /** Who still waits is told that the outcome is unknown. */
  stop(): void {
    this.#stop.abort();
    for (const waiting of this.#waiting) this.#settle(waiting, new ImgoError('outcome_unknown'));
  }

  async #look(): Promise<void> {
    this.#looking = true;
    let wait = LOOK_MIN_MS;
    while (this.#waiting.size > 0) {
      await pause(this.#clock, wait, this.#stop.signal);
      const before = this.#waiting.size;
      // A store that is away answers later, or nobody does in time.
      await this.#ask().catch(() => undefined);
      this.#expire();
      wait = this.#waiting.size < before ? LOOK_MIN_MS : Math.min(wait * 1.5, LOOK_MAX_MS);
    }
    this.#looking = false;
  }

  async #ask(): Promise<void> {
    const reached = await this.#reached([...this.#waiting]);
    if (reached.length === 0) return;
    const uses = await this.#store.keyUses(
      reached.map(({ record: { log, idempotency } }) => ({ log, scope: idempotency.scope, key: idempotency.key })),
    );
    const unused: Waiting[] = [];
    for (const [index, waiting] of reached.entries()) {
      const use = uses[index];
      if (use === undefined) unused.push(waiting);
      else this.#settle(waiting, verdictOf(waiting, use));
    }
    const aside = await Promise.all(unused.map(({ record: { log }, id }) => this.#asides.has({ log, id })));
    // Unless writes were lost in between, which puts the mark back with the key, it was applied and got none.
    const full = new Set(await this.#reached(unused));
    for (const [index, waiting] of unused.entries()) {
      if (aside[index] === true) this.#settle(waiting, new ImgoError('internal', { detail: ASIDE }));
      else if (full.has(waiting)) this.#settle(waiting, new ImgoError('idempotency_full'));
    }
  }

  /** Those that are applied. */
  async #reached(waiting: readonly Waiting[]): Promise<readonly Waiting[]> {
    if (waiting.length === 0) return [];
    const buckets = [...new Set(waiting.map(({ bucket }) => bucket))];
    const marks = await this.#store.marks(buckets);
    const byBucket = new Map(buckets.map((bucket, index) => [bucket, marks[index]]));
    return waiting.filter(({ bucket, id }) => {
      const mark = byBucket.get(bucket);
      return mark !== undefined && compareIds(mark, id) >= 0;
    });
  }

  #expire(): void {
    const now = this.#clock.monotonic();
    for (const waiting of this.#waiting) {
      if (waiting.until > now) break;
      this.#settle(waiting, new ImgoError('outcome_unknown'));
    }
  }

  #settle(waiting: Waiting, verdict: Accepted | ImgoError): void {
    if (!this.#waiting.delete(waiting)) return;
    if (verdict instanceof ImgoError) waiting.reject(verdict);
    else waiting.resolve(verdict);
  }
}

function verdictOf({ record, id }: Waiting, use: KeyUse): Accepted | ImgoError {
  if (use.bodyHash !== record.idempotency.bodyHash) return new ImgoError('idempotency_mismatch');
  return { id: use.id, duplicate: compareIds(use.id, id) !== 0 };
}
