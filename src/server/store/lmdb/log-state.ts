// One log as this process knows it: its record, the part of it that is on disk, and an index of its newest entries that
// grows backward, along `prev`, only as far as somebody reads or trims.

import { compareIds, type LogName, type MessageId, parseLogName, type UserId, ZERO_ID } from '../../../protocol/ids.js';
import type { BucketsOptions, Retention } from '../buckets.js';
import { emptyDevices } from '../devices.js';
import { retentionOf } from '../retention.js';
import { decodeEntry, ENTRY_HEADER, parseEntryKey } from './layout.js';
import type { LogRecord } from './log-record.js';
import type { Tables } from './tables.js';

/** Keys looked at to go on below an entry that is damaged; older entries than that are given up. */
const SEARCH_KEYS = 100_000;

/** The columns of every index that is empty: most logs of sessions are. Never pushed onto. */
const NONE: number[] = [];

/** Kept entries, oldest first, from `first` on: parallel arrays, small because there may be many. */
export class EntryIndex {
  epochs = NONE;
  ns = NONE;
  bytes = NONE;
  expires = NONE;
  first = 0;
  /** What comes before the oldest of these; entries up to it are kept too, but not in here yet. */
  below: MessageId;

  constructor(below: MessageId) {
    this.below = below;
  }

  get end(): number {
    return this.ns.length;
  }

  id(at: number): MessageId {
    return { epoch: this.epochs[at] as number, n: this.ns[at] as number };
  }

  push(id: MessageId, bytes: number, expiresAt: number): void {
    if (this.ns === NONE) {
      this.epochs = [id.epoch];
      this.ns = [id.n];
      this.bytes = [bytes];
      this.expires = [expiresAt];
      return;
    }
    this.epochs.push(id.epoch);
    this.ns.push(id.n);
    this.bytes.push(bytes);
    this.expires.push(expiresAt);
  }

