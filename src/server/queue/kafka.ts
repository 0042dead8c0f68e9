// The queue of roles apart: a topic of Kafka. Accepting is appending, acknowledged by all replicas; a record's id is its
// offset in the epoch that the store has for this very topic. Jobs are members of a consumer group. The parts are in kafka/:
// what a record says (format.ts), sending (producer.ts), reading (consumer.ts, claim.ts), the topic itself (topic.ts).

import type { Admin } from 'kafkajs';
import { ImgoError } from '../../protocol/errors.js';
import { ZERO_ID } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import type { IdentifiedRecord, PushRecord } from '../store/buckets.js';
import { Answers } from './kafka/answers.js';
import { KafkaClient } from './kafka/client.js';
import { Consumer } from './kafka/consumer.js';
import { DeadLetters } from './kafka/dead-letters.js';
import type { Cluster } from './kafka/internals.js';
import type { KafkaQueueOptions } from './kafka/options.js';
import { aloneBytes } from './kafka/outbox.js';
import { readCommitted, readEnds } from './kafka/positions.js';
import { Producer } from './kafka/producer.js';
import { RecordReader } from './kafka/reader.js';
import { identify, type OpenedTopic, openTopic, sameTopic } from './kafka/topic.js';
import type {
  Accepted,
  AssignedHandler,
  BatchHandler,
  EphemeralRecord,
  Queue,
  QueueStats,
  TopicIdentity,
} from './queue.js';

/** What a waiting record costs beside its payload and names. Bytes, rounded up. */
const RECORD_OVERHEAD = 512;
const DEFAULTS = {
  maxLag: 1_000_000,
  deliveryMs: 8_000,
  answerMs: 8_000,
  commitMs: 2_000,
  idleMs: 5_000,
  watchMs: 2_000,
} as const;
/** So often no topic of the name is found before it counts as deleted. */
const GONE_LOOKS = 3;
/** Looks that failed before it is said: a leader that moves fails one. */
const AWAY_LOOKS = 2;

export interface KafkaQueue extends Queue {
  readonly epoch: number;
  readonly identity: TopicIdentity;
  /** What the operator of the topic should know. */
  readonly warnings: readonly string[];
  /** Why nothing is accepted now, whatever the push. */
  readonly trouble: ImgoError | undefined;
  /** That, or why the topic cannot be looked at: a job sends nothing, and is as idle without brokers. */
  readonly problem: ImgoError | undefined;
  /** Keeps a record that the store cannot, in the topic of dead letters. */
  deadLetter(record: IdentifiedRecord, cause: unknown): Promise<void>;
}

/**
 * Connects, makes the topic if need be, checks it, and asks the store for the epoch of its ids.
 * @throws ImgoError kafka_unreachable, kafka_refused, kafka_tls, kafka_topic, kafka_unusable, kafka_topic_changed
 */
export async function createKafkaQueue(options: KafkaQueueOptions): Promise<KafkaQueue> {
  const { topic, clock } = options;
  const client = new KafkaClient(options);
  const admin = client.kafka.admin();
  const cluster = client.cluster();
  try {
    await Promise.all([admin.connect(), cluster.connect()]);
    await cluster.refreshMetadata();
    const opened = await openTopic({ client, admin, cluster, clock }, topic);
    await cluster.addTargetTopic(topic.topic);
    const epoch = await options.openHistory(opened.identity);
    return new TopicQueue(options, { client, admin, cluster, opened, epoch });
  } catch (error) {
    await Promise.allSettled([admin.disconnect(), cluster.disconnect()]);
    throw client.error(error);
  }
}

interface Opened {
  readonly client: KafkaClient;
  readonly admin: Admin;
  readonly cluster: Cluster;
  readonly opened: OpenedTopic;
  readonly epoch: number;
}

interface Pending {
  readonly bytes: number;
  /** Monotonic ms. */
  readonly since: number;
}

class TopicQueue implements KafkaQueue {
  readonly epoch: number;
  readonly identity: TopicIdentity;
  readonly warnings: readonly string[];
  readonly #options: KafkaQueueOptions & typeof DEFAULTS;
  readonly #parts: Opened;
  readonly #clock: Clock;
  readonly #producer: Producer;
  readonly #answers: Answers;
  readonly #deadLetters: DeadLetters;
  readonly #reader: RecordReader;
  readonly #watching: ReturnType<Clock['every']>;
  readonly #stop = new AbortController();
  /** In the order of their arrival. */
  readonly #pending = new Set<Pending>();
  #pendingBytes = 0;
  #consumer: Consumer | undefined;
  #consuming: Promise<void> | undefined;
  #stopping = false;
  #changed: ImgoError | undefined;
  #gone = 0;
  /** Since when looking fails, in looks, and why. */
  #unseen = 0;
  #away: ImgoError | undefined;
  #lag = 0;
  #looking = false;
  #accepted = 0;
  readonly #refused: Record<string, number> = {};

