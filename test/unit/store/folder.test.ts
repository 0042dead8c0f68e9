// The data folder: one holder at a time, no newer format is touched, and damage is found before lmdb opens the file or
// when an entry is read, never by a crash.

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import { type LogName, userLog, ZERO_ID } from '../../../src/protocol/ids.js';
import type { Entry } from '../../../src/server/store/buckets.js';
import { type LmdbOptions, type LmdbStore, openLmdbStore } from '../../../src/server/store/lmdb.js';
import { LOG, OPTIONS, PLENTY, Stage, user } from '../../conformance/buckets-stage.js';
import { seededRandom } from '../../harness/random.js';
import { TestClock } from './test-clock.js';

const root = mkdtempSync(join(tmpdir(), 'imgo-folder-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const folder = (): string => mkdtempSync(join(root, 'd-'));

async function open(path: string, more: Partial<LmdbOptions> = {}): Promise<LmdbStore> {
  const keep = { messages: 1_000, bytes: 1 << 20, ageMs: 1e9 };
  const options = { ...OPTIONS, keep };
  const store = await openLmdbStore({ path, options, clock: new TestClock(), version: '0.1.0', ...more });
  onTestFinished(() => store[Symbol.asyncDispose]());
  return store;
}

async function refusal(path: string): Promise<ImgoError> {
  try {
    await open(path);
  } catch (error) {
    if (error instanceof ImgoError) return error;
    throw error;
  }
  throw new Error('it was opened');
}

/** A folder with entries in some logs, closed in order. */
async function written(
  entries: number,
  payload = (n: number) => Buffer.from(`payload ${n} `.repeat(9)),
): Promise<string> {
  const path = folder();
  const store = await open(path);
  const stage = new Stage(
    { clock: () => new TestClock(), create: async () => store.buckets },
    new TestClock(),
    store.buckets,
  );
  for (let n = 1; n <= entries; n++) {
    await stage.applyOne(stage.record(n, { log: n % 3 === 0 ? userLog(user('bob')) : LOG, payload: payload(n) }));
  }
  await store[Symbol.asyncDispose]();
  return path;
}

describe('a locked folder', () => {
  test('a second opener is told who holds it', async () => {
    const path = folder();
    const store = await open(path);
    store.announce('http://127.0.0.1:7172');
    const error = await refusal(path);
    expect(error.code).toBe('data_locked');
    expect(error.details).toMatchObject({
      data: path,
      version: '0.1.0',
      pid: process.pid,
      url: 'http://127.0.0.1:7172',
    });
    await store[Symbol.asyncDispose]();
    expect(existsSync(join(path, 'lock'))).toBe(false);
    await open(path);
  });

  test.each([
    ['of a process that is dead', { pid: 2 ** 22 - 1, started: '1' }],
    ['of an earlier process with this pid', { pid: process.pid, started: '1' }],
    ['that says nothing', undefined],
  ])('a lock %s is taken over', async (_what, holder) => {
    const path = folder();
    const lock = holder === undefined ? '' : JSON.stringify({ ...holder, version: '0', since: '', url: '' });
    writeFileSync(join(path, 'lock'), lock);
    await open(path);
    expect(JSON.parse(readFileSync(join(path, 'lock'), 'utf8'))).toMatchObject({ pid: process.pid, version: '0.1.0' });
  });

  test('a lock of a live process is respected', async () => {
    const path = folder();
    writeFileSync(
      join(path, 'lock'),
      JSON.stringify({ pid: process.ppid, started: '', version: '9', since: 'x', url: '' }),
    );
    expect(await refusal(path)).toMatchObject({ code: 'data_locked', details: { pid: process.ppid, version: '9' } });
    expect(existsSync(join(path, 'store.mdb'))).toBe(false);
  });

  test('a folder that cannot be made is said so', async () => {
    const path = join(folder(), 'file');
    writeFileSync(path, '');
    expect((await refusal(join(path, 'data'))).code).toBe('data_unusable');
  });
});

describe('a folder of another version', () => {
  test('a newer format is not touched', async () => {
    const path = await written(1);
    writeFileSync(join(path, 'format'), '2\n');
    const before = readFileSync(join(path, 'store.mdb'));
    expect(await refusal(path)).toMatchObject({ code: 'data_newer', details: { found: 2, known: 1 } });
    expect(readFileSync(join(path, 'store.mdb')).equals(before)).toBe(true);
    expect(existsSync(join(path, 'lock'))).toBe(false);
  });
});

describe('a damaged store', () => {
  test.each([
    ['garbage', (file: string) => writeFileSync(file, Buffer.alloc(40_960, 0xa5))],
    ['another file', (file: string) => writeFileSync(file, `SQLite format 3${'\0'.repeat(20_000)}`)],
    ['a stump', (file: string) => truncateSync(file, 100)],
    ['one head', (file: string) => truncateSync(file, 4_096)],
    ['heads without a body', (file: string) => truncateSync(file, 8_192)],
  ])('%s is refused before lmdb opens it, and left as it is', async (_what, damage) => {
    const path = await written(50);
    const file = join(path, 'store.mdb');
    damage(file);
    const before = readFileSync(file);
    expect((await refusal(path)).code).toBe('data_damaged');
    expect(readFileSync(file).equals(before)).toBe(true);
    expect(existsSync(join(path, 'lock'))).toBe(false);
  });

  test('the check says what is damaged, in words of its own', async () => {
    const path = await written(50);
    writeFileSync(join(path, 'store.mdb'), Buffer.alloc(40_960, 0xa5));
    expect((await refusal(path)).details).toMatchObject({ data: path, detail: 'head 0 of store.mdb is not one' });
  });

  test('an empty file is a new store', async () => {
    const path = folder();
    writeFileSync(join(path, 'store.mdb'), '');
    expect((await open(path)).buckets.epoch).toBeGreaterThan(0);
  });

  /** Everything that can be read, checked against what was written. */
  async function readAll(path: string): Promise<{ entries: number; gaps: number } | 'refused'> {
    let store: LmdbStore;
    try {
      store = await open(path);
    } catch (error) {
      expect(error).toMatchObject({ code: 'data_damaged' });
      return 'refused';
    }
    const found = { entries: 0, gaps: 0 };
    for (const log of [LOG, userLog(user('bob'))] as LogName[]) {
      const { items } = await store.buckets.read(log, ZERO_ID, PLENTY);
      for (const item of items) {
        if (item.kind === 'gap') found.gaps += 1;
        else {
          const { id, payload } = item.entry as Entry;
          expect(Buffer.from(payload).toString()).toBe(`payload ${id.n} `.repeat(9));
          found.entries += 1;
        }
      }
    }
    await store[Symbol.asyncDispose]();
    return found;
  }

  test('cut at any page, it is refused or whole', async () => {
    const path = await written(60);
    const size = statSync(join(path, 'store.mdb')).size;
    const outcomes = new Set<string>();
    for (let length = 4_096; length <= size; length += 4_096) {
      const copy = folder();
      cpSync(join(path, 'store.mdb'), join(copy, 'store.mdb'));
      truncateSync(join(copy, 'store.mdb'), length);
      const found = await readAll(copy);
      if (found !== 'refused') expect(found).toEqual({ entries: 60, gaps: 0 });
      outcomes.add(found === 'refused' ? 'refused' : 'whole');
    }
    expect([...outcomes].sort()).toEqual(['refused', 'whole']);
  });

  test('with one byte changed anywhere, nothing false is delivered', async () => {
    const seed = 20_261_122;
    const random = seededRandom(seed);
    const path = await written(60);
    const bytes = readFileSync(join(path, 'store.mdb'));
    for (let round = 0; round < 60; round++) {
      const copy = folder();
      const changed = Buffer.from(bytes);
      const at = Math.floor(random() * bytes.length);
      changed[at] = (changed[at] ?? 0) ^ (1 << Math.floor(random() * 8));
      writeFileSync(join(copy, 'store.mdb'), changed);
      await readAll(copy).catch((error: unknown) => {
        throw new Error(`seed ${seed}, round ${round}, byte ${at}`, { cause: error });
      });
    }
  });

  test('an entry that is not what was written is a gap, is counted, and hides no other', async () => {
    const path = await written(10);
    const file = join(path, 'store.mdb');
    const bytes = readFileSync(file);
    const at = bytes.lastIndexOf('payload 5 ');
    expect(at).toBeGreaterThan(0);
    for (let from = bytes.indexOf('payload 5 '); from >= 0; from = bytes.indexOf('payload 5 ', from + 1)) {
      bytes[from] = 0x50;
    }
    writeFileSync(file, bytes);
    const { buckets } = await open(path);
    const { items } = await buckets.read(LOG, ZERO_ID, PLENTY);
    const shown = items.map((item) => (item.kind === 'entry' ? item.entry.id.n : `(${item.after.n}-${item.upTo.n}]`));
    expect(shown).toEqual([1, 2, 4, '(4-5]', 7, 8, 10]);
    expect(buckets.health().counters.damaged_entries).toBeGreaterThan(0);
  });
});
