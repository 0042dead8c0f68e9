// What every Queue engine promises to those who push and to the job. Run by one small file per engine.

import { expect, test } from 'vitest';
import { ImgoError } from '../../src/protocol/errors.js';
import { compareIds, type LogName, type MessageId } from '../../src/protocol/ids.js';
import type { BatchHandler, EphemeralRecord, Queue, QueueBatch, RecordOutcome } from '../../src/server/queue/queue.js';
import type { IdentifiedRecord, PushRecord } from '../../src/server/store/buckets.js';

export interface QueueEngine {
  /** A new, empty queue that refuses above `maxWaitingBytes`. */
  create(maxWaitingBytes: number): Promise<Queue>;
  /**
   * Accept waits for apply, so what the store says of a record is what the caller gets. Otherwise a push is answered when the
   * record is kept for whoever applies it, and what the store says is a matter between the two.
   */
  readonly answersAfterApply: boolean;
  /** What was accepted outlives its queue: another one on the same data, where it is handed out. */
  readonly another?: () => Promise<Queue>;
}

const text = new TextEncoder();
const MIB = 1024 * 1024;

function record(log: string, body: string, more: Partial<PushRecord> = {}): PushRecord {
  return {
    log: log as LogName,
    payload: text.encode(body),
    acceptedAt: Date.now(),
    expiresAt: Date.now() + 60_000,
    ...more,
  };
}

function ephemeral(log: string, body: string, ageMs = 0): EphemeralRecord {
  return { log: log as LogName, payload: text.encode(body), acceptedAt: Date.now() - ageMs, ephemeral: true };
}

function bodies(batch: QueueBatch): string[] {
  return batch.records.map((entry) => new TextDecoder().decode(entry.payload));
}

function appended(records: readonly IdentifiedRecord[]): RecordOutcome[] {
  return records.map(({ id }) => ({ kind: 'appended', id, prev: { epoch: 0, n: 0 }, sessions: [] }));
}

/** The code that a push was refused with. */
async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  return error instanceof ImgoError ? error.code : `not an ImgoError: ${String(error)}`;
}

interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

function gate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

/**
 * Consumes with `handler` until the test ends; resolves with a stop that waits for the last batch. Batches of nothing, which
 * some engines hand out now and then, are not what the tests count.
 */
async function using(queue: Queue, handler: BatchHandler, work: () => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const consumed = queue.consume(async (batch) => {
    if (batch.records.length + batch.ephemeral.length > 0 || batch.commit === undefined) return handler(batch);
    batch.applied([]);
    return undefined;
  }, stop.signal);
  try {
    await work();
  } finally {
    stop.abort();
    await consumed;
    await queue[Symbol.asyncDispose]();
  }
}

