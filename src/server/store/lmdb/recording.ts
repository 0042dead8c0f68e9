// Records of logs that only grew need not be written with every entry: the entries say the same. They wait here, are
// written in slices, sorted, and a restart counts again what they lacked. `recordedTo`: no entry at or below it is
// missing in a record; it is written in the transaction that makes it true, and lowered by one that appends below it.

import { crc32 } from 'node:zlib';
import { compareIds, type MessageId, ZERO_ID } from '../../../protocol/ids.js';
import type { Clock } from '../../clock.js';
import type { Counters } from '../counters.js';
import { idBefore, minId } from '../retention.js';
import { decodeEntry, ENTRY_HEADER, getId, parseEntryKey, putId, type Slab } from './layout.js';
import type { LogCache } from './log-cache.js';
import type { LogState } from './log-state.js';
import type { Tables } from './tables.js';

const KEY = Buffer.from('recorded');
/** Records that may wait, that one transaction writes, and for how long they wait, ms. */
const MOST_WAITING = 16_384;
const SLICE = 4_096;
const WAIT_MS = 1_000;

export class Recording {
  readonly #tables: Tables;
  readonly #clock: Clock;
  /** In the order of their first entry that is not recorded. */
  readonly #waiting = new Set<LogState>();
  #writtenAt: number;
  #durable: MessageId = ZERO_ID;
  #recordedTo: MessageId;
  #highest: MessageId;
  #late = false;
  /** Everything is written with the next transaction: the store is being closed. */
  all = false;

  constructor(tables: Tables, clock: Clock) {
    this.#tables = tables;
    this.#clock = clock;
    this.#writtenAt = clock.monotonic();
    const value = tables.meta.get(KEY);
    if (value !== undefined && value.length === 16 && value.readUInt32LE(0) === crc32(value.subarray(4))) {
      this.#durable = getId(new DataView(value.buffer, value.byteOffset, value.length), 4);
    }
    this.#recordedTo = this.#durable;
    this.#highest = this.#durable;
  }

  get waiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** Counts the entries that no record counts yet, as the process before this one left them. */
  recover(logs: LogCache, counters: Counters, markDirty: (state: LogState) => void): void {
    const start = { id: this.#durable, log: Buffer.from([0xff]) };
    for (const { key, value } of this.#tables.entries.getRange({ start })) {
      const found = parseEntryKey(key);
      if (found === undefined) continue;
      const { id, log } = found;
      if (compareIds(id, this.#highest) > 0) this.#highest = id;
      const state = logs.get(log) ?? logs.create(log);
      if (compareIds(id, state.head) <= 0) continue;
      const entry = decodeEntry(value, id);
      if (entry === undefined) counters.add('damaged_entries');
      const bytes = Math.max(0, value.length - ENTRY_HEADER);
      state.recover(id, entry ?? { mid: state.lastMid + 1, acceptedAt: 0, expiresAt: 0 }, bytes);
      logs.suspect(state);
      markDirty(state);
    }
  }

  /** An entry was appended in the transaction that is being built. */
  appended(state: LogState, id: MessageId): void {
    if (compareIds(id, this.#highest) > 0) this.#highest = id;
    if (compareIds(id, this.#recordedTo) <= 0) this.#recordedTo = idBefore(id);
    if (state.dirty || state.unrecorded !== undefined) return;
    state.unrecorded = id;
    this.#waiting.add(state);
  }

  /** The log's record is written in the transaction that is being built. */
  recorded(state: LogState): void {
    if (state.unrecorded === undefined) return;
    state.unrecorded = undefined;
    this.#waiting.delete(state);
  }

  /** The logs whose records are to be written now. */
  due(): readonly LogState[] {
    this.#late = this.#clock.monotonic() - this.#writtenAt >= WAIT_MS;
    if (!this.all && !this.#late && this.#waiting.size < MOST_WAITING) return [];
    const due: LogState[] = [];
    for (const state of this.#waiting) {
      if (due.length >= SLICE && !this.all) break;
      due.push(state);
    }
    const keyed = due.map((state) => ({ state, key: state.utf8 }));
    return keyed.sort((a, b) => Buffer.compare(a.key, b.key)).map(({ state }) => state);
  }

  /** Writes how far records go: when it must fall, and from time to time. Called when those that are due are written. */
  build(slab: Slab): void {
    if (this.#late || this.all) {
      this.#recordedTo = this.#highest;
      for (const { unrecorded } of this.#waiting) {
        if (unrecorded !== undefined) this.#recordedTo = minId(this.#recordedTo, idBefore(unrecorded));
      }
      if (this.#waiting.size < SLICE) this.#writtenAt = this.#clock.monotonic();
    } else if (compareIds(this.#recordedTo, this.#durable) >= 0) return;
    if (compareIds(this.#recordedTo, this.#durable) === 0) return;
    const at = slab.reserve(16);
    putId(slab.view, at + 4, this.#recordedTo);
    const value = slab.take(at, 16);
    slab.view.setUint32(at, crc32(value.subarray(4)), true);
    void this.#tables.meta.put(KEY, value);
  }

  committed(): void {
    this.#durable = this.#recordedTo;
  }
}
