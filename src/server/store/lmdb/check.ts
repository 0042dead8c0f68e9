// Looks at a store's file before lmdb opens it: lmdb trusts its pages, and damaged ones can crash the process. Reads both
// meta pages and then the trees, level by level, up to a bound; payloads have checksums of their own, verified when read.
// Layout: mdb.c of the lmdb package (MDB_page_header, MDB_meta, MDB_db, MDB_node), data version 2, little endian.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const HEADER = 24;
const NODE_HEADER = 8;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
/** Pages looked at, at most: 64 MiB of 4 KiB pages, well under a second. */
const MOST_PAGES = 16_384;
/** Free pages that are remembered, at most: those beyond are only seen to exist. */
const MOST_FREE = 262_144;
const Page = { BRANCH: 0x01, LEAF: 0x02, OVERFLOW: 0x04, META: 0x08 } as const;
const Node = { BIG: 0x01, TREE: 0x02 } as const;

interface Meta {
  readonly pageBytes: number;
  readonly lastPage: number;
  readonly txn: bigint;
  readonly trees: readonly Tree[];
}

interface Tree {
  readonly root: bigint;
  readonly depth: number;
  readonly kind: Kind;
}

/** `free`: values are lists of free pages. `main`: values are the roots of tables. */
type Kind = 'free' | 'main' | 'table';

/** A page to look at, and at which depth of its tree it stands (1: the root). */
interface Due {
  readonly page: number;
  readonly level: number;
  readonly depth: number;
  readonly kind: Kind;
}

class Damage extends Error {}

