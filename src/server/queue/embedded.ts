// The queue of one process: the store is the log, so accept and apply are one durable step and nothing is kept here but what
// waits for it, bounded in bytes. What waits is handed out in batches: while one is applied the next one gathers, and while
// one is notified the next is applied. A batch whose outcome is unknown is applied again under the same ids (apply is a
// no-op for what is there already) until it is known; no later record is given an id that could overtake it.

import { type ErrorCode, ImgoError } from '../../protocol/errors.js';
import { type MessageId, ZERO_ID } from '../../protocol/ids.js';
import { type Clock, pause } from '../clock.js';
import { BUCKETS, type IdentifiedRecord, type PushRecord } from '../store/buckets.js';
import {
  type Accepted,
  type AssignedHandler,
  type BatchHandler,
  EPHEMERAL_MAX_AGE_MS,
  type EphemeralRecord,
  type Queue,
  type QueueBatch,
  type QueueStats,
  type RecordOutcome,
} from './queue.js';

/** What a waiting record costs beside its payload and names: objects, promise, id. Bytes, rounded up. */
const RECORD_OVERHEAD = 512;

/** Between two tries of a batch whose outcome is unknown: doubled each time, within these. Milliseconds. */
const RETRY_MIN_MS = 20;
const RETRY_MAX_MS = 1_000;

export interface EmbeddedQueueOptions {
  /** Of the store's history (Buckets.epoch): n starts at 1 within it. */
  readonly epoch: number;
  readonly clock: Clock;
  /** Above it `accept` is refused with `overloaded`. Bytes, of everything that is not applied yet. */
  readonly maxWaitingBytes: number;
  readonly maxBatchRecords?: number;
  readonly maxBatchBytes?: number;
  /** Batches that were applied and are still being notified. */
  readonly maxNotifying?: number;
  /** The callers of a batch that cannot be settled are told `outcome_unknown` after this long. It is tried on. */
  readonly unknownAfterMs?: number;
}

/** A record that waits, and its caller. */
interface Waiting {
  readonly record: PushRecord | EphemeralRecord;
  readonly bytes: number;
  readonly since: number;
  readonly resolve: (accepted: Accepted) => void;
  readonly reject: (error: ImgoError) => void;
}

interface Batch {
  readonly records: readonly IdentifiedRecord[];
  /** Same order. */
  readonly waiting: readonly Waiting[];
  ephemeral: readonly EphemeralRecord[];
  readonly bytes: number;
  readonly since: number;
  attempt: number;
  /** The callers have their answers. */
  answered: boolean;
  applied: boolean;
}

export function createEmbeddedQueue(options: EmbeddedQueueOptions): Queue {
  return new EmbeddedQueue(options);
}

class EmbeddedQueue implements Queue {
  readonly #clock: Clock;
  readonly #epoch: number;
  readonly #maxWaitingBytes: number;
  readonly #maxBatchRecords: number;
  readonly #maxBatchBytes: number;
  readonly #maxNotifying: number;
  readonly #unknownAfterMs: number;
  #n = 0;
  #waiting: Waiting[] = [];
  /** Everything not applied: waiting, and in the batch at hand. */
  #bytes = 0;
  #current: Batch | undefined;
  /** Applied, but the handler failed afterwards: handed out again before anything new. */
  readonly #again: Batch[] = [];
  readonly #notifying = new Set<Promise<void>>();
  #wake: (() => void) | undefined;
  #consuming: Promise<void> | undefined;
  readonly #stop = new AbortController();
  #accepted = 0;
  readonly #refused: Record<string, number> = {};
  readonly #dropped: Record<string, number> = {};

  constructor(options: EmbeddedQueueOptions) {
    this.#clock = options.clock;
    this.#epoch = options.epoch;
    this.#maxWaitingBytes = options.maxWaitingBytes;
    this.#maxBatchRecords = options.maxBatchRecords ?? 4_096;
    this.#maxBatchBytes = options.maxBatchBytes ?? 2 * 1024 * 1024;
    this.#maxNotifying = options.maxNotifying ?? 8;
    this.#unknownAfterMs = options.unknownAfterMs ?? 5_000;
  }

  accept(record: PushRecord): Promise<Accepted> {
    return new Promise((resolve, reject) => {
      this.#enqueue(record, resolve, reject);
    });
  }

