// Opens lmdb and its tables. Settings that durability rests on: no overlapping sync, so that a commit ends after
// fdatasync of its pages and the synchronous write of its meta page, and readers see nothing earlier.

import type { Database, RootDatabase } from 'lmdb';
import { type EntryKey, entryKeys } from './layout.js';

/** Address space, not memory or disk: the store may grow to this. */
const MAP_BYTES = 2 ** 40;

/** The table of entries: its keys are laid out by entryKeys, which lmdb's types cannot say. */
export interface EntriesTable {
  get(key: EntryKey): Buffer | undefined;
  put(key: EntryKey, value: Buffer): Promise<boolean>;
  remove(key: EntryKey): Promise<boolean>;
  getKeys(range: { start?: EntryKey; reverse?: boolean; limit?: number }): Iterable<Buffer>;
  getRange(range: { start?: EntryKey }): Iterable<{ key: Buffer; value: Buffer }>;
  getStats(): object;
}

export interface Tables {
  readonly root: RootDatabase<Buffer, Buffer>;
  readonly entries: EntriesTable;
  readonly logs: Database<Buffer, Buffer>;
  readonly marks: Database<Buffer, Buffer>;
  readonly idempotency: Database<Buffer, Buffer>;
  readonly expiry: Database<Buffer, Buffer>;
  readonly credentials: Database<Buffer, Buffer>;
  readonly meta: Database<Buffer, Buffer>;
}

/** @throws whatever lmdb throws when it cannot open the file. */
export async function openTables(file: string, mapBytes = MAP_BYTES): Promise<Tables> {
  const { open } = await import('lmdb');
  const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;
  const settings = {
    path: file,
    noSubdir: true,
    overlappingSync: false,
    mapSize: mapBytes,
    maxDbs: 16,
    noMemInit: true,
    // Transactions are grouped by the committer, which knows when everything of one is there.
    eventTurnBatching: false,
  };
  const root = open<Buffer, Buffer>({ ...settings, ...binary });
  const table = (name: string): Database<Buffer, Buffer> => root.openDB<Buffer, Buffer>({ name, ...binary });
  const byId = { name: 'entries', encoding: 'binary' as const, keyEncoder: entryKeys };
  return {
    root,
    entries: root.openDB(byId) as unknown as EntriesTable,
    logs: table('logs'),
    marks: table('marks'),
    idempotency: table('keys'),
    expiry: table('expiry'),
    credentials: table('credentials'),
    meta: table('meta'),
  };
}

/** Pages of the file that hold nothing: space that the store can use before the disk has to give more. */
export function freePages(tables: Tables): {
  readonly free: number;
  readonly used: number;
  readonly pageBytes: number;
} {
  interface Tree {
    readonly pageSize: number;
    readonly treeBranchPageCount: number;
    readonly treeLeafPageCount: number;
    readonly overflowPages: number;
  }
  interface Stats extends Tree {
    readonly root: Tree;
    readonly free: Tree;
    readonly lastPageNumber: number;
  }
  const pagesOf = (tree: Tree): number => tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages;
  const { entries, logs, marks, idempotency, expiry, credentials, meta } = tables;
  let used = 2;
  for (const table of [entries, logs, marks, idempotency, expiry, credentials, meta]) {
    used += pagesOf(table.getStats() as unknown as Tree);
  }
  const stats = tables.root.getStats() as unknown as Stats;
  used += pagesOf(stats.root) + pagesOf(stats.free);
  const total = stats.lastPageNumber + 1;
  return { free: Math.max(0, total - used), used: total, pageBytes: stats.pageSize };
}