/** What is wrong with the file, or undefined: nothing was found, or there is no file yet. */
export async function checkStore(file: string): Promise<string | undefined> {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    new StoreFile(descriptor, fstatSync(descriptor).size).check();
    return undefined;
  } catch (error) {
    if (error instanceof Damage) return error.message;
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

class StoreFile {
  readonly #descriptor: number;
  readonly #size: number;
  #pageBytes = 0;
  #lastPage = 0;
  #txn = 0n;
  readonly #seen = new Set<number>();
  #looked = 0;
  #freed = 0;
  #due: Due[] = [];

  constructor(descriptor: number, size: number) {
    this.#descriptor = descriptor;
    this.#size = size;
  }

  check(): void {
    // lmdb makes a store of an empty file.
    if (this.#size === 0) return;
    const first = this.#meta(0, 0);
    const second = this.#meta(first.pageBytes, 1);
    if (first.pageBytes !== second.pageBytes) throw new Damage('the two heads of store.mdb do not agree');
    const { pageBytes, lastPage, txn, trees } = second.txn > first.txn ? second : first;
    this.#pageBytes = pageBytes;
    this.#lastPage = lastPage;
    this.#txn = txn;
    for (const tree of trees) this.#plant(tree, 'the head');
    while (this.#due.length > 0 && this.#looked < MOST_PAGES) {
      const level = this.#due;
      this.#due = [];
      for (const due of level) {
        if (this.#looked >= MOST_PAGES) return;
        this.#tree(due);
      }
    }
  }

  #meta(offset: number, number: number): Meta {
    const bytes = Buffer.alloc(168);
    if (readSync(this.#descriptor, bytes, 0, bytes.length, offset) < bytes.length) {
      throw new Damage(`store.mdb ends in its head (${this.#size} bytes)`);
    }
    const isMeta = (bytes.readUInt16LE(18) & Page.META) !== 0;
    if (!isMeta || bytes.readUInt32LE(24) !== MAGIC) throw new Damage(`head ${number} of store.mdb is not one`);
    const version = bytes.readUInt32LE(28) & 0xffff;
    if (version !== DATA_VERSION) throw new Damage(`store.mdb has data version ${version}, not ${DATA_VERSION}`);
    const pageBytes = bytes.readUInt32LE(48);
    if (pageBytes < 512 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0) {
      throw new Damage(`head ${number} of store.mdb states pages of ${pageBytes} bytes`);
    }
    const lastPage = bytes.readBigUInt64LE(144);
    if (lastPage < 1n || lastPage > 2n ** 48n) throw new Damage(`head ${number} of store.mdb states ${lastPage} pages`);
    const trees = [readTree(bytes, 48, 'free'), readTree(bytes, 96, 'main')];
    return { pageBytes, lastPage: Number(lastPage), txn: bytes.readBigUInt64LE(152), trees };
  }

  #plant(tree: Tree, where: string): void {
    if (tree.root === NO_PAGE) return;
    if (tree.depth < 1 || tree.depth > 32) throw new Damage(`${where} states a tree of depth ${tree.depth}`);
    this.#due.push({ page: this.#number(tree.root, where), level: 1, depth: tree.depth, kind: tree.kind });
  }

  #number(page: bigint, where: string): number {
    if (page < 2n || page > BigInt(this.#lastPage)) throw new Damage(`${where} points to page ${page}`);
    return Number(page);
  }

  /** Reads a page that something points to, and sees that it is this page. */
  #read(page: number, kind: number): Buffer {
    this.#use(page);
    this.#looked += 1;
    const bytes = Buffer.allocUnsafe(this.#pageBytes);
    if (readSync(this.#descriptor, bytes, 0, bytes.length, page * this.#pageBytes) < bytes.length) {
      throw new Damage(`store.mdb ends before page ${page} (${this.#size} bytes)`);
    }
    if (bytes.readBigUInt64LE(0) !== BigInt(page)) throw new Damage(`page ${page} is not what was written`);
    if (bytes.readBigUInt64LE(8) > this.#txn) throw new Damage(`page ${page} is newer than the head`);
    const flags = bytes.readUInt16LE(18) & (Page.BRANCH | Page.LEAF | Page.OVERFLOW | Page.META);
    if (flags !== kind) throw new Damage(`page ${page} is of another kind (${flags}, not ${kind})`);
    return bytes;
  }

  #tree({ page, level, depth, kind }: Due): void {
    const isBranch = level < depth;
    const bytes = this.#read(page, isBranch ? Page.BRANCH : Page.LEAF);
    const [lower, upper] = [bytes.readUInt16LE(20), bytes.readUInt16LE(22)];
    if (lower > upper || upper > this.#pageBytes - HEADER || lower % 2 !== 0) {
      throw new Damage(`page ${page} has no sound inside`);
    }
    let used = 0;
    for (let at = HEADER; at < HEADER + lower; at += 2) {
      const node = HEADER + bytes.readUInt16LE(at);
      const data = node + NODE_HEADER + (node + NODE_HEADER <= bytes.length ? bytes.readUInt16LE(node + 6) : 0);
      if (node < HEADER + upper || data > bytes.length) throw new Damage(`page ${page} has an entry outside of itself`);
      const size = isBranch
        ? this.#branch(bytes, node, page, { level, depth, kind })
        : this.#leaf(bytes, node, data, { page, kind });
      used += (data - node + size + 1) & ~1;
    }
    if (used !== this.#pageBytes - HEADER - upper) throw new Damage(`page ${page} does not add up`);
  }

  /** Bytes of the entry beside its key. */
  #branch(bytes: Buffer, node: number, page: number, { level, depth, kind }: Omit<Due, 'page'>): number {
    const child = BigInt(bytes.readUInt32LE(node)) | (BigInt(bytes.readUInt16LE(node + 4)) << 32n);
    this.#due.push({ page: this.#number(child, `page ${page}`), level: level + 1, depth, kind });
    return 0;
  }

  /** Bytes of the value that stand in the page. */
  #leaf(bytes: Buffer, node: number, data: number, { page, kind }: { page: number; kind: Kind }): number {
    const size = bytes.readUInt32LE(node);
    const flags = bytes.readUInt16LE(node + 4);
    const stored = (flags & Node.BIG) !== 0 ? HEADER : size;
    const isTree = kind === 'main';
    const keyBytes = data - node - NODE_HEADER;
    if ((flags & ~Node.BIG) !== (isTree ? Node.TREE : 0) || keyBytes === 0 || (kind === 'free' && keyBytes !== 8)) {
      throw new Damage(`page ${page} has an entry of an unknown kind`);
    }
    if (data + stored > bytes.length) throw new Damage(`page ${page} has a value that does not fit in it`);
    if (isTree) {
      // Tables of this store are plain: other flags would make lmdb read values as trees of their own.
      if (size !== 48 || bytes.readUInt32LE(data) !== 0 || bytes.readUInt16LE(data + 4) !== 0) {
        throw new Damage(`page ${page} has a table that is none`);
      }
      this.#plant(readTree(bytes, data, 'table'), `page ${page}`);
    }
    if ((flags & Node.BIG) === 0) {
      if (kind === 'free') this.#freeList(bytes.subarray(data, data + size), page);
      return stored;
    }
    const first = this.#number(bytes.readBigUInt64LE(data), `page ${page}`);
    const head = this.#read(first, Page.OVERFLOW);
    const pages = head.readUInt32LE(20);
    const needed = Math.ceil((HEADER + size) / this.#pageBytes);
    if (pages < needed || first + pages - 1 > this.#lastPage)
      throw new Damage(`page ${first} has not all of its value`);
    if ((first + needed) * this.#pageBytes > this.#size) {
      throw new Damage(`store.mdb ends before page ${first + needed - 1} (${this.#size} bytes)`);
    }
    for (let next = first + 1; next < first + pages; next++) this.#use(next);
    if (kind !== 'free') return stored;
    const list = Buffer.allocUnsafe(size);
    readSync(this.#descriptor, list, 0, size, first * this.#pageBytes + HEADER);
    this.#freeList(list, first);
    return stored;
  }

  #use(page: number): void {
    if (this.#seen.has(page)) throw new Damage(`page ${page} is used twice`);
    this.#seen.add(page);
  }

  /**
   * A count, and as many words: a page number each, or a negative length and the first page of that many, or 0 for nothing
   * (midl.c). lmdb will write to these pages, so none may be in use.
   */
  #freeList(list: Buffer, page: number): void {
    const count = list.length < 8 ? -1n : list.readBigInt64LE(0);
    if (count < 0n || count > BigInt(list.length / 8 - 1)) throw new Damage(`page ${page} has a list that is none`);
    for (let at = 1; at <= Number(count); at++) {
      const word = list.readBigInt64LE(at * 8);
      if (word === 0n) continue;
      const length = word < 0n ? -word : 1n;
      if (word < 0n) at += 1;
      const first = word < 0n && at <= Number(count) ? list.readBigInt64LE(at * 8) : word;
      if (first < 2n || first + length - 1n > BigInt(this.#lastPage)) {
        throw new Damage(`page ${page} lists page ${first} as free`);
      }
      this.#freed += Number(length);
      if (this.#freed > MOST_FREE) continue;
      for (let free = Number(first); free < Number(first + length); free++) this.#use(free);
    }
  }
}

/** The root and depth of the tree whose MDB_db stands at `at`. */
function readTree(bytes: Buffer, at: number, kind: Kind): Tree {
  return { root: bytes.readBigUInt64LE(at + 40), depth: bytes.readUInt16LE(at + 6), kind };
}
