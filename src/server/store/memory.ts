// The Buckets engine that keeps everything in memory (`--memory`, tests): as durable as the process. Bounded: beyond
// `maxBytes` it refuses with store_full until something is trimmed or expires.

import { ImgoError } from '../../protocol/errors.js';
import type { NodeId, SessionId, UserId } from '../../protocol/ids.js';
import {
  compareIds,
  isZeroId,
  type LogName,
  type MessageId,
  maxId,
  parseLogName,
  userLog,
  ZERO_ID,
} from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import { bucketOf } from './bucket.js';
import {
  ANONYMOUS,
  type ApplyGroup,
  type ApplyResult,
  BUCKETS,
  type Buckets,
  type BucketsOptions,
  type DeviceState,
  type Entry,
  type GroupResult,
  type IdentifiedRecord,
  type KeyQuestion,
  type KeyUse,
  type LogState,
  type OpenCursor,
  type ReadLimit,
  type ReadResult,
  type RegisterOptions,
  type RegisterResult,
  type SessionRecord,
  type SessionState,
  type StoreHealth,
} from './buckets.js';
import { Counters } from './counters.js';
import { acknowledge, closeDevice, type DeviceSet, emptyDevices, findDevice, openDevice } from './devices.js';
import { ItemCollector, readUnknown } from './items.js';
import { acknowledgedTo, keptUntil, nextMid, retentionOf, trimReason } from './retention.js';
import { SessionTable } from './sessions.js';

/** What an entry, a log or an idempotency record costs beside its bytes; measured roughly, on the safe side. */
const OVERHEAD = 256;
/** Logs and idempotency records that one call of maintain looks at. */
const MAINTAIN_STEP = 5_000;

export interface MemoryOptions {
  /** Above this, apply refuses. Default 1 GiB. */
  readonly maxBytes?: number;
  /** For tests of what a restart does: the epoch of the history before. */
  readonly lastEpoch?: number;
}

interface Log {
  readonly name: LogName;
  readonly user: UserId | undefined;
  /** Oldest first, from `first` on; what is before it was trimmed. */
  entries: Entry[];
  first: number;
  head: MessageId;
  trimmedTo: MessageId;
  lastMid: number;
  bytes: number;
  readonly set: DeviceSet;
  /** Wall ms. */
  usedAt: number;
}

interface Idempotent {
  readonly id: MessageId;
  readonly bodyHash: string;
  readonly expiresAt: number;
  readonly bytes: number;
}

/** A Buckets engine in memory. */
export function createMemoryBuckets(options: BucketsOptions, clock: Clock, memory: MemoryOptions = {}): Buckets {
  return new MemoryBuckets(options, clock, memory);
}

class MemoryBuckets implements Buckets {
  readonly epoch: number;
  readonly #options: BucketsOptions;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #marks: MessageId[] = new Array<MessageId>(BUCKETS).fill(ZERO_ID);
  readonly #logs = new Map<LogName, Log>();
  /** In order of expiry: all live equally long. */
  readonly #idempotency = new Map<string, Idempotent>();
  readonly #sessions = new SessionTable();
  readonly #counters = new Counters();
  #idempotencyBytes = 0;
  #bytes = 0;
  #sweep: IterableIterator<Log> | undefined;

  constructor(options: BucketsOptions, clock: Clock, memory: MemoryOptions) {
    this.#options = options;
    this.#clock = clock;
    this.#maxBytes = memory.maxBytes ?? 1 << 30;
    this.epoch = Math.max((memory.lastEpoch ?? 0) + 1, Math.floor(clock.now() / 1000));
  }

