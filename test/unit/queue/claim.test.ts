// A claim of a partition, apart from Kafka.
import { expect, test } from 'vitest';
import { type LogName, ZERO_ID } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import { Claim, type Fetched } from '../../../src/server/queue/kafka/claim.js';
import type { QueueBatch } from '../../../src/server/queue/queue.js';

const EPOCH = 1;
const LOG = 'user:1' as LogName;

function fetched(offset: number): Fetched {
  const id = { epoch: EPOCH, n: offset };
  const record = { log: LOG, payload: new Uint8Array(1), acceptedAt: 1, expiresAt: Number.MAX_SAFE_INTEGER, id };
  return { offset, records: [record], ephemeral: [], bytes: 1 };
}

function claim(handler: (batch: QueueBatch) => Promise<void>): Claim {
  return new Claim({
    partition: 0,
    buckets: [0, 1],
    epoch: EPOCH,
    start: 0,
    handler: async (batch) => {
      await handler(batch);
      return undefined;
    },
    clock: systemClock,
    commitMs: 60_000,
    idleMs: 60_000,
    phase: 0,
    alive: () => true,
    seek: () => undefined,
    changed: () => undefined,
  });
}

test('a claim that closes while a batch cannot be applied moves no mark over it', async () => {
  const moved: number[] = [];
  const refusing = Promise.withResolvers<void>();
  const one = claim(async (batch) => {
    if (batch.records.length > 0) {
      refusing.resolve();
      throw new Error('the store is away');
    }
    moved.push(batch.commit?.upTo.n ?? -1);
  });
  one.feed([fetched(0), fetched(1)]);
  await refusing.promise;
  await one.close();
  expect(moved).toEqual([]);
  expect(one.committable).toBeUndefined();
});

test('a claim that closes has all that was applied committed', async () => {
  const one = claim(async (batch) => {
    batch.applied(batch.records.map(({ id }) => ({ kind: 'appended', id, prev: ZERO_ID, sessions: [] })));
  });
  one.feed([fetched(0), fetched(1)]);
  while (one.position < 2) await new Promise((resolve) => setImmediate(resolve));
  await one.close();
  expect(one.committable).toBe(2);
});

test('what is fetched while a claim closes is not handed out: what was buffered before it was not either', async () => {
  const applied: number[] = [];
  const first = Promise.withResolvers<void>();
  const one = claim(async (batch) => {
    if (batch.records[0]?.id.n === 0) await first.promise;
    applied.push(...batch.records.map(({ id }) => id.n));
    batch.applied(batch.records.map(({ id }) => ({ kind: 'appended', id, prev: ZERO_ID, sessions: [] })));
  });
  one.feed([fetched(0)]);
  while (one.position < 1) await new Promise((resolve) => setImmediate(resolve));
  one.feed([fetched(1)]);
  const closed = one.close();
  one.feed([fetched(2)]);
  first.resolve();
  await closed;
  expect(applied).toEqual([0]);
  expect(one.committable).toBe(1);
});