  /** The place of the first entry above `id`. */
  after(id: MessageId): number {
    let low = this.first;
    for (let high = this.end; low < high; ) {
      const middle = (low + high) >> 1;
      const epoch = this.epochs[middle] as number;
      const n = this.ns[middle] as number;
      if (epoch < id.epoch || (epoch === id.epoch && n <= id.n)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  truncate(length: number): void {
    if (length === this.end) return;
    this.epochs.length = length;
    this.ns.length = length;
    this.bytes.length = length;
    this.expires.length = length;
  }

  /** Lets go of what `first` has passed. */
  compact(): void {
    if (this.first < 32 && this.first < this.end) return;
    if (this.first === this.end) {
      this.epochs = this.ns = this.bytes = this.expires = NONE;
      this.first = 0;
      return;
    }
    this.epochs = this.epochs.slice(this.first);
    this.ns = this.ns.slice(this.first);
    this.bytes = this.bytes.slice(this.first);
    this.expires = this.expires.slice(this.first);
    this.first = 0;
  }

  /** Puts older entries, newest first, before all others. Nothing was trimmed yet: that needs all of them. */
  prepend(older: { epochs: number[]; ns: number[]; bytes: number[]; expires: number[] }): void {
    this.epochs = older.epochs.reverse().concat(this.epochs);
    this.ns = older.ns.reverse().concat(this.ns);
    this.bytes = older.bytes.reverse().concat(this.bytes);
    this.expires = older.expires.reverse().concat(this.expires);
  }
}

/** What a failed commit puts back. */
interface Before {
  readonly head: MessageId;
  readonly trimmedTo: MessageId;
  readonly lastMid: number;
  readonly messages: number;
  readonly bytes: number;
  readonly first: MessageId;
  readonly firstExpires: number;
  readonly indexFirst: number;
  readonly indexEnd: number;
}

export class LogState implements LogRecord {
  readonly name: LogName;
  readonly user: UserId | undefined;
  readonly keep: Retention;
  head: MessageId;
  trimmedTo: MessageId;
  lastMid: number;
  messages: number;
  bytes: number;
  first: MessageId;
  firstExpires: number;
  usedAt: number;
  epoch: number;
  crashedTo: MessageId;
  set: LogRecord['set'];
  /** Readers are shown nothing above this. */
  durableHead: MessageId;
  readonly index: EntryIndex;
  /** The record on disk is older than this, and the next transaction writes it. */
  dirty = false;
  /** The first entry that the record on disk does not count yet: such a record is written later, or recovered. */
  unrecorded: MessageId | undefined;
  #before: Before | undefined;

  constructor(name: LogName, options: BucketsOptions, record: LogRecord | undefined) {
    this.name = name;
    const parsed = parseLogName(name);
    this.user = parsed?.kind === 'user' ? parsed.user : undefined;
    this.keep = retentionOf(name, options);
    this.head = record?.head ?? ZERO_ID;
    this.trimmedTo = record?.trimmedTo ?? ZERO_ID;
    this.lastMid = record?.lastMid ?? 0;
    this.messages = record?.messages ?? 0;
    this.bytes = record?.bytes ?? 0;
    this.first = record?.first ?? ZERO_ID;
    this.firstExpires = record?.firstExpires ?? 0;
    this.usedAt = record?.usedAt ?? 0;
    this.epoch = record?.epoch ?? 0;
    this.crashedTo = record?.crashedTo ?? ZERO_ID;
    this.set = record?.set ?? emptyDevices();
    this.durableHead = this.head;
    this.index = new EntryIndex(this.head);
  }

  /** The name as keys have it. Made when it is asked for: kept, it would cost more than the rest of an idle log. */
  get utf8(): Buffer {
    return Buffer.from(this.name, 'utf8');
  }

  /** Before the first change in a transaction: remembers what a failure puts back. True: this is the first. */
  begin(): boolean {
    if (this.#before !== undefined) return false;
    const { head, trimmedTo, lastMid, messages, bytes, first, firstExpires } = this;
    const { first: indexFirst, end: indexEnd } = this.index;
    this.#before = { head, trimmedTo, lastMid, messages, bytes, first, firstExpires, indexFirst, indexEnd };
    return true;
  }

  /** The disk alone cannot tell what this is now: must stay in memory. */
  get pinned(): boolean {
    return this.dirty || this.unrecorded !== undefined || this.#before !== undefined;
  }

  /** What its record says is not on disk, or not yet. */
  get unsaved(): boolean {
    return this.dirty || this.#before !== undefined;
  }

  /** An entry that was on disk when the process before this one ended, and that the record does not count. */
  recover(id: MessageId, entry: { mid: number; acceptedAt: number; expiresAt: number }, bytes: number): void {
    if (this.messages === 0) {
      this.first = id;
      this.firstExpires = entry.expiresAt;
    }
    this.head = id;
    this.durableHead = id;
    this.lastMid = Math.max(this.lastMid, entry.mid);
    this.usedAt = Math.max(this.usedAt, entry.acceptedAt);
    this.messages += 1;
    this.bytes += bytes;
    this.index.push(id, bytes, entry.expiresAt);
  }

  committed(): void {
    this.#before = undefined;
    this.durableHead = this.head;
    this.index.compact();
  }

  failed(): void {
    const before = this.#before;
    this.#before = undefined;
    if (before === undefined) return;
    const { head, trimmedTo, lastMid, messages, bytes, first, firstExpires } = before;
    Object.assign(this, { head, trimmedTo, lastMid, messages, bytes, first, firstExpires });
    this.index.truncate(before.indexEnd);
    this.index.first = before.indexFirst;
    this.dirty = true;
  }

  /** All kept entries above `after` are in the index when this returns. */
  indexFrom(tables: Tables, after: MessageId, onDamage: () => void): void {
    const { index } = this;
    const floor = compareIds(after, this.trimmedTo) < 0 ? this.trimmedTo : after;
    if (this.messages === 0 || compareIds(index.below, floor) <= 0) return;
    const older = { epochs: [] as number[], ns: [] as number[], bytes: [] as number[], expires: [] as number[] };
    let at = index.below;
    while (compareIds(at, floor) > 0) {
      const value = tables.entries.get({ id: at, log: this.utf8 });
      const entry = value === undefined ? undefined : decodeEntry(value, at);
      if (value !== undefined) {
        older.epochs.push(at.epoch);
        older.ns.push(at.n);
        older.bytes.push(Math.max(0, value.length - ENTRY_HEADER));
        older.expires.push(entry?.expiresAt ?? 0);
      }
      if (entry === undefined) onDamage();
      at = entry?.prev ?? this.#keyBelow(tables, at);
    }
    const shift = older.ns.length;
    index.prepend(older);
    index.below = at;
    // A transaction on its way remembers places in the index by number.
    if (this.#before !== undefined) {
      const { indexFirst, indexEnd } = this.#before;
      this.#before = { ...this.#before, indexFirst: indexFirst + shift, indexEnd: indexEnd + shift };
    }
  }

  /** The chain is broken at `id`: the next older entry of this log, found by its key. */
  #keyBelow(tables: Tables, id: MessageId): MessageId {
    const start = { id, log: this.utf8 };
    for (const key of tables.entries.getKeys({ start, reverse: true, limit: SEARCH_KEYS })) {
      const found = parseEntryKey(key);
      if (found === undefined) continue;
      if (compareIds(found.id, this.trimmedTo) <= 0) break;
      if (found.log === this.name && compareIds(found.id, id) < 0) return found.id;
    }
    return this.trimmedTo;
  }
}