  async apply(groups: readonly ApplyGroup[]): Promise<readonly GroupResult[]> {
    if (this.#bytes > this.#maxBytes && groups.some((group) => group.records.length > 0)) {
      this.#counters.add('refused_full');
      throw this.#full();
    }
    return groups.map((group) => this.#applyGroup(group));
  }

  #applyGroup(group: ApplyGroup): GroupResult {
    const mark = this.#marks[group.bucket] ?? ZERO_ID;
    if (compareIds(mark, group.lastSeen) < 0) {
      this.#counters.add('behind');
      return { kind: 'behind', mark };
    }
    const results = group.records.map((record) => this.#applyRecord(group.bucket, record));
    const last = maxId(this.#marks[group.bucket] ?? ZERO_ID, group.upTo);
    this.#marks[group.bucket] = last;
    return { kind: 'applied', mark: last, results };
  }

  #applyRecord(bucket: number, record: IdentifiedRecord): ApplyResult {
    const { id } = record;
    if (compareIds(id, this.#marks[bucket] ?? ZERO_ID) <= 0) return this.#repeat(record);
    const { idempotency } = record;
    if (idempotency !== undefined) {
      const key = keyOf({ log: record.log, ...idempotency });
      const found = this.#idempotency.get(key);
      if (found !== undefined && found.expiresAt > this.#clock.now()) {
        this.#marks[bucket] = id;
        if (found.bodyHash !== idempotency.bodyHash) return { kind: 'mismatch' };
        this.#counters.add('duplicates');
        return { kind: 'duplicate', id: found.id };
      }
      const bytes = key.length * 2 + idempotency.bodyHash.length + OVERHEAD;
      if (this.#idempotencyBytes + bytes > this.#options.idempotency.bytes) {
        this.#marks[bucket] = id;
        return { kind: 'idempotency_full' };
      }
      if (found !== undefined) this.#forgetIdempotent(key, found);
      const expiresAt = this.#clock.now() + this.#options.idempotency.forMs;
      this.#idempotency.set(key, { id, bodyHash: idempotency.bodyHash, expiresAt, bytes });
      this.#idempotencyBytes += bytes;
      this.#bytes += bytes;
    }
    this.#marks[bucket] = id;
    const log = this.#logs.get(record.log) ?? this.#create(record.log);
    const prev = log.head;
    const entry: Entry = {
      id,
      prev,
      // A copy: what came is a view of the request, and would keep all of it.
      payload: new Uint8Array(record.payload),
      operation: record.operation,
      acceptedAt: record.acceptedAt,
      expiresAt: keptUntil(record, retentionOf(record.log, this.#options)),
      mid: nextMid(log.lastMid, record.acceptedAt),
    };
    log.entries.push(entry);
    log.head = id;
    log.lastMid = entry.mid;
    log.bytes += entry.payload.length;
    log.usedAt = this.#clock.now();
    this.#bytes += entry.payload.length + OVERHEAD;
    this.#trim(log, undefined);
    this.#counters.add('appended');
    return { kind: 'appended', id, prev, sessions: this.#sessionsFor(log.user) };
  }

  #repeat(record: IdentifiedRecord): ApplyResult {
    const { id } = record;
    const log = this.#logs.get(record.log);
    const entry = log?.entries[log.first + indexAfter(log, id) - 1];
    if (log === undefined || entry === undefined || compareIds(entry.id, id) !== 0) return { kind: 'gone', id };
    if (entry.expiresAt <= this.#clock.now()) return { kind: 'gone', id };
    this.#counters.add('repeated');
    return { kind: 'repeated', id, prev: entry.prev, sessions: this.#sessionsFor(log.user) };
  }

  async marks(buckets: readonly number[]): Promise<readonly MessageId[]> {
    return buckets.map((bucket) => this.#marks[bucket] ?? ZERO_ID);
  }

  async keyUses(asked: readonly KeyQuestion[]): Promise<readonly (KeyUse | undefined)[]> {
    return asked.map((question) => {
      const found = this.#idempotency.get(keyOf(question));
      return found === undefined || found.expiresAt <= this.#clock.now()
        ? undefined
        : { id: found.id, bodyHash: found.bodyHash };
    });
  }

  async sessionsOf(users: readonly UserId[]): Promise<readonly (readonly SessionState[])[]> {
    return users.map((user) => this.#sessions.statesOf(user));
  }

  async read(name: LogName, after: MessageId, limit: ReadLimit): Promise<ReadResult> {
    const log = this.#logs.get(name);
    if (log === undefined) return readUnknown(after, this.#floor(name));
    const now = this.#clock.now();
    const items = new ItemCollector(after, limit);
    for (let at = log.first + indexAfter(log, after); at < log.entries.length; at++) {
      const entry = log.entries[at] as Entry;
      if (entry.expiresAt <= now) items.lost(entry.id);
      else if (!items.entry(entry)) return items.result(log.head);
    }
    return items.end(log.head);
  }

  async log(name: LogName): Promise<LogState | undefined> {
    const log = this.#logs.get(name);
    if (log === undefined) return undefined;
    const { head, trimmedTo, bytes, lastMid } = log;
    return { head, trimmedTo, messages: log.entries.length - log.first, bytes, lastMid };
  }

  async register(session: SessionRecord, options: RegisterOptions): Promise<RegisterResult> {
    const result = this.#sessions.register(session, options);
    if (result.kind === 'registered') this.#released([...result.replaced, ...result.evicted], false);
    return result;
  }

  async unregister(session: SessionId, _user: UserId | undefined, incarnation: number, seq: number): Promise<void> {
    const gone = this.#sessions.unregister(session, incarnation, seq);
    if (gone !== undefined) this.#released([gone.record], gone.opened);
  }

  async dropComet(comet: NodeId, keepIncarnation: number | undefined): Promise<number> {
    const { gone, open } = this.#sessions.dropComet(comet, keepIncarnation);
    this.#released(open, true);
    return gone;
  }

  async sessions(page: Parameters<Buckets['sessions']>[0]): Promise<readonly SessionState[]> {
    return this.#sessions.page(page);
  }

  async openCursor(session: SessionRecord, given: MessageId | undefined): Promise<OpenCursor> {
    const { user, device } = session;
    if (user === undefined) return { start: ZERO_ID, head: ZERO_ID, sentBefore: ZERO_ID };
    const name = userLog(user);
    const log = this.#logs.get(name) ?? this.#create(name);
    let from = given;
    if (given !== undefined && isZeroId(log.head) && !isZeroId(given)) {
      // Nobody knows this log, and the client has read in it: all that was there is gone.
      log.head = this.#floor(name);
      log.trimmedTo = log.head;
      if (compareIds(given, log.head) > 0) from = ZERO_ID;
    }
    const opened = openDevice(log.set, {
      device,
      given: from,
      head: log.head,
      trimmedTo: log.trimmedTo,
      newDevice: this.#options.newDevice,
      devicesPerUser: this.#options.devicesPerUser,
      now: this.#clock.now(),
      busy: this.#sessions.isOpen(user, device, session.session),
      crashedTo: ZERO_ID,
      isOpen: (other) => this.#sessions.isOpen(user, other),
    });
    this.#counters.add('devices_forgotten', opened.forgotten);
    log.usedAt = this.#clock.now();
    this.#sessions.open(session.session, opened.start);
    this.#trim(log, this.#acknowledged(log));
    return { start: opened.start, head: opened.head, sentBefore: opened.sentBefore };
  }

  async progress(session: SessionRecord, upTo: MessageId, confirmed: boolean): Promise<void> {
    const log = session.user === undefined ? undefined : this.#logs.get(userLog(session.user));
    if (log === undefined) return;
    this.#sessions.advance(session.session, upTo);
    const mark = findDevice(log.set, session.device);
    if (confirmed && mark !== undefined) acknowledge(mark, upTo, log.head);
    this.#trim(log, this.#acknowledged(log));
  }

  async closeCursor(session: SessionRecord, sentTo: MessageId, clean: boolean): Promise<void> {
    const { user, device } = session;
    const log = user === undefined ? undefined : this.#logs.get(userLog(user));
    if (user === undefined || log === undefined) return;
    this.#sessions.close(session.session);
    const mark = findDevice(log.set, device);
    const busy = this.#sessions.isOpen(user, device, session.session);
    const now = this.#clock.now();
    if (mark !== undefined) closeDevice(mark, { sentTo, clean, head: log.head, busy, now });
    this.#trim(log, this.#acknowledged(log));
  }

  async devices(user: UserId): Promise<readonly DeviceState[]> {
    return (this.#logs.get(userLog(user))?.set.devices ?? []).map((mark) => ({ ...mark }));
  }

  async maintain(): Promise<void> {
    const now = this.#clock.now();
    this.#sessions.maintain(this.#clock.monotonic());
    let steps = MAINTAIN_STEP;
    for (const [key, record] of this.#idempotency) {
      if (record.expiresAt > now || steps-- <= 0) break;
      this.#forgetIdempotent(key, record);
      this.#counters.add('idempotency_expired');
    }
    this.#sweep ??= this.#logs.values();
    for (steps = MAINTAIN_STEP; steps > 0; steps--) {
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = undefined;
        return;
      }
      const log = next.value;
      this.#trim(log, this.#acknowledged(log));
      if (log.entries.length > 0 || now - log.usedAt < this.#options.forgetLogAfterMs) continue;
      if (log.user !== undefined && this.#sessions.of(log.user).length > 0) continue;
      this.#logs.delete(log.name);
      this.#bytes -= OVERHEAD;
      this.#counters.add('logs_forgotten');
    }
  }

  async flush(): Promise<void> {}

  health(): StoreHealth {
    const writable = this.#bytes <= this.#maxBytes;
    return {
      writable,
      ...(writable ? {} : { code: 'store_full' as const }),
      freeBytes: Math.max(0, this.#maxBytes - this.#bytes),
      usedBytes: this.#bytes,
      counters: this.#counters.all(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #sessionsFor(user: UserId | undefined): readonly SessionRecord[] {
    return user === undefined ? [] : this.#sessions.of(user);
  }

  #acknowledged(log: Log): MessageId | undefined {
    return log.user === undefined ? undefined : acknowledgedTo(log.set.devices, this.#sessions.holds(log.user));
  }

  /** Sessions are gone, and what only they held may be trimmed. `open`: nobody will say how far they got. */
  #released(gone: readonly SessionRecord[], open: boolean): void {
    for (const { user, device } of gone) {
      const log = user === undefined ? undefined : this.#logs.get(userLog(user));
      if (log === undefined) continue;
      const mark = open && device === ANONYMOUS ? findDevice(log.set, ANONYMOUS) : undefined;
      const end = { sentTo: ZERO_ID, clean: false, head: log.head, busy: true, now: this.#clock.now() };
      if (mark !== undefined) closeDevice(mark, end);
      this.#trim(log, this.#acknowledged(log));
    }
  }

  #trim(log: Log, acknowledged: MessageId | undefined): void {
    const keep = retentionOf(log.name, this.#options);
    const now = this.#clock.now();
    for (;;) {
      const oldest = log.entries[log.first];
      if (oldest === undefined) break;
      const kept = { messages: log.entries.length - log.first, bytes: log.bytes };
      const reason = trimReason(oldest, kept, acknowledged, keep, now);
      if (reason === undefined) break;
      this.#counters.add(`trimmed_${reason}`);
      log.first += 1;
      log.bytes -= oldest.payload.length;
      this.#bytes -= oldest.payload.length + OVERHEAD;
      log.trimmedTo = oldest.id;
    }
    if (log.first === log.entries.length || log.first >= 32) {
      log.entries = log.entries.slice(log.first);
      log.first = 0;
    }
  }

  #create(name: LogName): Log {
    const parsed = parseLogName(name);
    const log: Log = {
      name,
      user: parsed?.kind === 'user' ? parsed.user : undefined,
      entries: [],
      first: 0,
      head: ZERO_ID,
      trimmedTo: ZERO_ID,
      lastMid: 0,
      bytes: 0,
      set: emptyDevices(),
      usedAt: this.#clock.now(),
    };
    this.#logs.set(name, log);
    this.#bytes += OVERHEAD;
    return log;
  }

  /** Not below any id of this log that was given out, below every one that will be. */
  #floor(name: LogName): MessageId {
    return maxId(this.#marks[bucketOf(name)] ?? ZERO_ID, { epoch: this.epoch, n: 0 });
  }

  #forgetIdempotent(key: string, record: Idempotent): void {
    this.#idempotency.delete(key);
    this.#idempotencyBytes -= record.bytes;
    this.#bytes -= record.bytes;
  }

  #full(): ImgoError {
    const mib = (bytes: number): string => `${Math.floor(bytes / 1_048_576)} MiB`;
    return new ImgoError('store_full', { data: 'memory', free: mib(0), needed: mib(this.#maxBytes) });
  }
}

/** How many live entries are at or below `id`. */
function indexAfter(log: Log, id: MessageId): number {
  let low = log.first;
  for (let high = log.entries.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (compareIds((log.entries[middle] as Entry).id, id) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - log.first;
}

function keyOf({ scope, log, key }: KeyQuestion): string {
  return `${scope}\0${log}\0${key}`;
}
