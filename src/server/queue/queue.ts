/**
 * The Queue contract: what was accepted and is not yet applied. Engines: embedded (the store is the log: accept and apply
 * are one durable step) and Kafka. Proved by test/conformance/queue.ts.
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

/** Ephemeral records older than this are not worth delivering any more (delivery.md section 3). Milliseconds. */
export const EPHEMERAL_MAX_AGE_MS = 5_000;

/** Never stored (`ttl: 0`): reaches who is connected. */
export interface EphemeralRecord extends Omit<PushRecord, 'expiresAt' | 'idempotency'> {
  readonly ephemeral: true;
}

export interface QueueBatch {
  readonly partition: number;
  /** In id order; several buckets mixed. */
  readonly records: readonly IdentifiedRecord[];
  /** Handed out once: a batch that comes again has none. */
  readonly ephemeral: readonly EphemeralRecord[];
  /** 1, and one more each time that this batch is handed out again. */
  readonly attempt: number;
  /**
   * Engines that commit positions: everything up to here is handed out, and when the handler resolves this position is
   * committed. The handler moves the marks of all `buckets` of the partition to it first. Such engines also hand out batches
   * without records now and then: a store that lost writes is noticed only by touching its buckets.
   */
  readonly commit?: { readonly upTo: MessageId; readonly buckets: readonly number[] };
  /** The handler calls this as soon as apply is durable, before it notifies: results in the order of `records`. */
  applied(results: readonly RecordOutcome[]): void;
}

/** `poison`: the store works, but not with this record; it was put aside and blocks nobody. */
export type RecordOutcome = ApplyResult | { readonly kind: 'poison' };

/** The store lost writes: hand everything after `to` out again; never after this batch's first record. Nothing of it is committed. */
export interface Seek {
  readonly kind: 'seek';
  readonly to: MessageId;
}

/**
 * Resolves with undefined when the batch may be committed: applied, and every comet concerned was told or excused.
 * Until `applied` was called no other batch of the partition is handed out; after it the next one may be, before this
 * handler resolves. Rejecting with `store_full`, `store_failed` or `overloaded` before `applied`, at the first attempt, refuses the batch
 * where the engine can (nothing of it was appended); any other rejection has it handed out again.
 */
export type BatchHandler = (batch: QueueBatch) => Promise<Seek | undefined>;

/**
 * A partition was given to this consumer. Resolves with the lowest mark of its buckets. Reading starts after that mark or
 * after what was committed, whichever is lower: a mark below means that the store lost writes, a commit below means that a
 * job died between apply and notify, and both must be repeated.
 */
export type AssignedHandler = (partition: number, buckets: readonly number[]) => Promise<MessageId>;

export interface Queue extends AsyncDisposable {
  /**
   * With an idempotency key it resolves only when the record was applied, whoever applies it.
   * @throws ImgoError idempotency_mismatch, idempotency_full, store_full, store_failed, overloaded, shutting_down,
   * outcome_unknown, kafka_unreachable, kafka_topic_changed
   */
  accept(record: PushRecord): Promise<Accepted>;
  /** Resolves when the record is in the hands of a job. */
  acceptEphemeral(record: EphemeralRecord): Promise<void>;
  /** Starts handing out batches. One handler a process. Resolves when `signal` aborted and the last batch is done. */
  consume(handler: BatchHandler, signal: AbortSignal, assigned?: AssignedHandler): Promise<void>;
  stats(): QueueStats;
}

export interface QueueStats {
  readonly waiting: number;
  readonly waitingBytes: number;
  /** Age of the oldest record that waits, ms. */
  readonly oldestMs: number;
  readonly accepted: number;
  readonly refused: Readonly<Record<string, number>>;
  /** Ephemeral records that were dropped, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Accepted by anybody and not yet committed by a job, records; undefined where accepting is applying. */
  readonly lag?: number;
  /** Of the engine, monotonic; the names are metric names without prefix. */
  readonly counters?: Readonly<Record<string, number>>;
}

/**
 * What makes the topic of a queue outside this process this one and no other: the store remembers it with the epoch of the ids
 * that came from it.
 */
export interface TopicIdentity {
  /** Its name, for messages: another one of the same name is another topic. */
  readonly topic: string;
  readonly clusterId: string;
  /** A uuid in base64url, as Kafka's own tools print it. */
  readonly topicId: string;
  readonly partitions: number;
}
