// Group commit by itself: what is due while a transaction is on its way is written after it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/server/clock.js';
import { Counters } from '../../../src/server/store/counters.js';
import { Committer } from '../../../src/server/store/lmdb/committer.js';
import { openTables, type Tables } from '../../../src/server/store/lmdb/tables.js';

/** Real tables whose transactions end when `until` does. */
async function slowTables(until: () => Promise<void>): Promise<Tables> {
  const folder = mkdtempSync(join(tmpdir(), 'imgo-committer-'));
  const tables = await openTables(join(folder, 'store.mdb'));
  onTestFinished(async () => {
    await tables.root.close();
    rmSync(folder, { recursive: true });
  });
  const batch = async (build: () => void): Promise<boolean> => {
    const done = await tables.root.batch(build);
    await until();
    return done;
  };
  const root = new Proxy(tables.root, {
    get: (target, name) => (name === 'batch' ? batch : Reflect.get(target, name)),
  });
  return { ...tables, root };
}

test('a transaction that became due during another one begins after it, though nobody asks again', async () => {
  const until: { promise: Promise<void> } = { promise: Promise.resolve() };
  const disk = { room: () => 'enough' as const, full: () => new Error('full') as never };
  const committer = new Committer(await slowTables(() => until.promise), systemClock, new Counters(), disk);
  let built = 0;
  committer.background = {
    build: () => {
      built++;
      if (built > 1) return;
      committer.within(1);
      // Set after the committer's own timer: that one has fired when this transaction ends.
      until.promise = new Promise((resolve) => setTimeout(resolve, 20));
    },
    committed: () => undefined,
    failed: () => undefined,
  };
  await committer.flush();
  await expect.poll(() => built).toBe(2);
  await committer.close();
});