  acceptEphemeral(record: EphemeralRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#enqueue(record, () => resolve(), reject);
    });
  }

  consume(handler: BatchHandler, signal: AbortSignal, assigned?: AssignedHandler): Promise<void> {
    if (this.#consuming !== undefined) {
      return Promise.reject(new ImgoError('internal', { detail: 'the queue has a consumer already' }));
    }
    const stop = () => {
      this.#stop.abort();
      this.#wakeUp();
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    this.#consuming = this.#run(handler, assigned).finally(() => signal.removeEventListener('abort', stop));
    return this.#consuming;
  }

  stats(): QueueStats {
    const oldest = this.#current?.since ?? this.#waiting[0]?.since;
    return {
      waiting: this.#waiting.length + (this.#current?.waiting.length ?? 0),
      waitingBytes: this.#bytes,
      oldestMs: oldest === undefined ? 0 : this.#clock.monotonic() - oldest,
      accepted: this.#accepted,
      refused: { ...this.#refused },
      dropped: { ...this.#dropped },
    };
  }

  /** Takes nothing new, finishes what waits, as far as the store lets it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#wakeUp();
    await this.#consuming;
    this.#refuseWaiting();
  }

  #enqueue(
    record: PushRecord | EphemeralRecord,
    resolve: (accepted: Accepted) => void,
    reject: (error: ImgoError) => void,
  ): void {
    const bytes = record.payload.byteLength + 2 * record.log.length + RECORD_OVERHEAD;
    if (this.#stop.signal.aborted) {
      this.#refuse(reject, new ImgoError('shutting_down'));
    } else if (this.#bytes + bytes > this.#maxWaitingBytes) {
      this.#refuse(reject, new ImgoError('overloaded', { reason: 'pushes that wait' }));
    } else {
      this.#bytes += bytes;
      this.#waiting.push({ record, bytes, since: this.#clock.monotonic(), resolve, reject });
      if (this.#wake !== undefined) this.#wakeUp();
    }
  }

  #refuse(reject: (error: ImgoError) => void, error: ImgoError): void {
    count(this.#refused, error.code);
    reject(error);
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    // In the next turn: what arrives in this one shares the batch.
    if (wake !== undefined) this.#clock.soon(wake);
  }

  async #run(handler: BatchHandler, assigned: AssignedHandler | undefined): Promise<void> {
    await this.#assign(assigned);
    while (
      !this.#stop.signal.aborted ||
      this.#waiting.length > 0 ||
      this.#again.length > 0 ||
      this.#notifying.size > 0
    ) {
      const batch = this.#again.shift() ?? this.#take();
      if (batch !== undefined) await this.#settle(batch, handler);
      else if (this.#stop.signal.aborted) await Promise.race(this.#notifying);
      else await this.#somethingWaits();
      while (this.#notifying.size >= this.#maxNotifying) await Promise.race(this.#notifying);
    }
    this.#refuseWaiting();
  }

  async #assign(assigned: AssignedHandler | undefined): Promise<void> {
    const buckets = Array.from({ length: BUCKETS }, (_, bucket) => bucket);
    for (let wait = RETRY_MIN_MS; assigned !== undefined; wait = Math.min(wait * 2, RETRY_MAX_MS)) {
      try {
        await assigned(0, buckets);
        return;
      } catch {
        if (this.#stop.signal.aborted) return;
        await pause(this.#clock, wait, this.#stop.signal);
      }
    }
  }

  #somethingWaits(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Everything that waits, up to the limits of a batch, under its ids. */
  #take(): Batch | undefined {
    const first = this.#waiting[0];
    if (first === undefined) return undefined;
    const waiting: Waiting[] = [];
    const records: IdentifiedRecord[] = [];
    const ephemeral: EphemeralRecord[] = [];
    const staleBefore = this.#clock.now() - EPHEMERAL_MAX_AGE_MS;
    let taken = 0;
    let bytes = 0;
    for (const entry of this.#waiting) {
      if (taken > 0 && (taken >= this.#maxBatchRecords || bytes + entry.bytes > this.#maxBatchBytes)) break;
      taken++;
      bytes += entry.bytes;
      if ('ephemeral' in entry.record) {
        if (entry.record.acceptedAt < staleBefore) count(this.#dropped, 'ephemeral_stale');
        else ephemeral.push(entry.record);
        entry.resolve({ id: ZERO_ID, duplicate: false });
      } else {
        this.#n++;
        records.push({ ...entry.record, id: { epoch: this.#epoch, n: this.#n } });
        waiting.push(entry);
      }
    }
    this.#waiting = taken === this.#waiting.length ? [] : this.#waiting.slice(taken);
    return { records, waiting, ephemeral, bytes, since: first.since, attempt: 0, answered: false, applied: false };
  }

  /** Hands the batch out until it is applied or certainly refused. Its notification goes on behind. */
  async #settle(batch: Batch, handler: BatchHandler): Promise<void> {
    if (!batch.applied) this.#current = batch;
    const startedAt = this.#clock.monotonic();
    for (let wait = RETRY_MIN_MS; ; wait = Math.min(wait * 2, RETRY_MAX_MS)) {
      const failure = await this.#handOut(batch, handler);
      if (failure === undefined) break;
      // A second attempt that the store refuses does not say what became of the first.
      const certain = batch.attempt === 1 && !batch.applied && isRefusal(failure);
      if (certain) {
        this.#reject(batch, failure);
        break;
      }
      const stopping = this.#stop.signal.aborted;
      if (stopping || this.#clock.monotonic() - startedAt >= this.#unknownAfterMs) {
        this.#reject(batch, new ImgoError('outcome_unknown', {}, { cause: failure }));
        if (stopping) break;
      }
      await pause(this.#clock, wait, this.#stop.signal);
    }
    if (this.#current === batch) {
      this.#current = undefined;
      this.#bytes -= batch.bytes;
    }
  }

  /** One call of the handler. Resolves when the batch is applied (or done), or with why it is not. */
  #handOut(batch: Batch, handler: BatchHandler): Promise<Error | undefined> {
    batch.attempt++;
    return new Promise((resolve) => {
      let appliedNow = false;
      const handed: QueueBatch = {
        partition: 0,
        records: batch.records,
        ephemeral: batch.ephemeral,
        attempt: batch.attempt,
        applied: (results) => {
          appliedNow = true;
          this.#answer(batch, results);
          batch.applied = true;
          resolve(undefined);
        },
      };
      const failed = (error: Error): void => {
        // After `applied` the loop is with the next batch already: this one comes again.
        if (appliedNow && !this.#stop.signal.aborted) this.#again.push(batch);
        // Told once: nobody waits for it, and a second time it would not be known for the first.
        batch.ephemeral = [];
        resolve(error);
        if (this.#wake !== undefined) this.#wakeUp();
      };
      const done = handler(handed).then(
        (seek) => {
          // This store cannot be sought: the marks are where it says, and the batch is applied upon them.
          if (seek !== undefined) return failed(new Error('the store lost writes'));
          if (!appliedNow && batch.records.length > 0) return failed(new Error('the batch was not applied'));
          resolve(undefined);
        },
        (error: unknown) => failed(error instanceof Error ? error : new Error(String(error))),
      );
      const tracked: Promise<void> = done.finally(() => this.#notifying.delete(tracked));
      this.#notifying.add(tracked);
    });
  }

  #answer(batch: Batch, results: readonly RecordOutcome[]): void {
    if (batch.answered) return;
    batch.answered = true;
    for (const [index, waiting] of batch.waiting.entries()) {
      const record = batch.records[index];
      const outcome = results[index];
      const verdict =
        record === undefined || outcome === undefined ? new ImgoError('outcome_unknown') : answerFor(record, outcome);
      if (verdict instanceof ImgoError) {
        this.#refuse(waiting.reject, verdict);
      } else {
        this.#accepted++;
        waiting.resolve(verdict);
      }
    }
  }

  #reject(batch: Batch, error: ImgoError): void {
    if (batch.answered) return;
    batch.answered = true;
    for (const waiting of batch.waiting) this.#refuse(waiting.reject, error);
  }

  #refuseWaiting(): void {
    for (const waiting of this.#waiting) {
      this.#bytes -= waiting.bytes;
      this.#refuse(waiting.reject, new ImgoError('shutting_down'));
    }
    this.#waiting = [];
  }
}

/** What the caller of one record is told. */
function answerFor(record: IdentifiedRecord, outcome: RecordOutcome): Accepted | ImgoError {
  switch (outcome.kind) {
    case 'appended':
    case 'repeated':
      return { id: record.id, duplicate: false };
    case 'duplicate':
      return { id: outcome.id, duplicate: true };
    case 'mismatch':
      return new ImgoError('idempotency_mismatch');
    case 'idempotency_full':
      return new ImgoError('idempotency_full');
    case 'gone':
      // Applied by an earlier attempt. Without a key it was appended, and trimmed since; with one it may have been a
      // duplicate or a mismatch: repeating it tells.
      return record.idempotency === undefined ? acceptedAs(record.id) : new ImgoError('outcome_unknown');
    case 'poison':
      return new ImgoError('internal', { detail: 'the store cannot keep this message' });
  }
}

/** What the store says when it certainly did not write. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['store_full', 'store_failed', 'overloaded']);

function acceptedAs(id: MessageId): Accepted {
  return { id, duplicate: false };
}

function isRefusal(error: Error): error is ImgoError {
  return error instanceof ImgoError && REFUSALS.has(error.code);
}

function count(counters: Record<string, number>, name: string): void {
  counters[name] = (counters[name] ?? 0) + 1;
}