export function queueConformance(engine: QueueEngine): void {
  if (engine.answersAfterApply) answeredByTheStore(engine);
  else answeredBeforeTheStore(engine);

  test('a push is answered with its id, after the handler said that it is applied', async () => {
    const queue = await engine.create(MIB);
    const apply = gate();
    let answered = false;
    await using(
      queue,
      async (batch) => {
        await apply.opened;
        if (engine.answersAfterApply) expect(answered).toBe(false);
        batch.applied(appended(batch.records));
        return undefined;
      },
      async () => {
        const accepting = queue.accept(record('user:1', 'a'));
        void accepting.then(() => {
          answered = true;
        });
        apply.open();
        const accepted = await accepting;
        expect(accepted.duplicate).toBe(false);
        expect(accepted.id.epoch).toBeGreaterThanOrEqual(1);
        expect(accepted.id.n).toBeGreaterThanOrEqual(engine.answersAfterApply ? 1 : 0);
      },
    );
  });

  test('ids increase in the order of acceptance and none is used twice', async () => {
    const queue = await engine.create(16 * MIB);
    const seen: MessageId[] = [];
    const order: string[] = [];
    await using(
      queue,
      async (batch) => {
        seen.push(...batch.records.map(({ id }) => id));
        order.push(...bodies(batch));
        batch.applied(appended(batch.records));
        return undefined;
      },
      async () => {
        const answers: Promise<{ id: MessageId }>[] = [];
        for (let round = 0; round < 20; round++) {
          for (let i = 0; i < 50; i++) answers.push(queue.accept(record('user:1', `${round * 50 + i}`)));
          await answers.at(-1);
        }
        const ids = (await Promise.all(answers)).map(({ id }) => id);
        for (const [index, id] of ids.entries()) {
          const before = ids[index - 1];
          if (before !== undefined) expect(compareIds(before, id)).toBeLessThan(0);
        }
        await expect.poll(() => seen.length).toBe(ids.length);
        expect(seen).toEqual(ids);
        expect(order).toEqual(ids.map((_, index) => String(index)));
      },
    );
  });

  test('the next batch waits for apply, not for the notification of the one before', async () => {
    const queue = await engine.create(MIB);
    const [apply, notify] = [gate(), gate()];
    const handed: string[][] = [];
    await using(
      queue,
      async (batch) => {
        handed.push(bodies(batch));
        if (handed.length === 1) await apply.opened;
        batch.applied(appended(batch.records));
        if (handed.length === 1) await notify.opened;
        return undefined;
      },
      async () => {
        const first = queue.accept(record('user:1', 'a'));
        await expect.poll(() => handed.length).toBe(1);
        const second = queue.accept(record('user:1', 'b'));
        await new Promise(setImmediate);
        expect(handed).toEqual([['a']]);
        apply.open();
        await Promise.all([first, second]);
        await expect.poll(() => handed).toEqual([['a'], ['b']]);
        notify.open();
      },
    );
  });

  test('a batch whose outcome is unknown comes again with the same ids, before anything newer', async () => {
    const queue = await engine.create(MIB);
    const handed: { ids: number[]; attempt: number }[] = [];
    await using(
      queue,
      async (batch) => {
        handed.push({ ids: batch.records.map(({ id }) => id.n), attempt: batch.attempt });
        if (handed.length === 1) void queue.accept(record('user:1', 'newer'));
        if (handed.length <= 2) throw new Error('the answer was lost');
        batch.applied(appended(batch.records));
        return undefined;
      },
      async () => {
        const accepted = await queue.accept(record('user:1', 'a'));
        await expect.poll(() => handed.length).toBe(4);
        const [first, second, third, newer] = handed;
        expect(second).toEqual({ ids: first?.ids, attempt: 2 });
        expect(third).toEqual({ ids: first?.ids, attempt: 3 });
        expect(newer?.ids[0]).toBeGreaterThan(first?.ids[0] ?? Number.POSITIVE_INFINITY);
        expect(first?.ids).toContain(engine.answersAfterApply ? accepted.id.n : first?.ids[0]);
      },
    );
  });

  test('a batch that was applied but not notified comes again', async () => {
    const queue = await engine.create(MIB);
    const attempts: number[] = [];
    await using(
      queue,
      async (batch) => {
        attempts.push(batch.attempt);
        batch.applied(appended(batch.records));
        if (attempts.length < 3) throw new Error('a comet could not be marked');
        return undefined;
      },
      async () => {
        await queue.accept(record('user:1', 'a'));
        await expect.poll(() => attempts).toEqual([1, 2, 3]);
      },
    );
  });

  test('a refusal after an unknown outcome refuses nothing: the first attempt may have been applied', async () => {
    const queue = await engine.create(MIB);
    let calls = 0;
    await using(
      queue,
      async (batch) => {
        calls++;
        if (calls === 1) throw new Error('the answer was lost');
        if (calls === 2) throw new ImgoError('store_full');
        batch.applied(
          batch.records.map(({ id }) => ({ kind: 'repeated', id, prev: { epoch: 0, n: 0 }, sessions: [] })),
        );
        return undefined;
      },
      async () => {
        const { duplicate } = await queue.accept(record('user:1', 'a'));
        expect(duplicate).toBe(false);
        await expect.poll(() => calls).toBe(3);
      },
    );
  });

  test('above its bound of bytes it refuses, and takes again what fits', async () => {
    const queue = await engine.create(64 * 1024);
    const apply = gate();
    await using(
      queue,
      async (batch) => {
        await apply.opened;
        batch.applied(appended(batch.records));
        return undefined;
      },
      async () => {
        const answers = Array.from({ length: 100 }, () => queue.accept(record('user:1', 'x'.repeat(1024))));
        const waiting = queue.stats();
        expect(waiting.waitingBytes).toBeLessThanOrEqual(64 * 1024);
        expect(waiting.waiting).toBeLessThan(64);
        expect(await codeOf(answers.at(-1) ?? Promise.resolve())).toBe('overloaded');
        apply.open();
        const settled = await Promise.allSettled(answers);
        expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(waiting.waiting);
        expect(queue.stats().refused.overloaded).toBe(100 - waiting.waiting);
        await queue.accept(record('user:1', 'x'.repeat(1024)));
        await expect.poll(() => queue.stats().waitingBytes).toBe(0);
      },
    );
  });

  test('a stopped queue takes nothing new; what it was given is handed out, by it or by the one after it', async () => {
    const queue = await engine.create(MIB);
    const apply = gate();
    const stop = new AbortController();
    const handed: string[] = [];
    const handler: BatchHandler = async (batch) => {
      await apply.opened;
      handed.push(...bodies(batch));
      batch.applied(appended(batch.records));
      return undefined;
    };
    const consumed = queue.consume(handler, stop.signal);
    const before = [queue.accept(record('user:1', 'a')), queue.accept(record('user:2', 'b'))];
    await new Promise(setImmediate);
    before.push(queue.accept(record('user:1', 'c')));
    stop.abort();
    expect(await codeOf(queue.accept(record('user:1', 'late')))).toBe('shutting_down');
    apply.open();
    expect((await Promise.allSettled(before)).map(({ status }) => status)).toEqual(Array(3).fill('fulfilled'));
    await consumed;
    await queue[Symbol.asyncDispose]();
    const next = await engine.another?.();
    if (next !== undefined) await using(next, handler, () => expect.poll(() => handed.length).toBe(3));
    expect(handed).toEqual(['a', 'b', 'c']);
  });

  test('an ephemeral record is handed out once, and not at all when it is old', async () => {
    const queue = await engine.create(MIB);
    const handed: string[] = [];
    let calls = 0;
    await using(
      queue,
      async (batch) => {
        handed.push(...batch.ephemeral.map(({ payload }) => new TextDecoder().decode(payload)));
        if (++calls === 1) throw new Error('the answer was lost');
        batch.applied(appended(batch.records));
        return undefined;
      },
      async () => {
        const durable = queue.accept(record('user:1', 'a'));
        await Promise.all([
          queue.acceptEphemeral(ephemeral('user:1', 'now')),
          queue.acceptEphemeral(ephemeral('user:1', 'old', 6_000)),
        ]);
        await durable;
        await expect.poll(() => calls).toBeGreaterThanOrEqual(2);
        expect(handed).toEqual(['now']);
        expect(queue.stats().dropped).toEqual({ ephemeral_stale: 1 });
      },
    );
  });
}

