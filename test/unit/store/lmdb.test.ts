// The lmdb engine keeps every promise of the Buckets contract, also across restarts and crashes.

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import type { Buckets, BucketsOptions } from '../../../src/server/store/buckets.js';
import { type LmdbStore, openLmdbStore } from '../../../src/server/store/lmdb.js';
import { bucketsConformance } from '../../conformance/buckets.js';
import { TestClock } from './test-clock.js';

const root = mkdtempSync(join(tmpdir(), 'imgo-store-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Running {
  readonly store: LmdbStore;
  readonly path: string;
  readonly options: BucketsOptions;
  readonly clock: TestClock;
}

const running = new Map<Buckets, Running>();

async function start(path: string, options: BucketsOptions, clock: TestClock): Promise<Buckets> {
  const cache = { logs: 4, entries: 40 };
  const store = await openLmdbStore({ path, options, clock, reserveBytes: 0, cache });
  const { buckets } = store;
  running.set(buckets, { store, path, options, clock });
  // The stage closes buckets; the store is what has to be closed.
  buckets[Symbol.asyncDispose] = () => store[Symbol.asyncDispose]();
  return buckets;
}

describe('lmdb', () => {
  bucketsConformance({
    clock: () => new TestClock(),
    create: (options, clock) => start(mkdtempSync(join(root, 'd-')), options, clock),
    async restart(buckets, how) {
      const { store, path, options, clock } = running.get(buckets) as Running;
      if (how === 'orderly') {
        await store[Symbol.asyncDispose]();
        return start(path, options, clock);
      }
      // The file as a crash would leave it: copied while the process is still at it.
      const copy = mkdtempSync(join(root, 'c-'));
      cpSync(join(path, 'store.mdb'), join(copy, 'store.mdb'));
      await store[Symbol.asyncDispose]();
      return start(copy, options, clock);
    },
  });
});
