// What a transaction of the store consists of: appends, trimming, log records, marks, idempotency. State in memory runs
// ahead of the disk by at most the transaction on its way; a failed one is undone, cursors stay to be written later.

import type { ImgoError } from '../../../protocol/errors.js';
import { compareIds, type LogName, type MessageId, maxId, ZERO_ID } from '../../../protocol/ids.js';
import type { Clock } from '../../clock.js';
import { bucketOf } from '../bucket.js';
import type {
  ApplyGroup,
  ApplyResult,
  BucketsOptions,
  Entry,
  GroupResult,
  IdentifiedRecord,
  SessionRecord,
} from '../buckets.js';
import type { Counters } from '../counters.js';
import { acknowledgedTo, keptUntil, nextMid, trimReason } from '../retention.js';
import type { SessionTable } from '../sessions.js';
import type { Committer, Write } from './committer.js';
import { IdempotencyTable } from './idempotency.js';
import { decodeEntry, encodeEntry, type Slab } from './layout.js';
import { type CacheLimits, LogCache } from './log-cache.js';
import { encodeLog, peekLog } from './log-record.js';
import type { LogState } from './log-state.js';
import { Marks } from './marks.js';
import { Recording } from './recording.js';
import type { Tables } from './tables.js';
import type { Unrecorded } from './unrecorded.js';

/** Until an answer is on disk. */
const NOBODY: readonly SessionRecord[] = [];
/** How long a cursor may be on its way to disk when nothing else is written, ms. */
const CURSOR_DELAY_MS = 100;
/** How long a log's record may be behind its entries, ms, give or take: what a restart has to recover. */
const RECORD_DELAY_MS = 1_000;
/** Idempotency records and log records that one call of maintain looks at. */
const MAINTAIN_STEP = 1_000;

export interface EngineParts {
  readonly tables: Tables;
  readonly options: BucketsOptions;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly sessions: SessionTable;
  readonly committer: Committer;
  readonly epoch: number;
  /** The last epoch that ended in a crash; 0: none. */
  readonly crashedEpoch: number;
  readonly unrecorded: Unrecorded;
  readonly cache: CacheLimits;
}

export class Engine implements Write {
  readonly parts: EngineParts;
  readonly marks: Marks;
  readonly idempotency: IdempotencyTable;
  readonly logs: LogCache;
  readonly recording: Recording;
  #dirty = new Set<LogState>();
  #changing: LogState[] = [];
  #forgetting: LogState[] = [];
  #expireKeys = false;
  #sweepFrom: Buffer | undefined;

  constructor(parts: EngineParts) {
    this.parts = parts;
    this.marks = new Marks(parts.tables);
    this.idempotency = new IdempotencyTable(parts.tables, parts.options.idempotency);
    const floor = (log: LogName): MessageId => this.floor(log);
    this.logs = new LogCache(parts, floor);
    this.recording = new Recording(parts.tables, parts.clock);
    this.recording.recover(this.logs, parts.counters, (state) => this.markDirty(state));
    parts.committer.background = this;
  }

  /** Not below any id of this log that was given out, below every one that will be. */
  floor(log: LogName): MessageId {
    return maxId(this.marks.durable(bucketOf(log)), { epoch: this.parts.epoch, n: 0 });
  }

  /** The log's record on disk is to be written, with the next transaction or soon. */
  markDirty(state: LogState): void {
    if (state.dirty) return;
    state.dirty = true;
    this.#dirty.add(state);
    this.parts.committer.within(CURSOR_DELAY_MS);
  }

