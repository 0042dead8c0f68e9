// Random histories against both engines: each keeps the invariants of delivery, alone and over restarts and crashes, and
// where nothing restarts they give the same answers to everything.

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Buckets } from '../../../src/server/store/buckets.js';
import { type LmdbStore, openLmdbStore } from '../../../src/server/store/lmdb.js';
import { createMemoryBuckets } from '../../../src/server/store/memory.js';
import { fc } from '../../harness/property.js';
import { history, OPTIONS, push, restart, runs, weighted } from './random-steps.js';
import { TestClock } from './test-clock.js';
import { type Step, World } from './world.js';

const root = mkdtempSync(join(tmpdir(), 'imgo-histories-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function openLmdb(clock: TestClock): Promise<{
  buckets: Buckets;
  restart: (how: string) => Promise<Buckets>;
  disk: (full: boolean) => void;
  end: () => Promise<void>;
}> {
  let path = mkdtempSync(join(root, 'd-'));
  let free = Number.POSITIVE_INFINITY;
  const room = { reserveBytes: 8, freeBytes: () => free };
  const start = (): Promise<LmdbStore> =>
    openLmdbStore({ path, options: OPTIONS, clock, ...room, cache: { logs: 1, entries: 8 } });
  let store = await start();
  return {
    buckets: store.buckets,
    disk: (full) => {
      free = full ? 0 : Number.POSITIVE_INFINITY;
    },
    restart: async (end) => {
      const copy = mkdtempSync(join(root, 'c-'));
      if (end === 'crash') cpSync(path, copy, { recursive: true });
      await store[Symbol.asyncDispose]();
      // No server starts on a full disk.
      free = Number.POSITIVE_INFINITY;
      if (end === 'crash') {
        rmSync(path, { recursive: true });
        path = copy;
        rmSync(join(path, 'lock'));
      }
      store = await start();
      return store.buckets;
    },
    end: async () => {
      await store[Symbol.asyncDispose]();
      rmSync(path, { recursive: true });
    },
  };
}

async function onMemory(steps: readonly Step[]): Promise<unknown[]> {
  const clock = new TestClock();
  const world = new World(createMemoryBuckets(OPTIONS, clock), clock, OPTIONS);
  await world.run(steps);
  return world.answers;
}

async function onLmdb(steps: readonly Step[], legacy = false): Promise<unknown[]> {
  const clock = new TestClock();
  const { buckets, restart: again, disk, end } = await openLmdb(clock);
  try {
    const world = new World(buckets, clock, OPTIONS, again, legacy, disk);
    await world.run(steps);
    return world.answers;
  } finally {
    await end();
  }
}

describe('random histories', () => {
  test('the memory engine keeps the invariants of delivery', async () => {
    await fc.assert(
      fc.asyncProperty(history([]), (steps) => onMemory(steps).then(() => undefined)),
      runs(400),
    );
  });

  test('the lmdb engine keeps them over restarts and crashes', async () => {
    const arbitrary = history([{ arbitrary: restart, weight: 1 }]);
    await fc.assert(
      fc.asyncProperty(arbitrary, (steps) => onLmdb(steps, true).then(() => undefined)),
      runs(40),
    );
  });

  test('the lmdb engine keeps them where the disk fills and a device returns, over restarts and crashes', async () => {
    const some = fc.array(fc.oneof(...weighted) as fc.Arbitrary<Step>, { maxLength: 6 });
    const arbitrary = fc
      .tuple(some, some, some, push, fc.nat({ max: 1 }), restart, fc.boolean())
      .map(([before, during, after, sent, device, end, freed]): Step[] => {
        const come: Step = { do: 'open', user: sent.user, device, given: false };
        const take: Step = { do: 'read', session: -1, limit: 9 };
        const leave: Step = { do: 'close', session: -1, how: 'clean' };
        const fill: Step = { do: 'disk', full: true };
        const free: Step = { do: 'disk', full: !freed };
        return [...before, come, take, leave, sent, fill, come, take, ...during, free, end, come, take, ...after];
      });
    await fc.assert(
      fc.asyncProperty(arbitrary, (steps) => onLmdb(steps, true).then(() => undefined)),
      runs(60),
    );
  });

  test('both engines give the same answers', async () => {
    const same = async (steps: readonly Step[]): Promise<void> => {
      expect(await onLmdb(steps)).toEqual(await onMemory(steps));
    };
    await fc.assert(fc.asyncProperty(history([]), same), runs(40));
  });
});
