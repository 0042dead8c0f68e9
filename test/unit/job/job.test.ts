// The job on the engines of one process: what is applied is looked up after, told once, and committed when all answered.

import { afterEach, describe, expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import {
  ALL_LOG,
  type DeviceId,
  type LogName,
  type NodeId,
  type RoomId,
  roomLog,
  type SessionId,
  type UserId,
  userLog,
  ZERO_ID,
} from '../../../src/protocol/ids.js';
import { type Clock, systemClock } from '../../../src/server/clock.js';
import { createJob, type Job, type JobOptions } from '../../../src/server/job/job.js';
import { createEmbeddedQueue } from '../../../src/server/queue/embedded.js';
import type { Queue } from '../../../src/server/queue/queue.js';
import { createMemoryRegistry } from '../../../src/server/router/memory.js';
import type { Lease, Registry } from '../../../src/server/router/registry.js';
import type { CometService, Notification } from '../../../src/server/rpc/services.js';
import { bucketOf } from '../../../src/server/store/bucket.js';
import type { ApplyGroup, Buckets, BucketsOptions } from '../../../src/server/store/buckets.js';
import { createMemoryBuckets } from '../../../src/server/store/memory.js';

/** Waits a fiftieth of what is asked for. */
const hurried: Clock = { ...systemClock, after: (ms, run) => systemClock.after(ms / 50, run) };

const keep = { messages: 1_000, bytes: 1 << 20, ageMs: 3_600_000 };
const storeOptions: BucketsOptions = {
  keep,
  rooms: keep,
  devicesPerUser: 8,
  newDevice: 'kept',
  idempotency: { forMs: 60_000, bytes: 1 << 20 },
  forgetLogAfterMs: 3_600_000,
};

/** A comet as jobs see it: what it was told, and how it answers. */
class Comet {
  readonly frames: (readonly Notification[])[] = [];
  lease: Lease = { node: '' as NodeId, incarnation: 0, holdsMs: 0 };
  answer: () => Promise<void> = async () => undefined;
  readonly #gate = Promise.withResolvers<void>();

  /** From now on it acknowledges nothing, until `letGo`. */
  hang(): void {
    this.answer = () => this.#gate.promise;
  }

  letGo(): void {
    this.#gate.resolve();
  }

  readonly service: Pick<CometService, 'notify'> = {
    notify: (notifications) => {
      this.frames.push(notifications);
      return this.answer();
    },
  };

  get bodies(): string[] {
    return this.frames.flat().map(({ payload }) => new TextDecoder().decode(payload));
  }
}

interface Bench {
  readonly buckets: Buckets;
  readonly registry: Registry;
  readonly queue: Queue;
  readonly job: Job;
  readonly comets: Map<NodeId, Comet>;
  comet(name: string): Promise<Comet>;
  session(comet: Comet, user: string, device?: string): Promise<void>;
  push(log: LogName, body: string): ReturnType<Queue['accept']>;
  stop(): Promise<void>;
}

const running: Bench[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((bench) => bench.stop()));
});

interface BenchOptions extends Partial<Pick<JobOptions, 'ackMs' | 'maxUnackedBytes' | 'deadLetter'>> {
  readonly clock?: Clock;
  /** The store as the job sees it. */
  readonly through?: (buckets: Buckets) => Pick<Buckets, 'apply'>;
}

function bench(options: BenchOptions = {}): Bench {
  const { clock = systemClock, through, ...jobOptions } = options;
  const buckets = createMemoryBuckets(storeOptions, clock);
  const registry = createMemoryRegistry({ clock, leaseMs: 60_000 });
  const queue = createEmbeddedQueue({ epoch: buckets.epoch, clock, maxWaitingBytes: 1 << 20 });
  const comets = new Map<NodeId, Comet>();
  const seen = through?.(buckets);
  const forJob = seen === undefined ? buckets : overridden(buckets, seen.apply);
  const job = createJob({
    queue,
    buckets: forJob,
    registry,
    clock,
    cometFor: ({ node }) => comets.get(node)?.service as CometService,
    ...jobOptions,
  });
  const stop = new AbortController();
  const ran = job.run(stop.signal);
  let sessions = 0;
  const made: Bench = {
    buckets,
    registry,
    queue,
    job,
    comets,
    comet: async (name) => {
      const comet = new Comet();
      const record = { node: name as NodeId, roles: ['comet'] as const, address: '', version: '1', since: 1 };
      comet.lease = await registry.join(record);
      comets.set(comet.lease.node, comet);
      return comet;
    },
    session: async (comet, user, device = 'phone') => {
      sessions++;
      await buckets.register(
        {
          session: `s${sessions}` as SessionId,
          user: user as UserId,
          device: device as DeviceId,
          token: undefined,
          comet: comet.lease.node,
          incarnation: comet.lease.incarnation,
          seq: sessions,
          dialect: 'native',
          transport: 'tcp',
          peer: '',
          since: 1,
        },
        { cap: 8, onTooMany: 'replace-oldest' },
      );
    },
    push: (log, body) =>
      queue.accept({
        log,
        payload: new TextEncoder().encode(body),
        acceptedAt: clock.now(),
        expiresAt: clock.now() + 60_000,
      }),
    stop: async () => {
      stop.abort();
      for (const comet of comets.values()) comet.letGo();
      await ran;
      await queue[Symbol.asyncDispose]();
    },
  };
  running.push(made);
  return made;
}

