/**
 * The Queue contract: what was accepted and is not yet applied. Engines: embedded (the store is the log: accept and apply
 * are one durable step), later Kafka. Proved by test/conformance/queue.ts.
 *
 * - A push has three outcomes: accepted (the promise resolves), refused (rejects with an ImgoError whose code is not
 *   `outcome_unknown`: certainly not appended), unknown (rejects with `outcome_unknown`).
 * - Records of one bucket are consumed in the order of their ids; ids of one log increase strictly and are never reused.
 * - A batch is handed out again (to this or another consumer) unless its handler resolved: at least once.
 * - What waits inside is bounded in bytes; above the bound `accept` is refused with `overloaded`.
 */
import type { MessageId } from '../../protocol/ids.js';
import type { ApplyResult, IdentifiedRecord, PushRecord } from '../store/buckets.js';

export interface Accepted {
  /** For an idempotency key used before: the id that the first push got. */
  readonly id: MessageId;
  /** The idempotency key had been used before with the same body. */
  readonly duplicate: boolean;
}

/** Never stored (`ttl: 0`): reaches who is connected. */
export interface EphemeralRecord extends Omit<PushRecord, 'expiresAt' | 'idempotency'> {
  readonly ephemeral: true;
}

export interface QueueBatch {
  readonly partition: number;
  /** In id order; several buckets mixed. */
  readonly records: readonly IdentifiedRecord[];
  readonly ephemeral: readonly EphemeralRecord[];
  /** The handler calls this as soon as apply is durable, before it notifies: results in the order of `records`. */
  applied(results: readonly ApplyResult[]): void;
}

/** Resolves when the batch may be committed: applied, and every comet concerned was told. */
export type BatchHandler = (batch: QueueBatch) => Promise<void>;

export interface Queue extends AsyncDisposable {
  /** @throws ImgoError idempotency_mismatch, idempotency_full, store_full, overloaded, outcome_unknown */
  accept(record: PushRecord): Promise<Accepted>;
  /** Resolves when the record is in the hands of a job. */
  acceptEphemeral(record: EphemeralRecord): Promise<void>;
  /** Starts handing out batches. One handler a process. Resolves when `signal` aborted and the last batch is done. */
  consume(handler: BatchHandler, signal: AbortSignal): Promise<void>;
  stats(): QueueStats;
}

export interface QueueStats {
  readonly waiting: number;
  readonly waitingBytes: number;
  /** Age of the oldest record that waits, ms. */
  readonly oldestMs: number;
  readonly accepted: number;
  readonly refused: Readonly<Record<string, number>>;
}
