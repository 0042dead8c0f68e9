// What the queue on Kafka is told, and what it tells about what it cannot repair alone.

import type { Logger } from 'pino';
import type { MessageId } from '../../../protocol/ids.js';
import type { Clock } from '../../clock.js';
import type { Buckets, IdentifiedRecord } from '../../store/buckets.js';
import type { TopicIdentity } from '../queue.js';

/** Where the brokers are and how they are spoken to. */
export interface KafkaConnection {
  /** `host:port` each. */
  readonly brokers: readonly string[];
  /** true: the system's authorities; `ca`: PEM. */
  readonly tls: boolean | { readonly ca: string };
  readonly sasl:
    | {
        readonly username: string;
        readonly password: string;
        readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
      }
    | undefined;
}

/** The topic, and how it is made where it is missing. `TOPIC.dead` has what cannot be read or applied. */
export interface TopicOptions {
  readonly topic: string;
  /** Of a topic that is made. */
  readonly partitions: number;
  /** Of a topic that is made, and required. `auto`: 3 where there are 3 brokers, else 1. */
  readonly replication: number | 'auto';
  /** Makes what is missing; false: refuses to start. */
  readonly create: boolean;
}

/**
 * The store's record of which topic its ids came from. Resolves with the epoch of this topic: of the first there ever was,
 * of the one recorded, or a higher one where the operator accepts another topic. Refuses any other with `kafka_topic_changed`.
 */
export type OpenHistory = (identity: TopicIdentity) => Promise<number>;

/** What stops a partition, or all of them, and is not repaired by itself. Reported once when it begins. */
export type QueueAlarm =
  /** Kafka deleted records before they were applied: `after` < id <= `upTo`. Goes on once `gap` has resolved. */
  | {
      readonly kind: 'lost';
      readonly partition: number;
      readonly buckets: readonly number[];
      readonly after: MessageId;
      readonly upTo: MessageId;
    }
  /** The topic ends before what was applied or committed: ids would be used twice. The operator accepts the topic anew. */
  | {
      readonly kind: 'truncated';
      readonly partition: number;
      readonly buckets: readonly number[];
      /** What the store or the group has. */
      readonly position: MessageId;
      /** What the topic has. */
      readonly end: MessageId;
    }
  /** A record that only a newer version reads: waits for one that does. */
  | { readonly kind: 'newer_record'; readonly partition: number; readonly id: MessageId }
  /** The topic was deleted, or deleted and made again: nothing is accepted or handed out any more. */
  | { readonly kind: 'topic_changed'; readonly found: TopicIdentity | undefined };

export interface AsideNotes {
  note(record: Pick<IdentifiedRecord, 'log' | 'id'>): Promise<void>;
  has(record: Pick<IdentifiedRecord, 'log' | 'id'>): Promise<boolean>;
}

export interface KafkaQueueOptions {
  readonly kafka: KafkaConnection;
  readonly topic: TopicOptions;
  /** The consumer group of the jobs. */
  readonly group: string;
  /** What brokers log this client as. */
  readonly clientId: string;
  readonly openHistory: OpenHistory;
  /** Where the answer to a push with an idempotency key is read from, once a job has applied it. */
  readonly answers: Pick<Buckets, 'marks' | 'keyUses'>;
  /** Which records the store cannot keep: noted by the job that puts one aside, seen by who waits for its answer. */
  readonly asides: AsideNotes;
  /** Tells the readers of all logs of these buckets that what lies between is gone; durable when it resolves. */
  readonly gap?: (lost: Extract<QueueAlarm, { kind: 'lost' }>) => Promise<void>;
  readonly onAlarm?: (alarm: QueueAlarm) => void;
  readonly log: Pick<Logger, 'warn' | 'info' | 'debug' | 'error'>;
  readonly clock: Clock;
  /** Above it `accept` is refused with `overloaded`. Bytes, of everything that has no answer from a broker yet. */
  readonly maxWaitingBytes: number;
  /** Records that no job has applied; above it `accept` is refused with `overloaded`. */
  readonly maxLag?: number;
  /** After this a push whose fate the brokers do not tell is `outcome_unknown`, or refused if it was never sent. */
  readonly deliveryMs?: number;
  /** After this a push with an idempotency key that no job has applied is `outcome_unknown`. */
  readonly answerMs?: number;
  /** Between two commits of a partition, each of which touches all its buckets. */
  readonly commitMs?: number;
  /** Between two batches without records of a partition that has nothing new. */
  readonly idleMs?: number;
  /** Between two looks at lag and at the identity of the topic. */
  readonly watchMs?: number;
}
