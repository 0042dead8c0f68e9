// The topic: made where it is missing and may be made, checked for what would lose messages, and told from another of the
// same name. A topic is never changed: who set it up knows why.

import type { Admin } from 'kafkajs';
import { ImgoError } from '../../../protocol/errors.js';
import { type Clock, pause } from '../../clock.js';
import type { TopicIdentity } from '../queue.js';
import type { KafkaClient } from './client.js';
import { kafkaErrorType } from './client.js';
import { type Cluster, describeTopic } from './internals.js';
import type { TopicOptions } from './options.js';
import type { DescribedTopic } from './wire.js';

/** Longer than any outage of all jobs that nobody notices. */
const RETENTION_MS = 7 * 86_400_000;
const WARN_RETENTION_MS = 24 * 3_600_000;
/** Until a topic that was made has its leaders. */
const MADE_WITHIN_MS = 30_000;
const POLL_MS = 100;
/** What settings are asked of. kafkajs names it in a way that ES modules do not see. */
const TOPIC_RESOURCE = 2;
/** What a batch of records may have. */
const BATCH_BYTES = 1_048_588;

export interface OpenedTopic {
  readonly identity: TopicIdentity;
  /** Largest batch of records that the topic takes, bytes. */
  readonly maxBatchBytes: number;
  /** What its operator should know; nothing of it stops the server. */
  readonly warnings: readonly string[];
}

export interface TopicParts {
  readonly client: KafkaClient;
  readonly admin: Admin;
  readonly cluster: Cluster;
  readonly clock: Clock;
}

/**
 * Makes the topic if need be, and checks it.
 * @throws ImgoError kafka_topic, kafka_unreachable, kafka_refused, kafka_tls, kafka_unusable
 */
export async function openTopic(parts: TopicParts, options: TopicOptions): Promise<OpenedTopic> {
  try {
    const { topic } = options;
    const found = (await describe(parts, topic)) ?? (await make(parts, options));
    const { maxBatchBytes, warnings } = await check(parts, options, found);
    const { clusterId, topicId, partitions } = found;
    return { identity: { topic, clusterId, topicId, partitions }, maxBatchBytes, warnings };
  } catch (error) {
    throw parts.client.error(error);
  }
}

/** The identity of the topic of this name now. Undefined: there is none. */
export async function identify(cluster: Cluster, topic: string): Promise<TopicIdentity | undefined> {
  const found = await describeTopic(await cluster.findControllerBroker(), topic);
  if (found === undefined) return undefined;
  const { clusterId, topicId, partitions } = found;
  return { topic, clusterId, topicId, partitions };
}

export function sameTopic(a: TopicIdentity, b: TopicIdentity): boolean {
  return a.clusterId === b.clusterId && a.topicId === b.topicId && a.partitions === b.partitions;
}

async function describe({ cluster }: TopicParts, topic: string): Promise<DescribedTopic | undefined> {
  return describeTopic(await cluster.findControllerBroker(), topic);
}

async function make(parts: TopicParts, options: TopicOptions): Promise<DescribedTopic> {
  const { topic, partitions, create } = options;
  if (!create) throw new ImgoError('kafka_topic', { topic, detail: 'does not exist, and queue.kafka.create is off' });
  const { brokers } = await parts.admin.describeCluster();
  const replicas = options.replication === 'auto' ? (brokers.length >= 3 ? 3 : 1) : options.replication;
  const entries = { 'retention.ms': RETENTION_MS, 'unclean.leader.election.enable': false, 'cleanup.policy': 'delete' };
  const all = replicas > 2 ? { ...entries, 'min.insync.replicas': 2 } : entries;
  const configEntries = Object.entries(all).map(([name, value]) => ({ name, value: String(value) }));
  try {
    await parts.admin.createTopics({
      // With it kafkajs says of topics that were made that they were not.
      waitForLeaders: false,
      topics: [{ topic, numPartitions: partitions, replicationFactor: replicas, configEntries }],
    });
  } catch (error) {
    const type = kafkaErrorType(error) ?? aggregated(error);
    // Another node made it at the same time.
    if (type !== 'TOPIC_ALREADY_EXISTS') {
      const detail = `does not exist, and the brokers refuse to create it (${type ?? String(error)})`;
      throw new ImgoError('kafka_topic', { topic, detail }, { cause: error });
    }
  }
  return whole(parts, topic);
}

