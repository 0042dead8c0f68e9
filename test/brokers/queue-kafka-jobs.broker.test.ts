// Jobs on a real Kafka: where they start, what they commit, what happens when they die, when the group changes, when the topic
// is not what it was, and when a record cannot be read.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compareIds, formatFullId, type LogName, type MessageId, ZERO_ID } from '../../src/protocol/ids.js';
import { systemClock } from '../../src/server/clock.js';
import { Applier, type ApplierOptions } from '../../src/server/job/apply.js';
import { createJobCounters } from '../../src/server/job/counters.js';
import { encodeParcel } from '../../src/server/queue/kafka/format.js';
import type { KafkaQueueOptions, QueueAlarm } from '../../src/server/queue/kafka/options.js';
import type { AssignedHandler, BatchHandler, Queue, QueueBatch } from '../../src/server/queue/queue.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import type { IdentifiedRecord } from '../../src/server/store/buckets.js';
import { createMemoryBuckets } from '../../src/server/store/memory.js';
import { OPTIONS } from '../conformance/buckets-stage.js';
import { applyAll, bodies, EPOCH, handlerOf, openQueue, record } from './kafka-queue.js';
import { sharedKafka, uniquePrefix } from './shared.js';
import { createTopic, kafkaAt } from './topics.js';

let stack: AsyncDisposableStack;
let brokers: readonly string[];
let topic: string;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  brokers = await sharedKafka();
  topic = uniquePrefix();
});
afterEach(() => stack.disposeAsync());

async function open(more: Partial<KafkaQueueOptions> = {}, partitions = 1) {
  return stack.use(
    await openQueue(brokers, topic, { topic: { topic, partitions, replication: 1, create: true }, ...more }),
  );
}

/** Consumes until the stop that it returns, which waits for the end. */
function consume(queue: Queue, handler: BatchHandler, assigned?: AssignedHandler): () => Promise<void> {
  const stop = new AbortController();
  const consumed = queue.consume(handler, stop.signal, assigned);
  const end = async (): Promise<void> => {
    stop.abort();
    await consumed;
  };
  stack.defer(end);
  return end;
}

async function push(queue: Queue, from: number, to: number, user = '1'): Promise<void> {
  for (let n = from; n <= to; n++) await queue.accept(record(user, String(n)));
}

const at = (n: number): MessageId => ({ epoch: EPOCH, n });

async function committed(): Promise<number> {
  const admin = kafkaAt(brokers).admin();
  await admin.connect();
  const [found] = await admin.fetchOffsets({ groupId: `${topic}-jobs`, topics: [topic] });
  await admin.disconnect();
  return Number(found?.partitions[0]?.offset);
}

async function deleteBefore(offset: number): Promise<void> {
  const admin = kafkaAt(brokers).admin();
  await admin.connect();
  // Only then it knows the leader.
  await admin.fetchTopicOffsets(topic);
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(offset) }] });
  await admin.disconnect();
}

test.each([
  ['the mark where the commit is ahead of it', { mark: 3, committed: 8 }, 4],
  ['the commit where the mark is ahead of it', { mark: 8, committed: 3 }, 3],
  ['the beginning where neither is', { mark: undefined, committed: undefined }, 0],
  ['the beginning where nothing was committed', { mark: 5, committed: undefined }, 0],
  ['the beginning where the store has another epoch', { mark: undefined, committed: 8 }, 0],
])('reading starts after %s', async (_name, given, first) => {
  const queue = await open();
  await push(queue, 0, 9);
  if (given.committed !== undefined) {
    const admin = kafkaAt(brokers).admin();
    await admin.connect();
    const partitions = [{ partition: 0, offset: String(given.committed) }];
    await admin.setOffsets({ groupId: `${topic}-jobs`, topic, partitions });
    await admin.disconnect();
  }
  const seen: number[] = [];
  const mark = given.mark === undefined ? { epoch: EPOCH - 1, n: 99 } : at(given.mark);
  consume(
    queue,
    handlerOf((batch) => seen.push(...bodies(batch).map(Number))),
    async () => mark,
  );
  await expect.poll(() => seen.at(-1)).toBe(9);
  expect(seen[0]).toBe(first);
});

