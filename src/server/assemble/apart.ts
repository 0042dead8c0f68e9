// Redis as store and router, Kafka as queue. Which topic the store's ids come from is settled between the two before either is
// used. What cannot be reached is waited for, said and said again; what refuses, or is not what it should be, is an error.

import { ImgoError } from '../../protocol/errors.js';
import { pause } from '../clock.js';
import type { Config, KafkaConfig } from '../config.js';
import { createKafkaQueue, type KafkaQueue } from '../queue/kafka.js';
import type { TopicIdentity } from '../queue/queue.js';
import { createRedisRegistry } from '../router/redis.js';
import type { Registry } from '../router/registry.js';
import type { BucketsOptions } from '../store/buckets.js';
import { connectRedis, type RedisLink } from '../store/redis/connect.js';
import { openHistory } from '../store/redis/history.js';
import { RedisWatch } from '../store/redis/watch.js';
import { openRedisStore, type RedisStore } from '../store/redis.js';
import { AGAIN_MS, isAway } from './away.js';
import type { Engines, EnginesOptions } from './engine-set.js';
import { saslOf, secretOf } from './secrets.js';
import type { Undo } from './undo.js';

export interface ApartOptions extends EnginesOptions {
  readonly buckets: BucketsOptions;
  readonly queueBytes: number;
}

/**
 * Opens the three, in an order in which each finds what it needs.
 * @throws ImgoError redis_url, redis_refused, redis_tls, redis_unfit, kafka_refused, kafka_tls, kafka_topic, kafka_unusable,
 * kafka_topic_changed, data_newer, interrupted
 */
export async function openApart(
  config: Config,
  options: ApartOptions,
  opened: (close: Undo) => void,
): Promise<Engines> {
  const { redis, kafka } = config;
  if (redis === undefined || kafka === undefined) throw new ImgoError('internal', { detail: 'no engines are named' });
  const { clock, log, leaseMs, signal, onTime } = options;
  const password = secretOf(redis.passwordFile);
  const link = await reach(options, () =>
    connectRedis({ url: redis.url, clock, signal, ...(password === undefined ? {} : { password }) }),
  );
  opened(() => link[Symbol.asyncDispose]());
  const watch = await reach(options, () => RedisWatch.start({ link, clock, onTime }));
  opened(() => watch[Symbol.dispose]());
  const prefix = `${redis.prefix}:`;
  const registry = createRedisRegistry({ link, prefix, leaseMs });
  const { queue, store } = await reach(options, () => openQueue(kafka, { ...options, link, watch, prefix, registry }));
  opened(() => store.buckets[Symbol.asyncDispose]());
  opened(() => queue[Symbol.asyncDispose]());
  for (const warning of [...watch.warnings, ...queue.warnings]) log.warn({ warning }, 'not as it should be');
  watch.onLineage((lineage) => registry.failedOver(lineage));
  return {
    ...store,
    registry,
    queue,
    deadLetter: (record, cause) => queue.deadLetter(record, cause),
    problems: () => [watch.health().failure, queue.problem].flatMap((problem) => problem?.code ?? []),
  };
}

interface QueueParts extends ApartOptions {
  readonly link: RedisLink;
  readonly watch: RedisWatch;
  readonly prefix: string;
  readonly registry: Registry;
}

/** The queue asks the store which epoch its topic has, and the store is opened with the answer. */
async function openQueue(
  kafka: KafkaConfig,
  parts: QueueParts,
): Promise<{ readonly queue: KafkaQueue; readonly store: RedisStore }> {
  const { clock, log, link, watch, prefix, registry, buckets, queueBytes, name } = parts;
  const { topic, partitions, replication, create, group, acceptTopic } = kafka;
  let store: RedisStore | undefined;
  const opened = (): RedisStore => {
    if (store === undefined) throw new ImgoError('internal', { detail: 'the store is not open yet' });
    return store;
  };
  const queue = await createKafkaQueue({
    kafka: { brokers: kafka.brokers, tls: kafka.tls, sasl: saslOf(kafka) },
    topic: { topic, partitions, replication, create },
    group,
    clientId: name,
    async openHistory(identity: TopicIdentity) {
      const accept = identity.topicId === acceptTopic;
      const epoch = await openHistory(identity, { link, prefix, clock, accept });
      store = await openRedisStore({ link, watch, prefix, options: buckets, epoch, clock });
      return epoch;
    },
    answers: {
      marks: (asked) => opened().buckets.marks(asked),
      keyUses: (asked) => opened().buckets.keyUses(asked),
    },
    asides: {
      note: (record) => opened().asides.note(record),
      has: (record) => opened().asides.has(record),
    },
    async gap({ partition, buckets: lost, upTo }) {
      const logs = await opened().lose(lost, upTo);
      for (const comet of await registry.comets()) await registry.markResync(comet.node, comet.incarnation);
      log.error(
        { partition, logs, upTo },
        'Kafka deleted messages before they were applied: their readers are told a gap',
      );
    },
    onAlarm: (alarm) => log.error({ alarm }, 'the queue needs its operator'),
    log,
    clock,
    maxWaitingBytes: queueBytes,
  });
  return { queue, store: opened() };
}

/** Tries until it is there. */
async function reach<T>({ clock, log, signal, onWaiting }: EnginesOptions, open: () => Promise<T>): Promise<T> {
  for (;;) {
    if (signal.aborted) throw new ImgoError('interrupted');
    try {
      const there = await open();
      onWaiting(undefined);
      return there;
    } catch (error) {
      if (signal.aborted) throw new ImgoError('interrupted', {}, { cause: error });
      if (!isAway(error)) throw error;
      onWaiting(error.code);
      log.warn({ code: error.code, why: error.message }, 'this process waits for it');
      await pause(clock, AGAIN_MS, signal);
    }
  }
}