function overridden(buckets: Buckets, apply: Buckets['apply']): Buckets {
  return new Proxy(buckets, {
    get(target, name) {
      if (name === 'apply') return apply;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const user = (name: string): LogName => userLog(name as UserId);
const room = (name: string): LogName => roomLog(name as RoomId);

describe('the job', () => {
  test('tells the comets of a user, each once for all its sessions there', async () => {
    const { comet, session, push } = bench();
    const [a, b, c] = [await comet('a'), await comet('b'), await comet('c')];
    await session(a, '1', 'phone');
    await session(a, '1', 'web');
    await session(b, '1', 'tablet');
    await session(c, '2');
    const { id } = await push(user('1'), 'x');
    await expect.poll(() => [a.bodies, b.bodies]).toEqual([['x'], ['x']]);
    expect(c.frames).toEqual([]);
    expect(a.frames[0]?.[0]).toMatchObject({ log: user('1'), id, prev: { n: 0 }, ephemeral: false });
  });

  test('tells the members of a room, and everybody of all', async () => {
    const { comet, push, registry } = bench();
    const [a, b] = [await comet('a'), await comet('b')];
    await registry.addRoom(a.lease, 'r' as RoomId, 1);
    await push(room('r'), 'to the room');
    await push(room('empty'), 'to nobody');
    await push(ALL_LOG, 'to all');
    await expect.poll(() => a.bodies).toEqual(['to the room', 'to all']);
    expect(b.bodies).toEqual(['to all']);
  });

  test('sends one frame to a comet for a batch, in the order of ids', async () => {
    const { comet, session, push } = bench();
    const a = await comet('a');
    for (let i = 0; i < 5; i++) await session(a, `${i}`);
    await Promise.all(Array.from({ length: 20 }, (_, index) => push(user(`${index % 5}`), `${index}`)));
    await expect.poll(() => a.bodies).toEqual(Array.from({ length: 20 }, (_, index) => `${index}`));
    expect(a.frames).toHaveLength(1);
  });

  test('answers a push before its comets have acknowledged', async () => {
    const { comet, session, push } = bench({ ackMs: 60_000 });
    const a = await comet('a');
    a.hang();
    await session(a, '1');
    await push(user('1'), 'x');
    await push(user('1'), 'y');
    await expect.poll(() => a.bodies).toEqual(['x', 'y']);
  });

  test('marks a comet that does not acknowledge to re-read, and goes on', async () => {
    const { comet, session, push, registry, job } = bench({ ackMs: 5 });
    const [silent, broken, well] = [await comet('silent'), await comet('broken'), await comet('well')];
    silent.hang();
    broken.answer = () => Promise.reject(new Error('the link broke'));
    for (const each of [silent, broken, well]) await session(each, '1', each.lease.node);
    await push(user('1'), 'x');
    const resync = async (each: Comet) => {
      const renewal = await registry.renew(each.lease);
      return renewal.kind === 'renewed' && renewal.resync !== undefined;
    };
    await expect.poll(async () => [await resync(silent), await resync(broken)]).toEqual([true, true]);
    expect(await resync(well)).toBe(false);
    expect(job.counters).toMatchObject({ acknowledged: 1, resyncUnacknowledged: 2 });
  });

  test('sends no more to a comet that owes too much, and marks it', async () => {
    const { comet, session, push, registry, job } = bench({ ackMs: 60_000, maxUnackedBytes: 1_000 });
    const a = await comet('a');
    a.hang();
    await session(a, '1');
    for (let i = 0; i < 5; i++) await push(user('1'), 'x'.repeat(300));
    await expect.poll(() => job.counters.resyncDropped).toBeGreaterThan(0);
    expect(a.frames.length).toBeLessThan(5);
    expect(await registry.renew(a.lease)).toMatchObject({ kind: 'renewed', resync: expect.any(Number) });
  });

  test('leaves out a comet without a lease', async () => {
    const { comet, session, push, registry, job } = bench();
    const a = await comet('a');
    await session(a, '1');
    await registry.leave(a.lease);
    await push(user('1'), 'x');
    await expect.poll(() => job.counters.cometsExpired).toBe(1);
    expect(a.frames).toEqual([]);
  });

  test('tells a comet that joined, or came back, a moment after the registry was asked', async () => {
    const { comet, session, push } = bench();
    const a = await comet('a');
    await session(a, '1');
    await push(user('1'), 'x');
    await expect.poll(() => a.bodies).toEqual(['x']);
    const b = await comet('b');
    await session(b, '1', 'web');
    await push(user('1'), 'y');
    await expect.poll(() => [a.bodies, b.bodies]).toEqual([['x', 'y'], ['y']]);
    const again = await comet('b');
    await session(again, '1', 'web');
    await push(user('1'), 'z');
    await expect.poll(() => [a.bodies, b.bodies, again.bodies]).toEqual([['x', 'y', 'z'], ['y'], ['z']]);
  });

  test('leaves out sessions of an incarnation that ended', async () => {
    const { comet, session, push, job } = bench();
    const older = await comet('a');
    await session(older, '1');
    const newer = await comet('a');
    await push(user('1'), 'x');
    await expect.poll(() => job.counters.cometsExpired).toBe(1);
    expect([...older.frames, ...newer.frames]).toEqual([]);
  });

  test('notifies again what was applied by an attempt whose answer was lost', async () => {
    let calls = 0;
    const { comet, session, push, job } = bench({
      through: (buckets) => ({
        apply: async (groups) => {
          const results = await buckets.apply(groups);
          if (++calls === 1) throw new Error('the answer was lost');
          return results;
        },
      }),
    });
    const a = await comet('a');
    await session(a, '1');
    const { id } = await push(user('1'), 'x');
    await expect.poll(() => a.bodies).toEqual(['x']);
    expect(a.frames[0]?.[0]?.id).toEqual(id);
    expect(job.counters).toMatchObject({ repeated: 1, appended: 0, applyFailures: 1 });
  });

  test('has readers re-read when an entry is gone before they were told', async () => {
    let calls = 0;
    const { comet, session, registry, queue, job } = bench({
      through: (buckets) => ({
        apply: async (groups: readonly ApplyGroup[]) => {
          const results = await buckets.apply(groups);
          if (++calls === 1) throw new Error('the answer was lost');
          return results;
        },
      }),
    });
    const a = await comet('a');
    await session(a, '1');
    const acceptedAt = systemClock.now();
    const payload = new TextEncoder().encode('short-lived');
    await queue.accept({ log: user('1'), payload, acceptedAt, expiresAt: acceptedAt + 1 });
    await expect.poll(() => job.counters.gone).toBe(1);
    await expect.poll(() => registry.renew(a.lease)).toMatchObject({ kind: 'renewed', resync: expect.any(Number) });
  });

  test('puts aside the one record that the store cannot keep, and no other', async () => {
    const put: string[] = [];
    const { comet, session, push, job } = bench({
      clock: hurried,
      deadLetter: async ({ payload }) => {
        put.push(new TextDecoder().decode(payload));
      },
      through: (buckets) => ({
        apply: async (groups) => {
          const poison = groups.some(({ records }) => records.some(({ payload }) => payload[0] === 0x21));
          if (poison) throw new RangeError('cannot be kept');
          return buckets.apply(groups);
        },
      }),
    });
    const a = await comet('a');
    await session(a, '1');
    const outcomes = await Promise.allSettled(['a', '!', 'b'].map((body) => push(user('1'), body)));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(put).toEqual(['!']);
    await expect.poll(() => a.bodies).toEqual(['a', 'b']);
    expect(job.counters.poison).toBe(1);
  });

  test.each([
    ['away for a while', new Error('the connection broke')],
    ['full for a while', new ImgoError('store_full')],
  ])('puts nothing aside because the store is %s', async (_case, error) => {
    let calls = 0;
    const { buckets, push, job } = bench({
      clock: hurried,
      through: (store) => ({
        apply: async (groups) => {
          // Works again just when the record could be skipped.
          if (++calls <= 8 && calls !== 1) throw error;
          if (calls === 1) throw new Error('the connection broke');
          return store.apply(groups);
        },
      }),
    });
    await push(user('1'), 'x');
    expect((await buckets.log(user('1')))?.messages).toBe(1);
    expect(job.counters.poison).toBe(0);
  });

  test('skips nothing when the store breaks down over a record and does not even move its mark', async () => {
    let broken = true;
    const { buckets, push, job } = bench({
      clock: hurried,
      through: (store) => ({
        apply: async (groups) => {
          if (broken) throw new RangeError('out of range');
          return store.apply(groups);
        },
      }),
    });
    const pushed = push(user('1'), 'x');
    await expect.poll(() => job.counters.applyFailures, { timeout: 10_000 }).toBeGreaterThan(6);
    broken = false;
    await pushed;
    expect((await buckets.log(user('1')))?.messages).toBe(1);
    expect(job.counters.poison).toBe(0);
  });

  test('gives ephemeral messages to who is connected, and drops those that are old', async () => {
    const { comet, session, queue, registry, job, buckets } = bench();
    const a = await comet('a');
    await session(a, '1');
    await registry.addRoom(a.lease, 'r' as RoomId, 1);
    const now = systemClock.now();
    const send = (log: LogName, body: string, acceptedAt: number) =>
      queue.acceptEphemeral({ log, payload: new TextEncoder().encode(body), acceptedAt, ephemeral: true });
    await Promise.all([send(user('1'), 'x', now), send(room('r'), 'y', now), send(ALL_LOG, 'z', now)]);
    await send(user('1'), 'old', now - 5_001);
    await expect.poll(() => a.bodies).toEqual(['x', 'y', 'z']);
    expect(a.frames.flat()[0]).toMatchObject({ id: { epoch: 0, n: 0 }, ephemeral: true });
    expect(job.counters.ephemeral).toBe(3);
    expect(await buckets.log(user('1'))).toBeUndefined();
  });

  test('has every comet re-read when the store lost writes, and applies the batch upon its mark', async () => {
    let calls = 0;
    const { comet, push, registry, job, buckets } = bench({
      clock: hurried,
      through: (store) => ({
        apply: async (groups) => {
          if (++calls === 1) return groups.map(() => ({ kind: 'behind', mark: ZERO_ID }));
          return store.apply(groups);
        },
      }),
    });
    const [a, b] = [await comet('a'), await comet('b')];
    await push(user('1'), 'x');
    for (const { lease } of [a, b]) {
      expect(await registry.renew(lease)).toMatchObject({ kind: 'renewed', resync: expect.any(Number) });
    }
    expect((await buckets.log(user('1')))?.messages).toBe(1);
    expect(job.counters.behind).toBe(1);
  });

  test('keeps what it saw of a store that lost writes until every comet is marked', async () => {
    const seen: number[] = [];
    const { comet, session, push, registry } = bench({
      clock: hurried,
      through: (store) => ({
        apply: async (groups) => {
          const [group] = groups;
          seen.push(group?.lastSeen.n ?? -1);
          // The write of the first push is lost; nothing has been written since.
          if (seen.length === 2 || seen.length === 3) return [{ kind: 'behind', mark: ZERO_ID }];
          return store.apply(groups);
        },
      }),
    });
    const a = await comet('a');
    await session(a, '1');
    const { id } = await push(user('1'), 'x');
    await expect.poll(() => a.bodies).toEqual(['x']);
    const comets = registry.comets.bind(registry);
    registry.comets = async () => {
      registry.comets = comets;
      throw new Error('the registry is away');
    };
    await push(user('1'), 'y');
    // Were the lost mark believed at once, the third attempt would be applied over the hole, and nobody would re-read.
    expect(seen).toEqual([0, id.n, id.n, 0]);
    expect(await registry.renew(a.lease)).toMatchObject({ kind: 'renewed', resync: expect.any(Number) });
  });

  test('never goes forward to a mark that lies behind what it saw, yet after the batch', async () => {
    const { buckets, registry, comets } = bench();
    const seeks: unknown[] = [];
    const marks = new Map([
      [bucketOf(user('1')), { epoch: 1, n: 14 }],
      [bucketOf(user('2')), { epoch: 1, n: 8 }],
    ]);
    const store = overridden(buckets, async (groups) =>
      groups.map((group) =>
        group.lastSeen.n === 14
          ? { kind: 'behind', mark: { epoch: 1, n: 13 } }
          : { kind: 'applied', mark: group.upTo, results: group.records.map(({ id }) => ({ kind: 'gone', id })) },
      ),
    );
    store.marks = async (asked) => asked.map((bucket) => marks.get(bucket) ?? ZERO_ID);
    const owned = [...marks.keys()];
    const queue: Pick<Queue, 'consume'> = {
      consume: async (handler, _signal, assigned) => {
        await assigned?.(0, owned);
        const record = { log: user('2'), payload: new Uint8Array(1), acceptedAt: 1, expiresAt: 1e15 };
        const commit = { upTo: { epoch: 1, n: 11 }, buckets: owned };
        const batch = { partition: 0, ephemeral: [], attempt: 1, commit, applied: () => undefined };
        seeks.push(await handler({ ...batch, records: [{ ...record, id: { epoch: 1, n: 11 } }] }));
      },
    };
    const cometFor = ({ node }: { node: NodeId }) => comets.get(node)?.service as CometService;
    await createJob({ queue: queue as Queue, buckets: store, registry, clock: systemClock, cometFor }).run(
      new AbortController().signal,
    );
    // User 2 has been applied up to 11 only: what it has in 12 and 13 would be skipped.
    expect(seeks).toEqual([{ kind: 'seek', to: { epoch: 1, n: 10 } }]);
  });

  test('a batch moves the marks of all the buckets that it covers, also of those without a record in it', async () => {
    const { buckets, registry, comets } = bench();
    const applied: ApplyGroup[] = [];
    const store = overridden(buckets, async (groups) => {
      applied.push(...groups);
      return groups.map((group) => ({
        kind: 'applied',
        mark: group.upTo,
        results: group.records.map(({ id }) => ({ kind: 'gone', id })),
      }));
    });
    const [here, elsewhere] = [bucketOf(user('1')), bucketOf(user('2'))];
    store.marks = async (asked) => asked.map(() => ZERO_ID);
    const queue: Pick<Queue, 'consume'> = {
      consume: async (handler, _signal, assigned) => {
        await assigned?.(0, [here, elsewhere]);
        const record = { log: user('1'), payload: new Uint8Array(1), acceptedAt: 1, expiresAt: 1e15 };
        const commit = { upTo: { epoch: 1, n: 11 }, buckets: [here, elsewhere] };
        const batch = { partition: 0, ephemeral: [], attempt: 1, commit, applied: () => undefined };
        await handler({ ...batch, records: [{ ...record, id: { epoch: 1, n: 9 } }] });
      },
    };
    const cometFor = ({ node }: { node: NodeId }) => comets.get(node)?.service as CometService;
    await createJob({ queue: queue as Queue, buckets: store, registry, clock: systemClock, cometFor }).run(
      new AbortController().signal,
    );
    expect(applied.map(({ bucket, upTo, records }) => [bucket, upTo.n, records.length])).toEqual([
      [here, 11, 1],
      [elsewhere, 11, 0],
    ]);
  });

  test('an ephemeral message that waited too long in whatever queue is dropped', async () => {
    const { buckets, registry, comet, comets } = bench();
    const a = await comet('a');
    await registry.addRoom(a.lease, 'r' as RoomId, 1);
    const now = systemClock.now();
    const ephemeral = [now - 5_500, now].map((acceptedAt) => ({
      log: room('r'),
      payload: new TextEncoder().encode(acceptedAt === now ? 'new' : 'old'),
      acceptedAt,
      ephemeral: true as const,
    }));
    const queue: Pick<Queue, 'consume'> = {
      consume: async (handler) => {
        await handler({ partition: 0, records: [], ephemeral, attempt: 1, applied: () => undefined });
      },
    };
    const job = createJob({
      queue: queue as Queue,
      buckets,
      registry,
      clock: systemClock,
      cometFor: ({ node }) => comets.get(node)?.service as CometService,
    });
    await job.run(new AbortController().signal);
    await expect.poll(() => a.bodies).toEqual(['new']);
    expect(job.counters).toMatchObject({ ephemeral: 2, ephemeralStale: 1 });
  });
});
