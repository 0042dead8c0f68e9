// A transaction that lmdb aborts for want of space is undone in memory too: after any number of such failures, at any
// moment, a store keeps the invariants of delivery. The failure is injected: the puts are made nowhere, and the commit
// rejects as lmdb's does.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { ApplyGroup, Buckets, BucketsOptions } from '../../../src/server/store/buckets.js';
import { Counters } from '../../../src/server/store/counters.js';
import { LmdbBuckets } from '../../../src/server/store/lmdb/buckets.js';
import { Committer } from '../../../src/server/store/lmdb/committer.js';
import { Engine } from '../../../src/server/store/lmdb/engine.js';
import { Space } from '../../../src/server/store/lmdb/space.js';
import { openTables, type Tables } from '../../../src/server/store/lmdb/tables.js';
import { Unrecorded } from '../../../src/server/store/lmdb/unrecorded.js';
import { SessionTable } from '../../../src/server/store/sessions.js';
import { OPTIONS as STAGE_OPTIONS, Stage } from '../../conformance/buckets-stage.js';
import { fc } from '../../harness/property.js';
import { runs } from './random-steps.js';
import { TestClock } from './test-clock.js';
import { type Step, World } from './world.js';

const root = mkdtempSync(join(tmpdir(), 'imgo-undo-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Tables whose transactions can be made to fail. */
function failing(tables: Tables, fails: () => boolean): Tables {
  let failed = false;
  const guard = <T extends object>(table: T): T =>
    new Proxy(table, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        if (failed && (name === 'put' || name === 'remove')) return () => Promise.resolve(true);
        return value.bind(target) as unknown;
      },
    });
  const begin = (build: () => void): Promise<boolean> => {
    failed = fails();
    if (!failed) return tables.root.batch(build);
    build();
    failed = false;
    return Promise.reject(new Error('No space left on device'));
  };
  const parts = Object.entries(tables).map(([name, table]) => [name, guard(table as object)]);
  const proxies = Object.fromEntries(parts) as unknown as Tables;
  const root = new Proxy(tables.root, {
    get: (target, name) => {
      const value: unknown = name === 'batch' ? begin : Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  return { ...proxies, root };
}

interface Opened {
  readonly buckets: Buckets;
  end(): Promise<void>;
}

async function open(options: BucketsOptions, clock: TestClock, fails: () => boolean): Promise<Opened> {
  const folder = mkdtempSync(join(root, 'd-'));
  const real = await openTables(join(folder, 'store.mdb'));
  const tables = failing(real, fails);
  const counters = new Counters();
  const space = new Space(tables, clock, folder, 0);
  const committer = new Committer(tables, clock, counters, space);
  const sessions = new SessionTable();
  const unrecorded = new Unrecorded(folder, 0);
  const cache = { logs: 1, entries: 8 };
  const parts = {
    tables,
    options,
    clock,
    counters,
    sessions,
    committer,
    epoch: 1_800_000_000,
    crashedEpoch: 0,
    unrecorded,
    cache,
  };
  const buckets = new LmdbBuckets(new Engine(parts), space);
  const end = async (): Promise<void> => {
    await committer.close();
    await real.root.close();
    unrecorded.close(false);
    rmSync(folder, { recursive: true });
  };
  return { buckets, end };
}

/** Calls again what was refused, as callers do: each refusal is a transaction that failed. */
function persistent(buckets: Buckets, clock: TestClock): Buckets {
  const again = async <T>(call: () => Promise<T>): Promise<T> => {
    for (let tries = 0; ; tries++) {
      try {
        return await call();
      } catch (error) {
        expect(error).toMatchObject({ code: 'store_full' });
        expect(tries).toBeLessThan(50);
        // Until the disk is looked at again.
        clock.pass(300);
      }
    }
  };
  return Object.assign(Object.create(buckets) as Buckets, {
    epoch: buckets.epoch,
    apply: (groups: readonly ApplyGroup[]) => again(() => buckets.apply(groups)),
    flush: () => again(() => buckets.flush()),
    read: buckets.read.bind(buckets),
    log: buckets.log.bind(buckets),
    devices: buckets.devices.bind(buckets),
    register: buckets.register.bind(buckets),
    unregister: buckets.unregister.bind(buckets),
    progress: buckets.progress.bind(buckets),
    closeCursor: buckets.closeCursor.bind(buckets),
    maintain: buckets.maintain.bind(buckets),
    openCursor: (...args: Parameters<Buckets['openCursor']>) => again(() => buckets.openCursor(...args)),
  });
}

describe('a commit that finds no room', () => {
  test('is refused entirely: entries, marks and idempotency are as before', async () => {
    const clock = new TestClock();
    let full = false;
    const { buckets, end } = await open(STAGE_OPTIONS, clock, () => full);
    const stage = new Stage({ create: async () => buckets, clock: () => clock }, clock, buckets);
    const idempotency = { scope: 's', key: 'k', bodyHash: 'b' };
    await stage.push(9);
    const before = [await buckets.log(stage.record(1).log), await buckets.marks([655]), await stage.read()];
    full = true;
    const records = [10, 11, 12].map((n) => stage.record(n, n === 10 ? { idempotency } : {}));
    await expect(stage.apply(records)).rejects.toMatchObject({ code: 'store_full', http: 507 });
    expect([await buckets.log(stage.record(1).log), await buckets.marks([655]), await stage.read()]).toEqual(before);
    full = false;
    clock.pass(1_000);
    expect(await stage.apply(records)).toMatchObject({
      results: [{ kind: 'appended', prev: stage.id(9) }, { kind: 'appended' }, { kind: 'appended' }],
    });
    expect(await stage.shown(stage.id(1))).toBe('(1-2] 3 4 5 6 7 8 9 10 11 12');
    expect(stage.count('commits_failed')).toBe(1);
    await end();
  });

  test('breaks no invariant, at any moment of any history', async () => {
    const options: BucketsOptions = {
      ...STAGE_OPTIONS,
      keep: { messages: 8, bytes: 400, ageMs: 10_000 },
      devicesPerUser: 2,
      idempotency: { forMs: 4_000, bytes: 3_000 },
    };
    const user = fc.integer({ min: 0, max: 1 });
    const session = fc.nat({ max: 7 });
    const step = fc.oneof(
      fc.record({
        do: fc.constant('push'),
        user,
        size: fc.nat({ max: 120 }),
        ttl: fc.constantFrom(1_000, 1_000_000),
        key: fc.constantFrom(0, 0, 1, 2),
      }),
      fc.record({ do: fc.constant('open'), user, device: fc.nat({ max: 2 }), given: fc.boolean() }),
      fc.record({ do: fc.constant('read'), session, limit: fc.integer({ min: 1, max: 9 }) }),
      fc.record({ do: fc.constant('acknowledge'), session, confirmed: fc.boolean() }),
      fc.record({ do: fc.constant('close'), session, how: fc.constantFrom('clean', 'unclean', 'vanish') }),
      fc.record({ do: fc.constant('pass'), ms: fc.constantFrom(300, 900, 9_000) }),
    ) as fc.Arbitrary<Step>;
    const history = fc.array(step, { minLength: 1, maxLength: 60 });
    const failures = fc.array(fc.boolean(), { minLength: 1, maxLength: 40 });
    const property = fc.asyncProperty(history, failures, async (steps, pattern) => {
      const clock = new TestClock();
      let commits = 0;
      // Two failures at most in a row, so that every caller gets through.
      const fails = (): boolean => pattern[commits++ % pattern.length] === true && commits % 3 !== 0;
      const { buckets, end } = await open(options, clock, fails);
      try {
        const patient = persistent(buckets, clock);
        await new World(patient, clock, options).run(steps);
      } finally {
        await end();
      }
    });
    await fc.assert(property, runs(30));
  });
});