  /** One group, in the transaction that is being built. Sessions are filled in when it is on disk. */
  applyGroup(slab: Slab, group: ApplyGroup): GroupResult {
    const mark = this.marks.get(group.bucket);
    if (compareIds(mark, group.lastSeen) < 0) {
      this.parts.counters.add('behind');
      return { kind: 'behind', mark };
    }
    const results: ApplyResult[] = [];
    for (const record of group.records) {
      if (compareIds(record.id, this.marks.get(group.bucket)) <= 0) {
        results.push(this.#repeat(record));
        continue;
      }
      results.push(this.#applyNew(slab, record));
      this.marks.set(group.bucket, record.id);
    }
    if (compareIds(group.upTo, this.marks.get(group.bucket)) > 0) this.marks.set(group.bucket, group.upTo);
    return { kind: 'applied', mark: this.marks.get(group.bucket), results };
  }

  #applyNew(slab: Slab, record: IdentifiedRecord): ApplyResult {
    const { idempotency } = record;
    if (idempotency !== undefined) {
      const now = this.parts.clock.now();
      const key = IdempotencyTable.key(record.log, idempotency);
      const found = this.idempotency.find(key, now);
      if (found !== undefined) {
        if (found.bodyHash !== idempotency.bodyHash) return { kind: 'mismatch' };
        this.parts.counters.add('duplicates');
        return { kind: 'duplicate', id: found.id };
      }
      if (!this.idempotency.put(slab, key, record.id, idempotency.bodyHash, now)) return { kind: 'idempotency_full' };
    }
    const state = this.logs.get(record.log) ?? this.logs.create(record.log);
    const prev = state.head;
    this.#append(slab, state, record);
    return { kind: 'appended', id: record.id, prev, sessions: NOBODY };
  }

  #append(slab: Slab, state: LogState, record: IdentifiedRecord): void {
    const { id, payload, operation, acceptedAt } = record;
    this.#change(state);
    const entry: Entry = {
      id,
      prev: state.head,
      payload,
      operation,
      acceptedAt,
      expiresAt: keptUntil(record, state.keep),
      mid: nextMid(state.lastMid, acceptedAt),
    };
    void this.parts.tables.entries.put({ id, log: state.utf8 }, encodeEntry(slab, entry));
    if (state.messages === 0) {
      state.first = id;
      state.firstExpires = entry.expiresAt;
    }
    state.head = id;
    state.lastMid = entry.mid;
    state.messages += 1;
    state.bytes += payload.length;
    state.usedAt = this.parts.clock.now();
    state.index.push(id, payload.length, entry.expiresAt);
    this.logs.grown(1);
    this.recording.appended(state, id);
    // Its record can wait, unless it says what is not there any more.
    if (this.#trim(state, undefined)) this.markDirty(state);
    this.parts.counters.add('appended');
  }

  #repeat(record: IdentifiedRecord): ApplyResult {
    const { id } = record;
    const gone: ApplyResult = { kind: 'gone', id };
    const state = this.logs.get(record.log);
    if (state === undefined || compareIds(id, state.head) > 0 || compareIds(id, state.trimmedTo) <= 0) return gone;
    const prev = this.#prevOf(state, id);
    if (prev === undefined) return gone;
    this.parts.counters.add('repeated');
    return { kind: 'repeated', id, prev, sessions: NOBODY };
  }

