// The queue on a Kafka that fails: answers that are cut, leaders that move, brokers that die. Whatever was answered with an id
// is in the topic under that id, once, and in the order in which it was accepted; what was not is there at most once.
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ImgoError } from '../../src/protocol/errors.js';
import type { MessageId } from '../../src/protocol/ids.js';
import { decodeParcel } from '../../src/server/queue/kafka/format.js';
import type { Queue } from '../../src/server/queue/queue.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import { isProduce, type KafkaCluster, startKafka } from './kafka.js';
import { EPOCH, openQueue, record } from './kafka-queue.js';
import { uniquePrefix } from './shared.js';
import { kafkaAt, leaderOf, moveLeader, untilInSync } from './topics.js';

const PARTITIONS = 4;
/** Between two pushes of a user: what was accepted is read and compared in the end. */
const PAUSE_MS = 3;
let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

interface Stored {
  readonly offset: number;
  readonly body: string;
}

/** All of the topic, by log, in the order of the offsets; `expected` records of it. */
async function stored(kafka: KafkaCluster, topic: string): Promise<ReadonlyMap<string, readonly Stored[]>> {
  const client = kafkaAt(kafka.bootstrap);
  const admin = client.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  const left = new Set(ends.filter(({ high }) => high !== '0').map(({ partition }) => partition));
  const byLog = new Map<string, Map<number, Stored>>();
  if (left.size === 0) return new Map();
  const consumer = client.consumer({ groupId: `read-${Math.random()}`, maxWaitTimeInMs: 50 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await new Promise<void>((resolve) => {
    void consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        for (const { offset, value } of batch.messages) {
          const { logs, payload } = decodeParcel(value as Buffer);
          for (const log of logs) {
            const entries = byLog.get(log) ?? new Map<number, Stored>();
            entries.set(Number(offset), { offset: Number(offset), body: Buffer.from(payload).toString() });
            byLog.set(log, entries);
          }
        }
        const end = ends.find(({ partition }) => partition === batch.partition)?.high ?? '0';
        if (BigInt(batch.lastOffset()) + 1n >= BigInt(end)) left.delete(batch.partition);
        if (left.size === 0) resolve();
      },
    });
  });
  await consumer.disconnect();
  return new Map([...byLog].map(([log, entries]) => [log, [...entries.values()]]));
}

/** Pushes to sixteen users, one behind the other for each, until told to stop; knows what became of each push. */
class Load {
  readonly accepted = new Map<string, MessageId>();
  readonly unknown = new Set<string>();
  readonly refused = new Map<string, string>();
  #over = false;
  readonly #loops: Promise<void>[];

  constructor(queue: Queue) {
    this.#loops = Array.from({ length: 16 }, (_, user) => this.#loop(queue, `u${user}`));
  }

  async #loop(queue: Queue, user: string): Promise<void> {
    for (let n = 0; !this.#over; n++) {
      const body = `${user}:${n}`;
      try {
        this.accepted.set(body, (await queue.accept(record(user, body))).id);
      } catch (error) {
        const code = error instanceof ImgoError ? error.code : String(error);
        if (code === 'outcome_unknown') this.unknown.add(body);
        else this.refused.set(body, code);
        await wait(20);
      }
      await wait(PAUSE_MS);
    }
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#loops);
  }

  /** Resolves when so many more were accepted. */
  async more(count: number): Promise<void> {
    const goal = this.accepted.size + count;
    await expect.poll(() => this.accepted.size).toBeGreaterThanOrEqual(goal);
  }

  async check(kafka: KafkaCluster, topic: string): Promise<void> {
    const byLog = await stored(kafka, topic);
    const found = new Map<string, number>();
    for (const [log, entries] of byLog) {
      const numbers: number[] = [];
      for (const { offset, body } of entries) {
        expect(found.has(body), `${body} twice in ${log}`).toBe(false);
        found.set(body, offset);
        if (this.accepted.has(body)) numbers.push(Number(body.split(':')[1]));
        expect(this.refused.has(body), `${body} was refused`).toBe(false);
      }
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }
    const missing = [...this.accepted].filter(([body, id]) => found.get(body) !== id.n || id.epoch !== EPOCH);
    expect(missing).toEqual([]);
  }
}