test('a position is committed after its batch and all before it are done, and all buckets are touched for it', async () => {
  const queue = await open();
  const gates: PromiseWithResolvers<void>[] = [];
  const batches: QueueBatch[] = [];
  consume(queue, async (batch) => {
    batches.push(batch);
    applyAll(batch);
    const gate = Promise.withResolvers<void>();
    gates.push(gate);
    await gate.promise;
    return undefined;
  });
  await push(queue, 0, 0);
  // A position is due after a time: with the first batch, with the second, or with one of its own.
  await expect.poll(() => batches.length).toBeGreaterThan(0);
  await push(queue, 1, 1);
  await expect.poll(() => batches.flatMap(({ records }) => records).length).toBe(2);
  await expect.poll(() => batches.some(({ commit }) => commit !== undefined)).toBe(true);
  for (const gate of gates.slice(1)) gate.resolve();
  expect(await committed()).toBe(0);
  gates[0]?.resolve();
  const opened = setInterval(() => {
    for (const gate of gates) gate.resolve();
  }, 10);
  await expect.poll(committed).toBe(2);
  clearInterval(opened);
  expect(batches.find(({ commit }) => commit !== undefined)?.commit?.buckets).toHaveLength(1_024);
});

test('a partition with nothing new is looked at all the same, and lost writes are noticed by that', async () => {
  const queue = await open({ idleMs: 300 });
  const seen: number[] = [];
  let lost = false;
  consume(queue, async (batch) => {
    if (lost && batch.records.length === 0) {
      lost = false;
      return { kind: 'seek', to: at(2) };
    }
    seen.push(...bodies(batch).map(Number));
    applyAll(batch);
    return undefined;
  });
  await push(queue, 0, 5);
  await expect.poll(() => seen.length).toBe(6);
  lost = true;
  await expect.poll(() => seen).toEqual([0, 1, 2, 3, 4, 5, 3, 4, 5]);
});

