// What broker tests ask of topics: make one, read all of it, see and move the leader of a partition. Through kafkajs, each
// with a connection of its own, so that a test's clients are only those that it tests.
import { setTimeout as wait } from 'node:timers/promises';
import { type Admin, Kafka, logLevel, type PartitionMetadata } from 'kafkajs';
import { fixKafkajs } from '../../src/server/queue/kafka/internals.js';

/** What hangs: a follower of a loaded machine catches up within seconds. */
const MAX_MS = 60_000;

export interface StoredRecord {
  readonly partition: number;
  readonly offset: string;
  readonly value: string;
}

/** Resolves once every node knows the topic, its leaders serve it and all copies are in sync: any broker may then die. */
export async function createTopic(
  bootstrap: readonly string[],
  topic: string,
  options: { readonly partitions?: number; readonly config?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  const numPartitions = options.partitions ?? 1;
  const configEntries = Object.entries(options.config ?? {}).map(([name, value]) => ({ name, value }));
  await administer(bootstrap, async (admin) => {
    // kafkajs' own wait may throw though the topic was made.
    await admin.createTopics({ topics: [{ topic, numPartitions, configEntries }], waitForLeaders: false });
  });
  for (const node of bootstrap) {
    await administer([node], async (admin) => {
      await until(`${topic} is in sync`, async () => {
        const partitions = await partitionsOf(admin, topic);
        return partitions.length === numPartitions && partitions.every(isInSync);
      });
      // A node may be named the leader a moment before it takes itself for it.
      await until(`${topic} is served by its leaders`, async () => {
        return (await admin.fetchTopicOffsets(topic)).length === numPartitions;
      });
    });
  }
}

/** Resolves once the topic has every copy of every partition: any one broker may die. */
export function untilInSync(bootstrap: readonly string[], topic: string): Promise<void> {
  return administer(bootstrap, (admin) =>
    until(`${topic} is in sync`, async () => {
      const partitions = await partitionsOf(admin, topic);
      return partitions.length > 0 && partitions.every(isInSync);
    }),
  );
}

/** Resolves once no broker knows the topic any more. */
export function deleteTopic(bootstrap: readonly string[], topic: string): Promise<void> {
  return administer(bootstrap, async (admin) => {
    await admin.deleteTopics({ topics: [topic] });
    await until(`${topic} is gone`, async () => !(await admin.listTopics()).includes(topic));
  });
}

/** The id of the node that leads the partition. */
export function leaderOf(bootstrap: readonly string[], topic: string, partition = 0): Promise<number> {
  return administer(bootstrap, async (admin) => (await partitionOf(admin, topic, partition)).leader);
}

/**
 * Another node leads the partition when this resolves, to the new leader's id; nothing was killed. For a moment the old
 * leader holds no copy, which is what takes the lead from it; then it follows, in sync again.
 */
export function moveLeader(bootstrap: readonly string[], topic: string, partition = 0): Promise<number> {
  return administer(bootstrap, async (admin) => {
    const { leader, replicas } = await partitionOf(admin, topic, partition);
    const others = replicas.filter((id) => id !== leader);
    if (others.length === 0) throw new Error(`${topic}/${partition} has one copy: its leader cannot move`);
    for (const copies of [others, [...others, leader]]) {
      await admin.alterPartitionReassignments({
        topics: [{ topic, partitionAssignment: [{ partition, replicas: copies }] }],
      });
      await until(`${topic}/${partition} is on ${copies.join(', ')}`, async () => {
        const now = await partitionOf(admin, topic, partition);
        return (
          now.replicas.length === copies.length && isInSync(now) && (copies.includes(leader) || now.leader !== leader)
        );
      });
    }
    return (await partitionOf(admin, topic, partition)).leader;
  });
}

/** Every record that readers may see when this is called, by partition and offset. */
export async function readAll(bootstrap: readonly string[], topic: string): Promise<readonly StoredRecord[]> {
  const ends = await administer(bootstrap, (admin) => admin.fetchTopicOffsets(topic));
  const missing = new Map(
    ends.filter(({ low, high }) => low !== high).map(({ partition, high }) => [partition, BigInt(high)]),
  );
  const records: StoredRecord[] = [];
  if (missing.size === 0) return records;
  const consumer = kafkaAt(bootstrap).consumer({
    groupId: `${topic}-read-${Date.now()}-${Math.random()}`,
    maxWaitTimeInMs: 50,
  });
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      // A group whose coordinator is still loading crashes the consumer too: kafkajs then starts it again by itself.
      consumer.on('consumer.crash', ({ payload }) => {
        if (!payload.restart) reject(payload.error);
      });
      consumer
        .run({
          eachBatch: async ({ batch }) => {
            const end = missing.get(batch.partition);
            for (const { offset, value } of batch.messages) {
              if (end === undefined || BigInt(offset) >= end) continue;
              records.push({ partition: batch.partition, offset, value: String(value) });
            }
            if (end !== undefined && BigInt(batch.lastOffset()) + 1n >= end) missing.delete(batch.partition);
            if (missing.size === 0) resolve();
          },
        })
        .catch(reject);
    });
  } finally {
    await consumer.disconnect();
  }
  return records.sort((a, b) => a.partition - b.partition || Number(a.offset) - Number(b.offset));
}

/**
 * A kafkajs that says nothing: what it logs about brokers that are killed on purpose tells nobody anything. Mended as the server's, or
 * Node warns of its timers.
 */
export function kafkaAt(bootstrap: readonly string[]): Kafka {
  fixKafkajs();
  return new Kafka({ brokers: [...bootstrap], logLevel: logLevel.NOTHING });
}

async function administer<T>(bootstrap: readonly string[], ask: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafkaAt(bootstrap).admin();
  await admin.connect();
  try {
    return await ask(admin);
  } finally {
    await admin.disconnect();
  }
}

async function partitionsOf(admin: Admin, topic: string): Promise<readonly PartitionMetadata[]> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  return topics[0]?.partitions ?? [];
}

async function partitionOf(admin: Admin, topic: string, partition: number): Promise<PartitionMetadata> {
  const found = (await partitionsOf(admin, topic)).find(({ partitionId }) => partitionId === partition);
  if (found === undefined) throw new Error(`${topic} has no partition ${partition}`);
  return found;
}

const isInSync = ({ leader, isr, replicas }: PartitionMetadata): boolean =>
  leader >= 0 && isr.length === replicas.length;

/** What Kafka refuses meanwhile counts as not yet. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + MAX_MS;
  let cause: unknown;
  for (;;) {
    try {
      if (await holds()) return;
    } catch (error) {
      // kafkajs exports the classes of its errors in a way that ES modules do not see.
      if (!(error instanceof Error && error.name.startsWith('KafkaJS'))) throw error;
      cause = error;
    }
    if (Date.now() > deadline) throw new Error(`waited ${MAX_MS / 1000} s in vain: ${what}`, { cause });
    await wait(50);
  }
}