  constructor(options: KafkaQueueOptions, parts: Opened) {
    const { client, cluster, opened, epoch } = parts;
    const { clock, log } = options;
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    this.#options = { ...DEFAULTS, ...given } as KafkaQueueOptions & typeof DEFAULTS;
    this.#parts = parts;
    this.#clock = clock;
    this.epoch = epoch;
    this.identity = opened.identity;
    this.warnings = opened.warnings;
    const { topic } = options.topic;
    const { partitions } = opened.identity;
    this.#producer = new Producer({
      client,
      cluster,
      clock,
      topic,
      partitions,
      maxBatchBytes: opened.maxBatchBytes,
      deliveryMs: this.#options.deliveryMs,
      onStrange: () => this.#change(undefined),
      verify: () => this.#verify(),
    });
    this.#answers = new Answers(this.#options);
    this.#deadLetters = new DeadLetters({ client, clock, topic, partitions, log });
    this.#reader = new RecordReader({ clock, deadLetters: this.#deadLetters, epoch });
    this.#watching = clock.every(this.#options.watchMs, () => void this.#watch());
    void this.#watch();
  }

  get trouble(): ImgoError | undefined {
    return this.#changed ?? this.#producer.trouble;
  }

  get problem(): ImgoError | undefined {
    return this.trouble ?? (this.#unseen >= AWAY_LOOKS ? this.#away : undefined);
  }

  accept(record: PushRecord): Promise<Accepted> {
    const { idempotency } = record;
    return this.#send(record, (id) =>
      idempotency === undefined ? { id, duplicate: false } : this.#answers.of({ ...record, idempotency }, id),
    );
  }

  async acceptEphemeral(record: EphemeralRecord): Promise<void> {
    await this.#send(record, () => ({ id: ZERO_ID, duplicate: false }));
  }

  async consume(handler: BatchHandler, signal: AbortSignal, assigned?: AssignedHandler): Promise<void> {
    if (this.#consuming !== undefined) throw new ImgoError('internal', { detail: 'the queue has a consumer already' });
    signal.addEventListener('abort', () => {
      this.#stopping = true;
    });
    const { client, admin } = this.#parts;
    const { topic, group, clock, log, commitMs, idleMs, gap } = this.#options;
    this.#consumer = new Consumer({
      client,
      admin,
      reader: this.#reader,
      clock,
      log,
      topic: topic.topic,
      group,
      partitions: this.identity.partitions,
      epoch: this.epoch,
      commitMs,
      idleMs,
      handler,
      assigned,
      gap,
      alarm: (alarm) => this.#options.onAlarm?.(alarm),
    });
    this.#consuming = this.#consumer.run(AbortSignal.any([signal, this.#stop.signal]));
    await this.#consuming;
  }

  async deadLetter(record: IdentifiedRecord, cause: unknown): Promise<void> {
    if (record.idempotency !== undefined) await this.#options.asides.note(record);
    await this.#deadLetters.keepRecord(record, cause);
  }

  stats(): QueueStats {
    const [oldest] = this.#pending;
    const { poison, dropped } = this.#reader;
    return {
      waiting: this.#pending.size,
      waitingBytes: this.#pendingBytes,
      oldestMs: oldest === undefined ? 0 : this.#clock.monotonic() - oldest.since,
      accepted: this.#accepted,
      refused: { ...this.#refused },
      dropped: { ...dropped },
      lag: this.#lag,
      counters: {
        ...this.#producer.counters,
        ...this.#consumer?.counters,
        poison,
        dead_letters_lost: this.#deadLetters.lost,
      },
    };
  }

  /** Takes nothing new, sends what waits, as far as the brokers let it, and leaves the group. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    await this.#producer.flush();
    this.#producer.stop();
    this.#stop.abort();
    this.#answers.stop();
    await this.#consuming;
    this.#clock.clear(this.#watching);
    const { admin, cluster } = this.#parts;
    await Promise.allSettled([this.#deadLetters[Symbol.asyncDispose](), admin.disconnect(), cluster.disconnect()]);
  }

  #send(
    record: PushRecord | EphemeralRecord,
    answer: (id: { readonly epoch: number; readonly n: number }) => Accepted | Promise<Accepted>,
  ): Promise<Accepted> {
    const refusal = this.#refusal(record);
    if (refusal !== undefined) return Promise.reject(this.#count(refusal));
    const pending = { bytes: bytesOf(record), since: this.#clock.monotonic() };
    this.#pending.add(pending);
    this.#pendingBytes += pending.bytes;
    return new Promise<Accepted>((resolve, reject) => {
      const failed = (error: unknown): void => {
        this.#done(pending);
        reject(this.#count(this.#parts.client.error(error)));
      };
      this.#producer.send(record, {
        ...pending,
        failed,
        appended: (offset) => {
          const answered = answer({ epoch: this.epoch, n: offset });
          const accepted = (value: Accepted): void => {
            this.#done(pending);
            this.#accepted++;
            resolve(value);
          };
          if (answered instanceof Promise) answered.then(accepted, failed);
          else accepted(answered);
        },
      });
    });
  }

  /** Why this record is not taken. */
  #refusal(record: PushRecord | EphemeralRecord): ImgoError | undefined {
    if (this.#stopping) return new ImgoError('shutting_down');
    const { maxWaitingBytes, maxLag } = this.#options;
    if (this.#pendingBytes + bytesOf(record) > maxWaitingBytes) {
      return new ImgoError('overloaded', { reason: 'pushes that wait' });
    }
    if (this.#lag > maxLag) {
      return new ImgoError('overloaded', { reason: `jobs are ${this.#lag} messages behind` });
    }
    const { maxBatchBytes } = this.#parts.opened;
    const size = aloneBytes(record);
    if (size > maxBatchBytes) return new ImgoError('payload_too_large', { size, limit: maxBatchBytes });
    return this.trouble;
  }

  #done(pending: Pending): void {
    this.#pending.delete(pending);
    this.#pendingBytes -= pending.bytes;
  }

  #count(error: ImgoError): ImgoError {
    this.#refused[error.code] = (this.#refused[error.code] ?? 0) + 1;
    return error;
  }

  /** Looks whether the topic is the same, and how far jobs are behind. */
  async #watch(): Promise<void> {
    if (this.#looking || this.#changed !== undefined) return;
    this.#looking = true;
    const { admin } = this.#parts;
    const { group, topic } = this.#options;
    try {
      await this.#verify();
      const [ends, committed] = await Promise.all([
        readEnds(admin, topic.topic),
        readCommitted(admin, group, topic.topic),
      ]);
      let lag = 0;
      for (const [partition, { low, high }] of ends) {
        lag += Math.max(0, high - Math.max(low, committed.get(partition)?.offset ?? low));
      }
      this.#lag = lag;
      this.#unseen = 0;
    } catch (error) {
      this.#unseen++;
      this.#away = this.#parts.client.error(error);
      this.#options.log.debug({ cause: String(error) }, 'the topic cannot be looked at; it is tried again');
    } finally {
      this.#looking = false;
    }
  }

  /** @throws ImgoError kafka_topic_changed, or what says that nobody can tell */
  async #verify(): Promise<void> {
    const found = await identify(this.#parts.cluster, this.#options.topic.topic);
    if (found !== undefined && sameTopic(found, this.identity)) {
      this.#gone = 0;
      return;
    }
    if (found !== undefined || ++this.#gone >= GONE_LOOKS) this.#change(found);
    throw this.#changed ?? new ImgoError('kafka_topic', { topic: this.#options.topic.topic, detail: 'is not there' });
  }

  /** Nothing more is accepted or handed out: ids would be used twice. */
  #change(found: TopicIdentity | undefined): void {
    if (this.#changed !== undefined) return;
    const { topic } = this.#options.topic;
    const detail = found === undefined ? 'it was deleted, or lost its end' : 'it was deleted and made again';
    this.#changed = new ImgoError('kafka_topic_changed', { topic, detail });
    this.#options.log.error({ topic, found: found?.topicId, known: this.identity.topicId }, this.#changed.message);
    this.#consumer?.halt();
    this.#options.onAlarm?.({ kind: 'topic_changed', found });
  }
}

function bytesOf({ payload, log }: PushRecord | EphemeralRecord): number {
  return payload.byteLength + 2 * log.length + RECORD_OVERHEAD;
}
