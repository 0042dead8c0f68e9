// Between processes: who holds a folder keeps it, whatever becomes of the lock file, until the process is dead.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openLmdbStore } from '../../../src/server/store/lmdb.js';
import { OPTIONS } from '../../conformance/buckets-stage.js';
import { TestClock } from './test-clock.js';

const HOOKS = join(import.meta.dirname, '../../../scripts/typescript.mjs');

async function held(): Promise<{ path: string; holder: ChildProcess }> {
  const path = mkdtempSync(join(tmpdir(), 'imgo-lock-'));
  const holder = fork(join(import.meta.dirname, 'holder.ts'), [path], { execArgv: ['--import', HOOKS] });
  onTestFinished(async () => {
    if (holder.exitCode === null && holder.signalCode === null) {
      holder.kill('SIGKILL');
      await once(holder, 'exit');
    }
    rmSync(path, { recursive: true, force: true });
  });
  await once(holder, 'message');
  return { path, holder };
}

const open = (path: string) => openLmdbStore({ path, options: OPTIONS, clock: new TestClock() });

describe('a store that another process holds', () => {
  test('is refused by its lock, and without it by what the kernel knows', async () => {
    const { path, holder } = await held();
    await expect(open(path)).rejects.toMatchObject({ code: 'data_locked', details: { pid: holder.pid } });
    rmSync(join(path, 'lock'));
    await expect(open(path)).rejects.toMatchObject({ code: 'data_locked', details: { pid: holder.pid } });
    expect(existsSync(join(path, 'lock'))).toBe(false);
  });

  test('is free as soon as that process was killed', async () => {
    const { path, holder } = await held();
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    const store = await open(path);
    await store[Symbol.asyncDispose]();
  });
});