  #prevOf(state: LogState, id: MessageId): MessageId | undefined {
    const value = this.parts.tables.entries.get({ id, log: state.utf8 });
    if (value !== undefined) {
      const entry = decodeEntry(value, id);
      return entry === undefined || entry.expiresAt <= this.parts.clock.now() ? undefined : entry.prev;
    }
    // Appended by the transaction that is being built: only the index knows it.
    const { index } = state;
    const at = index.after(id) - 1;
    if (at < index.first || compareIds(index.id(at), id) !== 0) return undefined;
    return at > index.first ? index.id(at - 1) : maxId(index.below, state.trimmedTo);
  }

  #change(state: LogState): void {
    if (state.begin()) this.#changing.push(state);
  }

  /** What all concerned have acknowledged; undefined for rooms and where nobody has. */
  acknowledged(state: LogState): MessageId | undefined {
    if (state.user === undefined || state.set.devices.length === 0) return undefined;
    return acknowledgedTo(state.set.devices, this.parts.sessions.holds(state.user));
  }

  /** Lets go of the oldest. True: something went, and the log's record must say so with the same transaction. */
  #trim(state: LogState, acknowledged: MessageId | undefined): boolean {
    const { tables, clock, counters } = this.parts;
    const now = clock.now();
    const before = state.messages;
    while (state.messages > 0) {
      const reason = trimReason(
        { id: state.first, expiresAt: state.firstExpires },
        state,
        acknowledged,
        state.keep,
        now,
      );
      if (reason === undefined) break;
      this.#change(state);
      state.indexFrom(tables, ZERO_ID, () => counters.add('damaged_entries'));
      const { index } = state;
      if (index.first >= index.end) {
        // Nothing can be found any more of what the record says is there.
        Object.assign(state, { messages: 0, bytes: 0, trimmedTo: state.head, first: ZERO_ID });
        break;
      }
      const id = index.id(index.first);
      void tables.entries.remove({ id, log: state.utf8 });
      counters.add(`trimmed_${reason}`);
      state.bytes -= index.bytes[index.first] as number;
      index.first += 1;
      state.messages = index.end - index.first;
      state.trimmedTo = state.messages === 0 ? state.head : id;
      state.first = state.messages === 0 ? ZERO_ID : index.id(index.first);
      state.firstExpires = state.messages === 0 ? 0 : (index.expires[index.first] as number);
    }
    return state.messages < before;
  }

  /** Last in every transaction: what is dirty, the marks, what is to be forgotten. */
  build(slab: Slab): void {
    const { tables, clock, counters, committer } = this.parts;
    const dirty = this.#dirty;
    this.#dirty = new Set();
    for (const state of dirty) {
      this.#trim(state, this.acknowledged(state));
      this.#record(slab, state);
    }
    for (const state of this.recording.due()) this.#record(slab, state);
    this.recording.build(slab);
    if (this.recording.waiting) committer.within(RECORD_DELAY_MS);
    for (const state of this.#forgetting.splice(0)) {
      if (state.pinned || state.messages > 0) continue;
      void tables.logs.remove(state.utf8);
      this.logs.forget(state.name);
      counters.add('logs_forgotten');
    }
    if (this.#expireKeys) {
      this.#expireKeys = false;
      counters.add('idempotency_expired', this.idempotency.expire(clock.now(), MAINTAIN_STEP));
    }
    this.marks.build(slab);
    this.idempotency.finish(slab);
  }

  #record(slab: Slab, state: LogState): void {
    this.#change(state);
    state.epoch = this.parts.epoch;
    state.dirty = false;
    this.recording.recorded(state);
    void this.parts.tables.logs.put(state.utf8, encodeLog(slab, state));
  }

  committed(): void {
    for (const state of this.#changing) state.committed();
    this.#changing = [];
    this.recording.committed();
    this.marks.committed();
    this.idempotency.committed();
  }

  failed(_error: ImgoError): void {
    for (const state of this.#changing) {
      state.failed();
      this.#dirty.add(state);
      state.dirty = true;
    }
    this.#changing = [];
    this.marks.failed();
    this.idempotency.failed();
  }

  /** A step of the sweep: logs with something expired are trimmed, logs that nobody used for long are forgotten. */
  maintain(): void {
    const { tables, clock, options, sessions, committer } = this.parts;
    const now = clock.now();
    this.#expireKeys = true;
    let last: Buffer | undefined;
    let seen = 0;
    const start = this.#sweepFrom;
    for (const { key, value } of tables.logs.getRange({ ...(start ? { start } : {}), limit: MAINTAIN_STEP })) {
      seen += 1;
      last = key;
      const state = this.logs.peek(key.toString('utf8') as LogName);
      const seenRecord = state ?? peekLog(value);
      if (seenRecord === undefined) continue;
      const due = seenRecord.messages > 0 && seenRecord.firstExpires <= now;
      const unused = seenRecord.messages === 0 && now - seenRecord.usedAt >= options.forgetLogAfterMs;
      if (!due && !unused) continue;
      const found = state ?? this.logs.get(key.toString('utf8') as LogName);
      if (found === undefined) continue;
      if (due) this.markDirty(found);
      else if (found.user === undefined || sessions.of(found.user).length === 0) this.#forgetting.push(found);
    }
    // The next step begins after the last key: the same bytes and one more are the least above it.
    this.#sweepFrom = seen < MAINTAIN_STEP || last === undefined ? undefined : Buffer.concat([last, Buffer.from([0])]);
    committer.within(0);
  }
}
