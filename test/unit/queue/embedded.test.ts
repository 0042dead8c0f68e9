// The embedded queue: the contract, and what only it promises.

import { describe, expect, test } from 'vitest';
import type { LogName } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import { createEmbeddedQueue } from '../../../src/server/queue/embedded.js';
import { queueConformance } from '../../conformance/queue.js';

const epoch = 7;

describe('the embedded queue keeps the contract', () => {
  queueConformance({
    answersAfterApply: true,
    create: async (maxWaitingBytes) => createEmbeddedQueue({ epoch, clock: systemClock, maxWaitingBytes }),
  });
});

function record(n: number) {
  const acceptedAt = Date.now();
  return { log: 'user:1' as LogName, payload: new Uint8Array([n]), acceptedAt, expiresAt: acceptedAt + 60_000 };
}

describe('the embedded queue', () => {
  test('n starts at 1 in the epoch of the store', async () => {
    const stop = new AbortController();
    await using queue = createEmbeddedQueue({ epoch, clock: systemClock, maxWaitingBytes: 1 << 20 });
    void queue.consume(async (batch) => {
      batch.applied(batch.records.map(({ id }) => ({ kind: 'appended', id, prev: id, sessions: [] })));
      return undefined;
    }, stop.signal);
    expect(await queue.accept(record(1))).toEqual({ id: { epoch, n: 1 }, duplicate: false });
    expect(await queue.accept(record(2))).toEqual({ id: { epoch, n: 2 }, duplicate: false });
  });

  test('what arrives in one turn shares a batch, up to its limits', async () => {
    const stop = new AbortController();
    await using queue = createEmbeddedQueue({
      epoch,
      clock: systemClock,
      maxWaitingBytes: 1 << 20,
      maxBatchRecords: 4,
    });
    const sizes: number[] = [];
    void queue.consume(async (batch) => {
      sizes.push(batch.records.length);
      batch.applied(batch.records.map(({ id }) => ({ kind: 'appended', id, prev: id, sessions: [] })));
      return undefined;
    }, stop.signal);
    await Promise.all(Array.from({ length: 10 }, (_, n) => queue.accept(record(n))));
    expect(sizes).toEqual([4, 4, 2]);
  });

  test('what is kept nowhere is handed out once, also when its batch comes again after it was applied', async () => {
    const stop = new AbortController();
    await using queue = createEmbeddedQueue({ epoch, clock: systemClock, maxWaitingBytes: 1 << 20 });
    const handed: string[] = [];
    const { promise: twice, resolve } = Promise.withResolvers<void>();
    void queue.consume(async (batch) => {
      handed.push(`${batch.records.length}+${batch.ephemeral.length}`);
      batch.applied(batch.records.map(({ id }) => ({ kind: 'appended', id, prev: id, sessions: [] })));
      if (batch.attempt === 1) throw new Error('the registry is away');
      resolve();
      return undefined;
    }, stop.signal);
    const { log, payload, acceptedAt } = record(2);
    await Promise.all([
      queue.accept(record(1)),
      queue.acceptEphemeral({ log, payload, acceptedAt, ephemeral: true }),
      twice,
    ]);
    expect(handed).toEqual(['1+1', '1+0']);
  });

  test('callers are told outcome_unknown when a batch cannot be settled, and it is applied all the same', async () => {
    const stop = new AbortController();
    await using queue = createEmbeddedQueue({
      epoch,
      clock: systemClock,
      maxWaitingBytes: 1 << 20,
      unknownAfterMs: 1,
    });
    let broken = true;
    const applied: number[] = [];
    void queue.consume(async (batch) => {
      if (broken) throw new Error('input/output error');
      applied.push(...batch.records.map(({ id }) => id.n));
      batch.applied(batch.records.map(({ id }) => ({ kind: 'repeated', id, prev: id, sessions: [] })));
      return undefined;
    }, stop.signal);
    await expect(queue.accept(record(1))).rejects.toMatchObject({ code: 'outcome_unknown' });
    broken = false;
    await queue.accept(record(2));
    expect(applied).toEqual([1, 2]);
  });

  test('a stop does not wait for a store that does not work', async () => {
    const stop = new AbortController();
    const queue = createEmbeddedQueue({ epoch, clock: systemClock, maxWaitingBytes: 1 << 20 });
    const consumed = queue.consume(async () => {
      throw new Error('input/output error');
    }, stop.signal);
    const pushed = queue.accept(record(1));
    await expect.poll(() => queue.stats().waiting).toBe(1);
    await new Promise(setImmediate);
    stop.abort();
    await expect(pushed).rejects.toMatchObject({ code: 'outcome_unknown' });
    await consumed;
  });
});