/** Accept waits for apply. */
function answeredByTheStore(engine: QueueEngine): void {
  test('what the store refused is refused with its code', async () => {
    const queue = await engine.create(MIB);
    const codes = ['store_full', 'overloaded'] as const;
    let round = 0;
    await using(
      queue,
      async () => {
        throw new ImgoError(codes[round] ?? 'internal');
      },
      async () => {
        expect(await codeOf(queue.accept(record('user:1', 'a')))).toBe('store_full');
        round++;
        expect(await codeOf(queue.accept(record('user:1', 'b')))).toBe('overloaded');
        expect(queue.stats().refused).toMatchObject({ store_full: 1, overloaded: 1 });
      },
    );
  });

  test('an idempotency key decides the answer', async () => {
    const queue = await engine.create(MIB);
    const first: MessageId = { epoch: 1, n: 7 };
    const outcomes: Record<string, RecordOutcome> = {
      duplicate: { kind: 'duplicate', id: first },
      mismatch: { kind: 'mismatch' },
      full: { kind: 'idempotency_full' },
      gone: { kind: 'gone', id: first },
      poison: { kind: 'poison' },
    };
    await using(
      queue,
      async (batch) => {
        batch.applied(bodies(batch).map((body): RecordOutcome => outcomes[body] ?? { kind: 'poison' }));
        return undefined;
      },
      async () => {
        const push = (body: string) =>
          queue.accept(record('user:1', body, { idempotency: { scope: 'k', key: body, bodyHash: body } }));
        expect(await push('duplicate')).toEqual({ id: first, duplicate: true });
        expect(await codeOf(push('mismatch'))).toBe('idempotency_mismatch');
        expect(await codeOf(push('full'))).toBe('idempotency_full');
        // Applied by an attempt whose answer was lost: with a key it may have been any of the above.
        expect(await codeOf(push('gone'))).toBe('outcome_unknown');
        expect((await queue.accept(record('user:1', 'gone'))).duplicate).toBe(false);
        expect(await codeOf(push('poison'))).toBe('internal');
      },
    );
  });
}

/** Accept does not wait for apply. */
function answeredBeforeTheStore(engine: QueueEngine): void {
  test('what the store refuses after the push was answered comes again until it takes it', async () => {
    const queue = await engine.create(MIB);
    const answered = gate();
    const handed: { readonly ids: readonly MessageId[]; readonly attempt: number }[] = [];
    await using(
      queue,
      async (batch) => {
        await answered.opened;
        handed.push({ ids: batch.records.map(({ id }) => id), attempt: batch.attempt });
        if (handed.length <= 2) throw new ImgoError(handed.length === 1 ? 'store_full' : 'overloaded');
        batch.applied(appended(batch.records));
        return undefined;
      },
      async () => {
        const { id } = await queue.accept(record('user:1', 'a'));
        answered.open();
        await expect.poll(() => handed).toEqual([1, 2, 3].map((attempt) => ({ ids: [id], attempt })));
        expect(queue.stats()).toMatchObject({ accepted: 1, refused: {} });
      },
    );
  });
}