test('a job that is killed between apply and commit is followed by one that is given the same, whenever it happens', async () => {
  const queue = await open();
  await push(queue, 0, 4);
  const program = join(import.meta.dirname, 'queue-kafka-member.ts');
  for (let round = 0; round < 3; round++) {
    const child = fork(program, [brokers.join(','), topic], {
      execArgv: ['--import', './scripts/typescript.mjs'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const applied: number[] = [];
    child.on('message', (message: { applied?: string[] }) => applied.push(...(message.applied ?? []).map(Number)));
    await expect.poll(() => applied.length).toBeGreaterThan(0);
    expect(applied[0]).toBe(0);
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  const seen: number[] = [];
  consume(
    queue,
    handlerOf((batch) => seen.push(...bodies(batch).map(Number))),
    async () => at(4),
  );
  await expect.poll(() => seen).toEqual([0, 1, 2, 3, 4]);
});

test('a group that changes again and again hands out everything, in order, and a partition to one member at a time', async () => {
  const partitions = 8;
  const producer = await open({}, partitions);
  /** By partition: the members that apply a batch of it now. */
  const applying = new Map<number, Set<number>>();
  const last = new Map<string, number>();
  const seen = new Set<string>();
  let together = 0;
  const handler =
    (member: number): BatchHandler =>
    async (batch) => {
      const members = applying.get(batch.partition) ?? new Set();
      applying.set(batch.partition, members.add(member));
      if (members.size > 1) together++;
      await new Promise((resolve) => setTimeout(resolve, 2));
      for (const { log, payload, id } of batch.records) {
        const body = `${log} ${Buffer.from(payload).toString()}`;
        // What comes again comes with what follows it: nothing is left out.
        if (!seen.has(body)) expect(id.n).toBeGreaterThan(last.get(log) ?? -1);
        last.set(log, Math.max(last.get(log) ?? -1, id.n));
        seen.add(body);
      }
      members.delete(member);
      applyAll(batch);
      return undefined;
    };
  let over = false;
  let pushed = 0;
  const pushing = (async () => {
    for (; !over; pushed++) await producer.accept(record(`u${pushed % 50}`, String(pushed)));
  })();
  consume(await open({}, partitions), handler(0));
  await expect.poll(() => seen.size).toBeGreaterThan(10);
  for (let member = 1; member <= 3; member++) {
    const queue = await open({}, partitions);
    const stop = consume(queue, handler(member));
    const before = seen.size;
    await expect.poll(() => queue.stats().counters?.['rebalances']).toBeGreaterThan(0);
    await expect.poll(() => seen.size).toBeGreaterThan(before + 100);
    await stop();
  }
  over = true;
  await pushing;
  await expect.poll(() => seen.size).toBe(pushed);
  expect(together).toBe(0);
});

test('users of one push share records of a partition, never two of one bucket', async () => {
  const queue = await open({}, 4);
  const users = Array.from({ length: 2_000 }, (_, n) => `user-${n}`);
  const shared = Buffer.from('to all of you');
  const ids = await Promise.all(
    users.map((user) => queue.accept({ ...record(user, ''), payload: shared }).then(({ id }) => ({ user, id }))),
  );
  const found = new Map<string, MessageId>();
  const slots = new Set<string>();
  consume(
    await open({}, 4),
    handlerOf((batch) => {
      for (const { log, id, payload } of batch.records) {
        expect(Buffer.from(payload).equals(shared)).toBe(true);
        found.set(log, id);
        slots.add(`${batch.partition} ${bucketOf(log)} ${id.n}`);
      }
    }),
  );
  await expect.poll(() => found.size).toBe(users.length);
  for (const { user, id } of ids) expect(found.get(`user:${user}`)).toEqual(id);
  expect(slots.size).toBe(users.length);
  const records = new Set(ids.map(({ id, user }) => `${bucketOf(`user:${user}` as LogName) % 4} ${id.n}`));
  expect(records.size).toBeLessThan(users.length / 20);
});

test('a push with an idempotency key is answered by what another process applied', async () => {
  await using buckets = createMemoryBuckets({ ...OPTIONS, idempotency: { forMs: 60_000, bytes: 600 } }, systemClock);
  // A record that the store stumbles over.
  const isPoison = ({ payload }: IdentifiedRecord) => Buffer.from(payload).toString() === 'poison';
  const stumbling: ApplierOptions['buckets'] = {
    marks: (asked) => buckets.marks(asked),
    async apply(groups) {
      if (groups.some(({ records }) => records.some(isPoison))) throw new RangeError('cannot be kept');
      return buckets.apply(groups);
    },
  };
  const asides = new Set<string>();
  const notes: KafkaQueueOptions['asides'] = {
    note: async ({ log, id }) => void asides.add(formatFullId(log, id)),
    has: async ({ log, id }) => asides.has(formatFullId(log, id)),
  };
  const job = await open({ answers: buckets, asides: notes });
  const deadLetter = job.deadLetter.bind(job);
  const applier = new Applier({ buckets: stumbling, counters: createJobCounters(), deadLetter });
  consume(
    job,
    async (batch) => {
      const applied = await applier.apply(batch);
      if (applied.kind === 'behind') return applied.seek;
      batch.applied(applied.outcomes);
      return undefined;
    },
    (_partition, owned) => applier.assigned(owned),
  );
  const logic = await open({ answers: buckets, asides: notes, answerMs: 20_000 });
  const keyed = (key: string, body: string) =>
    logic.accept(record('1', body, { idempotency: { scope: 's', key, bodyHash: body } }));
  const first = await keyed('k', 'a');
  expect(first).toEqual({ id: at(0), duplicate: false });
  expect(await keyed('k', 'a')).toEqual({ id: at(0), duplicate: true });
  await expect(keyed('k', 'b')).rejects.toMatchObject({ code: 'idempotency_mismatch' });
  const together = await Promise.all([keyed('l', 'c'), keyed('l', 'c'), keyed('l', 'c')]);
  expect(new Set(together.map(({ id }) => id.n)).size).toBe(1);
  expect(together.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
  await expect(keyed('full', 'd')).rejects.toMatchObject({ code: 'idempotency_full' });
  await expect(keyed('m', 'poison')).rejects.toMatchObject({
    code: 'internal',
    message: expect.stringMatching(/dead letters/),
  });
  expect(await keyed('k', 'a')).toEqual({ id: at(0), duplicate: true });
});

test('a push with an idempotency key that nobody applies in time is unknown, and safe to repeat', async () => {
  const queue = await open({ answerMs: 300 });
  const pushed = record('1', 'a', { idempotency: { scope: 's', key: 'k', bodyHash: 'a' } });
  await expect(queue.accept(pushed)).rejects.toMatchObject({ code: 'outcome_unknown' });
});

test('what cannot be read goes to the dead letters and blocks nobody', async () => {
  await createTopic(brokers, topic);
  const producer = kafkaAt(brokers).producer();
  await producer.connect();
  const broken = [Buffer.alloc(0), Buffer.from([1]), Buffer.from('{"not":"ours"}'), Buffer.from([0, 0, 0])];
  await producer.send({ topic, messages: broken.map((value) => ({ value })) });
  await producer.disconnect();
  const queue = await open();
  await push(queue, 1, 1);
  const seen: string[] = [];
  consume(
    queue,
    handlerOf((batch) => seen.push(...bodies(batch))),
  );
  await expect.poll(() => seen).toEqual(['1']);
  expect(queue.stats().counters).toMatchObject({ poison: 4, dead_letters_lost: 0 });
  const letters = kafkaAt(brokers).consumer({ groupId: `${topic}-letters` });
  await letters.connect();
  await letters.subscribe({ topic: `${topic}.dead`, fromBeginning: true });
  const kept: Buffer[] = [];
  await letters.run({
    eachMessage: async ({ message }) => {
      kept.push(message.value ?? Buffer.alloc(0));
    },
  });
  await expect.poll(() => kept.length).toBe(4);
  await letters.disconnect();
  expect(kept.map(String)).toEqual(broken.map(String));
});

test('a record of a newer version stops its partition until somebody can read it', async () => {
  await createTopic(brokers, topic);
  const { log, payload, acceptedAt, expiresAt } = record('1', 'new');
  const parcel = { logs: [log], payload, acceptedAt, expiresAt, operation: undefined };
  const value = encodeParcel({ ...parcel, idempotency: undefined, ephemeral: false });
  // Needs more than this version knows.
  value[1] = 2;
  const producer = kafkaAt(brokers).producer();
  await producer.connect();
  await producer.send({ topic, messages: [{ value }] });
  await producer.disconnect();
  const alarms: QueueAlarm[] = [];
  const queue = await open({ onAlarm: (alarm) => alarms.push(alarm) });
  await push(queue, 1, 1);
  const seen: string[] = [];
  consume(
    queue,
    handlerOf((batch) => seen.push(...bodies(batch))),
  );
  await expect.poll(() => alarms).toEqual([{ kind: 'newer_record', partition: 0, id: at(0) }]);
  expect(seen).toEqual([]);
});

test('what Kafka deleted before it was applied is told to the readers, and only then reading goes on', async () => {
  const alarms: QueueAlarm[] = [];
  const gaps: QueueAlarm[] = [];
  let mark: MessageId = at(1);
  const queue = await open({
    onAlarm: (alarm) => alarms.push(alarm),
    gap: async (lost) => {
      gaps.push(lost);
      if (gaps.length < 2) throw new Error('the store is away');
      mark = lost.upTo;
    },
  });
  await push(queue, 0, 9);
  await deleteBefore(5);
  const seen: number[] = [];
  consume(
    queue,
    handlerOf((batch) => seen.push(...bodies(batch).map(Number))),
    async () => mark,
  );
  await expect.poll(() => seen).toEqual([5, 6, 7, 8, 9]);
  expect(alarms).toMatchObject([{ kind: 'lost', partition: 0, after: at(1), upTo: at(4) }]);
  expect(gaps).toHaveLength(2);
});

test('records that are deleted under a job that reads are noticed: the client does not begin anew silently', async () => {
  const alarms: QueueAlarm[] = [];
  let mark: MessageId = ZERO_ID;
  let hold = Promise.withResolvers<void>();
  const seen: number[] = [];
  const queue = await open({
    onAlarm: (alarm) => alarms.push(alarm),
    gap: async (lost) => {
      mark = lost.upTo;
    },
  });
  consume(
    queue,
    async (batch) => {
      await hold.promise;
      seen.push(...bodies(batch).map(Number));
      for (const { id } of batch.records) if (compareIds(id, mark) > 0) mark = id;
      applyAll(batch);
      return undefined;
    },
    async () => mark,
  );
  hold.resolve();
  await push(queue, 0, 3);
  await expect.poll(() => seen.length).toBe(4);
  hold = Promise.withResolvers();
  // More than is fetched ahead: the rest is deleted before it is read.
  const big = 'x'.repeat(200_000);
  await Promise.all(Array.from({ length: 60 }, (_, n) => queue.accept(record('1', `${n + 4} ${big}`))));
  await deleteBefore(60);
  hold.resolve();
  await expect.poll(() => mark.n).toBe(63);
  const [alarm] = alarms;
  expect(alarm).toMatchObject({ kind: 'lost', upTo: at(59) });
});

test('a topic that ends before what was applied is not read: its offsets are used a second time', async () => {
  const alarms: QueueAlarm[] = [];
  const queue = await open({ onAlarm: (alarm) => alarms.push(alarm) });
  await push(queue, 0, 4);
  const seen: string[] = [];
  consume(
    queue,
    handlerOf((batch) => seen.push(...bodies(batch))),
    async () => at(50),
  );
  await expect.poll(() => alarms).toMatchObject([{ kind: 'truncated', position: at(50), end: at(4) }]);
  expect(seen).toEqual([]);
});

test('a topic that was deleted and made again takes and hands out nothing', async () => {
  const alarms: QueueAlarm[] = [];
  const queue = await open({ onAlarm: (alarm) => alarms.push(alarm), watchMs: 100 });
  const seen: string[] = [];
  consume(
    queue,
    handlerOf((batch) => seen.push(...bodies(batch))),
  );
  await push(queue, 0, 2);
  await expect.poll(() => seen.length).toBe(3);
  const admin = kafkaAt(brokers).admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [topic] });
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: false });
  await admin.disconnect();
  await expect.poll(() => alarms.at(-1)?.kind).toBe('topic_changed');
  await expect(queue.accept(record('1', 'other'))).rejects.toMatchObject({ code: 'kafka_topic_changed' });
  const opened = (known: string) =>
    openQueue(brokers, topic, {
      openHistory: async ({ topicId }) => {
        if (topicId !== known) throw new Error('another topic');
        return EPOCH;
      },
    });
  await expect(opened(queue.identity.topicId)).rejects.toThrow();
});
