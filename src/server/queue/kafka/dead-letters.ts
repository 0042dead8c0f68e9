// What cannot be read or applied, kept in a topic of its own with where it came from and why, for somebody to look at.

import { Partitioners, type Producer } from 'kafkajs';
import { type Clock, pause } from '../../clock.js';
import { bucketOf } from '../../store/bucket.js';
import type { IdentifiedRecord } from '../../store/buckets.js';
import type { KafkaClient } from './client.js';
import { encodeParcel } from './format.js';
import type { KafkaQueueOptions } from './options.js';
import { partitionOf } from './partitions.js';

/** Then the partition goes on without: one record that nobody can read does not hold up those behind it. */
const TRIES = 5;
const RETRY_MS = 200;

export interface DeadLetter {
  readonly partition: number;
  readonly offset: number;
  /** As it stands in the topic. */
  readonly value: Buffer | null;
  readonly cause: unknown;
}

export class DeadLetters implements AsyncDisposable {
  /** Could not be kept. */
  lost = 0;
  readonly #client: KafkaClient;
  readonly #clock: Clock;
  readonly #topic: string;
  readonly #partitions: number;
  readonly #log: KafkaQueueOptions['log'];
  #producer: Promise<Producer> | undefined;

  constructor(parts: {
    readonly client: KafkaClient;
    readonly clock: Clock;
    /** Of the messages. */
    readonly topic: string;
    readonly partitions: number;
    readonly log: KafkaQueueOptions['log'];
  }) {
    this.#client = parts.client;
    this.#clock = parts.clock;
    this.#topic = parts.topic;
    this.#partitions = parts.partitions;
    this.#log = parts.log;
  }

  /** A record that the store cannot keep, as it was in the topic. */
  keepRecord(record: IdentifiedRecord, cause: unknown): Promise<void> {
    const { log, payload, operation, acceptedAt, expiresAt, idempotency } = record;
    const value = encodeParcel({
      logs: [log],
      payload,
      operation,
      acceptedAt,
      expiresAt,
      idempotency,
      ephemeral: false,
    });
    const partition = partitionOf(bucketOf(log), this.#partitions);
    return this.keep({ partition, offset: record.id.n, value, cause });
  }

  /** Resolves once it is kept, or cannot be. */
  async keep({ partition, offset, value, cause }: DeadLetter): Promise<void> {
    const where = { partition, offset };
    // The name says what it was; a message may quote a payload.
    const why = cause instanceof Error ? cause.name : typeof cause;
    const headers = { topic: this.#topic, partition: String(partition), offset: String(offset), cause: why };
    for (let attempt = 1; ; attempt++) {
      try {
        const producer = await this.#connected();
        await producer.send({ topic: `${this.#topic}.dead`, acks: -1, messages: [{ value, headers }] });
        this.#log.error({ ...where, cause: why }, 'a message cannot be delivered: it is in the topic of dead letters');
        return;
      } catch (error) {
        if (attempt >= TRIES) {
          this.lost++;
          const { message } = this.#client.error(error);
          this.#log.error({ ...where, cause: why, letters: message }, 'a message cannot be delivered, nor kept');
          return;
        }
        await pause(this.#clock, RETRY_MS * attempt);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const producer = await this.#producer?.catch(() => undefined);
    await producer?.disconnect();
  }

  #connected(): Promise<Producer> {
    this.#producer ??= this.#connect().catch((error: unknown) => {
      this.#producer = undefined;
      throw error;
    });
    return this.#producer;
  }

  async #connect(): Promise<Producer> {
    const admin = this.#client.kafka.admin();
    await admin.connect();
    try {
      const topic = `${this.#topic}.dead`;
      const existing = await admin.listTopics();
      if (!existing.includes(topic)) {
        await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: false });
      }
    } finally {
      await admin.disconnect();
    }
    const producer = this.#client.kafka.producer({
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    return producer;
  }
}