/** Waits until every partition has a leader and all its replicas. */
async function whole(parts: TopicParts, topic: string): Promise<DescribedTopic> {
  const until = parts.clock.monotonic() + MADE_WITHIN_MS;
  for (;;) {
    const described = await describe(parts, topic);
    if (described !== undefined && (await ready(parts.admin, topic))) return described;
    if (parts.clock.monotonic() > until) {
      throw new ImgoError('kafka_topic', { topic, detail: 'was made, and has no leaders yet' });
    }
    await pause(parts.clock, POLL_MS);
  }
}

async function ready(admin: Admin, topic: string): Promise<boolean> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    const partitions = topics[0]?.partitions ?? [];
    return (
      partitions.length > 0 && partitions.every((one) => one.leader >= 0 && one.isr.length === one.replicas.length)
    );
  } catch {
    return false;
  }
}

/** kafkajs wraps what it says of each topic. */
function aggregated(error: unknown): string | undefined {
  const { errors } = error as { readonly errors?: readonly unknown[] };
  return errors?.map(kafkaErrorType).find((type) => type !== undefined);
}

async function check({ admin }: TopicParts, options: TopicOptions, found: DescribedTopic) {
  const { topic } = options;
  const refuse = (detail: string): never => {
    throw new ImgoError('kafka_topic', { topic, detail });
  };
  const settings = await settingsOf(admin, topic);
  const number = (name: string, fallback: number) => Number(settings.get(name) ?? fallback);
  const cluster = found.brokers >= 3;
  const replicas = options.replication === 'auto' ? (cluster ? 3 : 1) : options.replication;
  if (found.replicas < replicas) refuse(`has ${found.replicas} replicas where queue.kafka.replication is ${replicas}`);
  const inSync = number('min.insync.replicas', 1);
  if (cluster && inSync < 2) {
    refuse('has min.insync.replicas = 1: what was accepted is lost with one broker; set it to 2');
  }
  if (found.replicas > 1 && inSync >= found.replicas) {
    refuse(`has min.insync.replicas = ${inSync} of ${found.replicas} replicas: nothing is accepted while one is away`);
  }
  if (settings.get('unclean.leader.election.enable') === 'true') {
    refuse('has unclean.leader.election.enable: a replica that lacks messages may lead, and ids are used twice');
  }
  if ((settings.get('cleanup.policy') ?? 'delete') !== 'delete') {
    refuse('has a cleanup.policy other than delete: compaction takes messages away');
  }
  const warnings: string[] = [];
  const retention = number('retention.ms', -1);
  if (retention >= 0 && retention < WARN_RETENTION_MS) {
    warnings.push(`retention.ms is ${retention}: jobs that are away for longer lose messages; 7 d is what imgo sets`);
  }
  if (number('retention.bytes', -1) >= 0) {
    warnings.push('retention.bytes is set: a burst may take away what no job has applied; unset it');
  }
  if (found.replicas === 1 && found.brokers > 1) warnings.push('it has one replica: it is away while its broker is');
  const maxBatchBytes = Math.min(BATCH_BYTES, number('max.message.bytes', BATCH_BYTES));
  return { maxBatchBytes, warnings };
}

async function settingsOf(admin: Admin, topic: string): Promise<ReadonlyMap<string, string>> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: TOPIC_RESOURCE, name: topic }],
  });
  return new Map((resources[0]?.configEntries ?? []).map(({ configName, configValue }) => [configName, configValue]));
}
