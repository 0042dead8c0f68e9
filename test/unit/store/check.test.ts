// What the check of a store's file finds, without lmdb: each kind of damage that could make lmdb read or write where it
// must not.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkStore } from '../../../src/server/store/lmdb/check.js';
import { openTables } from '../../../src/server/store/lmdb/tables.js';

const PAGE = 4_096;
const root = mkdtempSync(join(tmpdir(), 'imgo-check-'));
const file = join(root, 'store.mdb');
let whole: Buffer;

beforeAll(async () => {
  const tables = await openTables(file);
  const put = (from: number, to: number) =>
    tables.root.batch(() => {
      for (let n = from; n < to; n++)
        void tables.logs.put(Buffer.from(`log ${n}`), Buffer.alloc(n % 40 === 0 ? 9_000 : 300));
    });
  await put(0, 400);
  for (let round = 0; round < 4; round++) await put(round * 50, round * 50 + 100);
  await tables.root.close();
  whole = readFileSync(file);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Page numbers whose header has this kind (mdb.c: 1 branch, 2 leaf, 4 overflow). */
function pagesOf(kind: number): number[] {
  const pages: number[] = [];
  for (let page = 2; page < whole.length / PAGE; page++) {
    const at = page * PAGE;
    if (whole.readBigUInt64LE(at) === BigInt(page) && whole.readUInt16LE(at + 18) === kind) pages.push(page);
  }
  return pages;
}

/** What the check says when `damage` was done to each of these pages in turn, where it says anything. */
async function said(pages: readonly number[], damage: (bytes: Buffer, at: number) => void): Promise<string[]> {
  const found: string[] = [];
  for (const page of pages) {
    const bytes = Buffer.from(whole);
    damage(bytes, page * PAGE);
    const copy = join(root, 'copy.mdb');
    writeFileSync(copy, bytes);
    const what = await checkStore(copy);
    if (what !== undefined) found.push(what);
  }
  return found;
}

describe('the check of a store', () => {
  test('finds nothing in what lmdb wrote, nor where there is no file', async () => {
    expect(await checkStore(file)).toBeUndefined();
    expect(await checkStore(join(root, 'nothing.mdb'))).toBeUndefined();
  });

  test('finds a head that is not one', async () => {
    for (const at of [24, PAGE + 24]) {
      const bytes = Buffer.from(whole);
      bytes.writeUInt32LE(0xbeefc0df, at);
      writeFileSync(join(root, 'copy.mdb'), bytes);
      expect(await checkStore(join(root, 'copy.mdb'))).toBe(`head ${at < PAGE ? 0 : 1} of store.mdb is not one`);
    }
  });

  test('finds a page that is not itself', async () => {
    const found = await said(pagesOf(2), (bytes, at) => bytes.writeBigUInt64LE(1n, at));
    expect(found.length).toBeGreaterThan(10);
    for (const what of found) expect(what).toMatch(/^page \d+ is not what was written$/);
  });

  test('finds a file that ends early', async () => {
    writeFileSync(join(root, 'copy.mdb'), whole.subarray(0, 4 * PAGE));
    expect(await checkStore(join(root, 'copy.mdb'))).toMatch(/^store.mdb ends before page \d+ \(16384 bytes\)$/);
  });

  test('finds an entry outside of its page', async () => {
    const found = await said(pagesOf(2), (bytes, at) => bytes.writeUInt16LE(5, at + 24));
    expect(found.length).toBeGreaterThan(10);
    for (const what of found) expect(what).toMatch(/^page \d+ has an entry outside of itself$/);
  });

  test('finds a branch that leads nowhere', async () => {
    const found = await said(pagesOf(1), (bytes, at) => {
      const node = at + 24 + bytes.readUInt16LE(at + 24);
      bytes.writeUInt32LE(0x00ff_ffff, node);
    });
    expect(found.length).toBeGreaterThan(0);
    for (const what of found) expect(what).toMatch(/^page \d+ points to page \d+$/);
  });

  test('finds a page that does not add up', async () => {
    const found = await said(pagesOf(2), (bytes, at) => bytes.writeUInt16LE(bytes.readUInt16LE(at + 22) - 2, at + 22));
    expect(found.length).toBeGreaterThan(10);
    for (const what of found) expect(what).toMatch(/^page \d+ (does not add up|has no sound inside)$/);
  });

  test('finds a table that is another kind of table', async () => {
    const newer = whole.readBigUInt64LE(152) > whole.readBigUInt64LE(PAGE + 152) ? 0 : PAGE;
    const found = await said([Number(whole.readBigUInt64LE(newer + 136))], (bytes, at) => {
      const node = at + 24 + bytes.readUInt16LE(at + 24);
      bytes.writeUInt16LE(4, node + 8 + bytes.readUInt16LE(node + 6) + 4);
    });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^page \d+ has a table that is none$/);
  });

  /** Writes a word into the list of free pages: a tree of its own, whose root the newer head states. */
  const listed = (word: bigint): Promise<string[]> => {
    const newer = whole.readBigUInt64LE(152) > whole.readBigUInt64LE(PAGE + 152) ? 0 : PAGE;
    return said([Number(whole.readBigUInt64LE(newer + 88))], (bytes, at) => {
      const node = at + 24 + bytes.readUInt16LE(at + 24);
      const data = node + 8 + bytes.readUInt16LE(node + 6);
      bytes.writeBigUInt64LE(1n, data);
      bytes.writeBigUInt64LE(word, data + 8);
    });
  };

  test('finds a free page that does not exist', async () => {
    expect(await listed(2n ** 40n)).toEqual([expect.stringMatching(/^page \d+ lists page 1099511627776 as free$/)]);
  });

  test('finds a free page that is in use', async () => {
    const newer = whole.readBigUInt64LE(152) > whole.readBigUInt64LE(PAGE + 152) ? 0 : PAGE;
    const used = whole.readBigUInt64LE(newer + 136);
    expect(await listed(used)).toEqual([`page ${used} is used twice`]);
  });
});