async function loaded(kafka: KafkaCluster, replication: number, deliveryMs?: number) {
  const name = uniquePrefix();
  const topic = { topic: name, partitions: PARTITIONS, replication, create: true };
  const queue = stack.use(
    await openQueue(kafka.bootstrap, name, { topic, ...(deliveryMs === undefined ? {} : { deliveryMs }) }),
  );
  const users = Array.from({ length: 16 }, (_, user) => bucketOf(record(`u${user}`, '').log) % PARTITIONS);
  expect(new Set(users).size).toBe(PARTITIONS);
  const load = new Load(queue);
  await load.more(100);
  return { queue, load, topic: name };
}

describe('one broker', () => {
  let kafka: KafkaCluster;
  beforeAll(async () => {
    kafka = await startKafka({ proxied: true });
  });
  afterAll(() => kafka[Symbol.asyncDispose]());

  test('answers that are cut after the append cost nothing: each push is there once, under the id that it got', async () => {
    const { load, queue, topic } = await loaded(kafka, 1);
    for (let round = 0; round < 10; round++) {
      await kafka.proxies[0]?.cutAnswer(isProduce);
      await load.more(50);
    }
    await load.stop();
    expect(load.unknown.size + load.refused.size).toBe(0);
    expect(queue.stats().counters?.retries).toBeGreaterThanOrEqual(10);
    await load.check(kafka, topic);
  });

  test('a push whose answer does not come in time is unknown, those after it go on under a new producer id', async () => {
    const { load, queue, topic } = await loaded(kafka, 1, 1_000);
    for (let round = 0; round < 3; round++) {
      const before = load.unknown.size;
      kafka.proxies[0]?.stall(['answers']);
      await expect.poll(() => load.unknown.size).toBeGreaterThan(before);
      kafka.proxies[0]?.heal();
      await load.more(100);
    }
    await load.stop();
    expect(queue.stats().counters?.identities).toBeGreaterThan(1);
    await load.check(kafka, topic);
  });

  test('while the only broker is away pushes are refused, none is half accepted, and it goes on by itself', async () => {
    // No proxy before it: what cannot be sent is not under way.
    const kafka = stack.use(await startKafka());
    const { load, queue, topic } = await loaded(kafka, 1, 1_500);
    await kafka.nodes[0]?.end('SIGKILL');
    await expect
      .poll(() => [...load.refused.values()].filter((code) => code === 'kafka_unreachable').length)
      .toBeGreaterThan(20);
    expect(queue.trouble?.code).toBe('kafka_unreachable');
    await kafka.nodes[0]?.start();
    await load.more(100);
    expect(queue.trouble).toBeUndefined();
    await load.stop();
    // Only what was on its way when it died can be unknown: a batch of each partition.
    expect(load.unknown.size).toBeLessThanOrEqual(16);
    await load.check(kafka, topic);
  });
});

describe('three brokers', () => {
  let kafka: KafkaCluster;
  beforeAll(async () => {
    kafka = await startKafka({ nodes: 3, proxied: true });
  });
  afterAll(() => kafka[Symbol.asyncDispose]());

  test('a leader that moves while its answers are cut neither loses nor doubles a push', async () => {
    const { load, topic } = await loaded(kafka, 3);
    for (let round = 0; round < 2; round++) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const leader = await leaderOf(kafka.bootstrap, topic, partition);
        const cut = kafka.proxies[leader - 1]?.cutAnswer(isProduce);
        await Promise.all([cut, moveLeader(kafka.bootstrap, topic, partition)]);
        await load.more(20);
      }
    }
    await load.stop();
    expect([...load.unknown, ...load.refused]).toEqual([]);
    await load.check(kafka, topic);
  });

  test('brokers that are killed and come back, one after the other, cost nothing that was accepted', async () => {
    const { load, topic } = await loaded(kafka, 3, 30_000);
    for (const node of kafka.nodes) {
      await node.end('SIGKILL');
      await load.more(100);
      await node.start();
      // Two that lack records at once would be one too many.
      await untilInSync(kafka.bootstrap, topic);
      await load.more(100);
    }
    await load.stop();
    expect([...load.unknown, ...load.refused]).toEqual([]);
    await load.check(kafka, topic);
  });
});
