// The Buckets engine on lmdb: an accepted entry is on disk before `apply` resolves. Live sessions are in memory: they end
// with the process. Anonymous sessions cost no write when they open: what they were sent is bounded after a crash by
// the heads at that time (see LogRecord.crashedTo).

import { ImgoError } from '../../../protocol/errors.js';
import type { NodeId, SessionId, UserId } from '../../../protocol/ids.js';
import { compareIds, isZeroId, type LogName, type MessageId, userLog, ZERO_ID } from '../../../protocol/ids.js';
import {
  ANONYMOUS,
  type ApplyGroup,
  type ApplyResult,
  type Buckets,
  type DeviceState,
  type GroupResult,
  type IdentifiedRecord,
  type KeyQuestion,
  type KeyUse,
  type LogState as LogSummary,
  type OpenCursor,
  type ReadLimit,
  type ReadResult,
  type RegisterOptions,
  type RegisterResult,
  type SessionRecord,
  type SessionState,
  type StoreHealth,
} from '../buckets.js';
import { acknowledge, closeDevice, type DeviceMark, findDevice, openDevice } from '../devices.js';
import { ItemCollector, readUnknown } from '../items.js';
import type { Write } from './committer.js';
import type { Engine, EngineParts } from './engine.js';
import { IdempotencyTable } from './idempotency.js';
import { decodeEntry, ENTRY_HEADER, type Slab } from './layout.js';
import type { LogState } from './log-state.js';
import type { Space } from './space.js';

export class LmdbBuckets implements Buckets {
  readonly epoch: number;
  readonly #engine: Engine;
  readonly #parts: EngineParts;
  readonly #space: Space;
  /** Devices that were not known before, as long as the disk does not know them. */
  readonly #fresh = new WeakSet<DeviceMark>();

  constructor(engine: Engine, space: Space) {
    this.#engine = engine;
    this.#parts = engine.parts;
    this.#space = space;
    this.epoch = engine.parts.epoch;
  }

  apply(groups: readonly ApplyGroup[]): Promise<readonly GroupResult[]> {
    if (this.#space.state().full && groups.some((group) => group.records.length > 0)) {
      this.#parts.counters.add('refused_full');
      return Promise.reject(this.#space.error());
    }
    return new Promise((resolve, reject) => {
      this.#parts.committer.add(new Application(this.#engine, groups, resolve, reject));
    });
  }

  async marks(buckets: readonly number[]): Promise<readonly MessageId[]> {
    return buckets.map((bucket) => this.#engine.marks.durable(bucket));
  }

  async keyUses(asked: readonly KeyQuestion[]): Promise<readonly (KeyUse | undefined)[]> {
    const now = this.#parts.clock.now();
    return asked.map((question) => {
      const found = this.#engine.idempotency.durable(IdempotencyTable.key(question.log, question), now);
      return found === undefined ? undefined : { id: found.id, bodyHash: found.bodyHash };
    });
  }

  async sessionsOf(users: readonly UserId[]): Promise<readonly (readonly SessionState[])[]> {
    return users.map((user) => this.#parts.sessions.statesOf(user));
  }

  async read(name: LogName, after: MessageId, limit: ReadLimit): Promise<ReadResult> {
    const state = this.#engine.logs.get(name);
    if (state === undefined || isZeroId(state.durableHead)) return readUnknown(after, this.#engine.floor(name));
    const { tables, counters, clock } = this.#parts;
    const head = state.durableHead;
    const items = new ItemCollector(after, limit);
    if (compareIds(after, head) >= 0) return items.end(head);
    const damaged = (): void => counters.add('damaged_entries');
    const before = state.index.end;
    state.indexFrom(tables, after, damaged);
    this.#engine.logs.grown(state.index.end - before);
    const { index } = state;
    const now = clock.now();
    for (let at = index.after(after); at < index.end; at++) {
      const id = index.id(at);
      if (compareIds(id, head) > 0) break;
      const value = tables.entries.get({ id, log: state.utf8 });
      const entry = value === undefined ? undefined : decodeEntry(value, id);
      if (entry === undefined && value !== undefined) damaged();
      if (entry === undefined || entry.expiresAt <= now) items.lost(id);
      else if (!items.entry(entry)) return items.result(head);
    }
    return items.end(head);
  }

  async log(name: LogName): Promise<LogSummary | undefined> {
    const state = this.#engine.logs.get(name);
    if (state === undefined) return undefined;
    const { durableHead: head, trimmedTo, messages, bytes, lastMid } = state;
    return { head, trimmedTo, messages, bytes, lastMid };
  }

  async register(session: SessionRecord, options: RegisterOptions): Promise<RegisterResult> {
    const result = this.#parts.sessions.register(session, options);
    if (result.kind === 'registered') {
      for (const gone of result.replaced) this.#released(gone, false);
      for (const gone of result.evicted) this.#released(gone, false);
    }
    return result;
  }

  async unregister(session: SessionId, _user: UserId | undefined, incarnation: number, seq: number): Promise<void> {
    const gone = this.#parts.sessions.unregister(session, incarnation, seq);
    if (gone !== undefined) this.#released(gone.record, gone.opened);
  }

  async dropComet(comet: NodeId, keepIncarnation: number | undefined): Promise<number> {
    const { gone, open } = this.#parts.sessions.dropComet(comet, keepIncarnation);
    for (const session of open) this.#released(session, true);
    return gone;
  }

  async sessions(page: Parameters<Buckets['sessions']>[0]): Promise<readonly SessionState[]> {
    return this.#parts.sessions.page(page);
  }

  async openCursor(session: SessionRecord, given: MessageId | undefined): Promise<OpenCursor> {
    const { user, device } = session;
    if (user === undefined) return { start: ZERO_ID, head: ZERO_ID, sentBefore: ZERO_ID };
    const { options, clock, sessions, counters } = this.#parts;
    const name = userLog(user);
    const state = this.#engine.logs.get(name) ?? this.#engine.logs.create(name);
    let from = given;
    let strange = false;
    if (given !== undefined && !isZeroId(given) && isZeroId(state.head)) {
      // Nobody knows this log, and the client has read in it: all that was there is gone.
      strange = true;
      state.head = this.#engine.floor(name);
      state.trimmedTo = state.head;
      state.durableHead = state.head;
      state.index.below = state.head;
      if (compareIds(given, state.head) > 0) from = ZERO_ID;
    }
    const wasClean = findDevice(state.set, device)?.clean ?? true;
    const opened = openDevice(state.set, {
      device,
      given: from,
      head: state.durableHead,
      trimmedTo: state.trimmedTo,
      newDevice: options.newDevice,
      devicesPerUser: options.devicesPerUser,
      now: clock.now(),
      busy: sessions.isOpen(user, device, session.session),
      crashedTo: state.crashedTo,
      isOpen: (other) => sessions.isOpen(user, other),
    });
    counters.add('devices_forgotten', opened.forgotten);
    state.usedAt = clock.now();
    sessions.open(session.session, opened.start);
    const answer = { start: opened.start, head: opened.head, sentBefore: opened.sentBefore };
    const { mark } = opened;
    if (opened.added) this.#fresh.add(mark);
    const needed = strange || needsWrite(session, this.#fresh.has(mark), wasClean, options.newDevice);
    // Also when somebody else's opening of this device is still on its way to disk.
    const awaited = needed || (device !== ANONYMOUS && state.unsaved);
    if (needed || session.dialect === 'native') this.#engine.markDirty(state);
    if (awaited) await this.#recorded(state, mark);
    return answer;
  }

  /** The mark of an opening is on disk; or, where nothing can be written, that there are openings without one. */
  async #recorded(state: LogState, mark: DeviceMark): Promise<void> {
    const { committer, counters, options, unrecorded } = this.#parts;
    try {
      await committer.flush();
      this.#fresh.delete(mark);
    } catch (error) {
      const full = error instanceof ImgoError && error.code === 'store_full';
      // Who is anonymous needs no mark, unless it is one that says where it began.
      const findable = !this.#fresh.has(mark) || (mark.device === ANONYMOUS && options.newDevice === 'kept');
      if (full && findable && unrecorded.note(this.epoch)) {
        counters.add('opened_unrecorded');
        return;
      }
      if (!findable) state.set.devices = state.set.devices.filter((one) => one !== mark);
      throw error;
    }
  }

  async progress(session: SessionRecord, upTo: MessageId, confirmed: boolean): Promise<void> {
    const state = this.#stateOf(session);
    if (state === undefined) return;
    this.#parts.sessions.advance(session.session, upTo);
    const mark = this.#markOf(session, state);
    const moved = confirmed && mark !== undefined && acknowledge(mark, upTo, state.durableHead);
    if (moved || this.#trimmable(state)) this.#engine.markDirty(state);
  }

  async closeCursor(session: SessionRecord, sentTo: MessageId, clean: boolean): Promise<void> {
    const { user, device } = session;
    const state = this.#stateOf(session);
    if (user === undefined || state === undefined) return;
    const { sessions, clock } = this.#parts;
    const mark = this.#markOf(session, state);
    sessions.close(session.session);
    const busy = sessions.isOpen(user, device, session.session);
    if (mark !== undefined) closeDevice(mark, { sentTo, clean, head: state.durableHead, busy, now: clock.now() });
    this.#engine.markDirty(state);
  }

  async devices(user: UserId): Promise<readonly DeviceState[]> {
    return (this.#engine.logs.get(userLog(user))?.set.devices ?? []).map((mark) => ({ ...mark }));
  }

  async maintain(): Promise<void> {
    this.#parts.sessions.maintain(this.#parts.clock.monotonic());
    if (this.#parts.committer.broken === undefined) this.#engine.maintain();
  }

  flush(): Promise<void> {
    return this.#parts.committer.flush();
  }

  health(): StoreHealth {
    const space = this.#space.state();
    const broken = this.#parts.committer.broken !== undefined;
    const writable = !space.full && !broken;
    return {
      writable,
      ...(writable ? {} : { code: broken ? ('store_failed' as const) : ('store_full' as const) }),
      freeBytes: space.freeBytes,
      onDisk: true,
      usedBytes: space.usedBytes,
      counters: this.#parts.counters.all(),
    };
  }

  /** The store is closed by who opened it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.committer.flush();
  }

  #stateOf(session: SessionRecord): LogState | undefined {
    return session.user === undefined ? undefined : this.#engine.logs.get(userLog(session.user));
  }

  /**
   * The session's device. An anonymous one that left no mark when it opened may have been forgotten since: it is known
   * again as long as a session of it is open.
   */
  #markOf({ user, device }: SessionRecord, state: LogState): DeviceMark | undefined {
    const found = findDevice(state.set, device);
    if (found !== undefined || device !== ANONYMOUS || user === undefined) return found;
    if (!this.#parts.sessions.isOpen(user, ANONYMOUS)) return undefined;
    const { trimmedTo } = state;
    const mark = { device, cursor: trimmedTo, sentTo: trimmedTo, clean: false, lastSeen: this.#parts.clock.now() };
    state.set.devices.push(mark);
    return mark;
  }

  /** A session is gone, and what only it held may be trimmed. `open`: nobody will say how far it got. */
  #released(session: SessionRecord, open: boolean): void {
    const state = this.#stateOf(session);
    if (state === undefined) return;
    if (open && session.device === ANONYMOUS) {
      const mark = findDevice(state.set, ANONYMOUS);
      const end = { sentTo: ZERO_ID, clean: false, head: state.durableHead, busy: true, now: this.#parts.clock.now() };
      if (mark !== undefined) closeDevice(mark, end);
      else state.crashedTo = state.durableHead;
      this.#engine.markDirty(state);
    } else if (this.#trimmable(state)) this.#engine.markDirty(state);
  }

  #trimmable(state: LogState): boolean {
    if (state.messages === 0) return false;
    const acknowledged = this.#engine.acknowledged(state);
    return acknowledged !== undefined && compareIds(state.first, acknowledged) <= 0;
  }
}

/** Whether opening must leave a mark on disk: not for who is marked as open already, nor for who cannot be told apart. */
function needsWrite(session: SessionRecord, added: boolean, wasClean: boolean, newDevice: 'kept' | 'head'): boolean {
  if (session.device !== ANONYMOUS) return added || wasClean;
  return added && (newDevice === 'head' || session.dialect === 'native');
}

/** A call of apply, as part of a transaction. */
class Application implements Write {
  readonly bytes: number;
  readonly #engine: Engine;
  readonly #groups: readonly ApplyGroup[];
  readonly #resolve: (results: readonly GroupResult[]) => void;
  readonly #reject: (error: ImgoError) => void;
  #results: GroupResult[] = [];

  constructor(
    engine: Engine,
    groups: readonly ApplyGroup[],
    resolve: (results: readonly GroupResult[]) => void,
    reject: (error: ImgoError) => void,
  ) {
    this.#engine = engine;
    this.#groups = groups;
    this.bytes = groups.reduce((sum, group) => sum + bytesOf(group), 0);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  build(slab: Slab): void {
    this.#results = this.#groups.map((group) => this.#engine.applyGroup(slab, group));
  }

  committed(): void {
    // Looked up now, when readers can see the entries: who registers later finds them by reading.
    for (const [at, result] of this.#results.entries()) {
      if (result.kind === 'applied') this.#fill(result.results, this.#groups[at] as ApplyGroup);
    }
    this.#resolve(this.#results);
  }

  failed(error: ImgoError): void {
    this.#reject(error);
  }

  #fill(results: readonly ApplyResult[], group: ApplyGroup): void {
    const { sessions } = this.#engine.parts;
    for (const [at, one] of results.entries()) {
      if (one.kind !== 'appended' && one.kind !== 'repeated') continue;
      const user = userOf((group.records[at] as IdentifiedRecord).log);
      if (user !== undefined) (one as { sessions: readonly SessionRecord[] }).sessions = sessions.of(user);
    }
  }
}

function userOf(log: LogName): UserId | undefined {
  return log.startsWith('user:') ? (log.slice(5) as UserId) : undefined;
}

function bytesOf(group: ApplyGroup): number {
  let bytes = 0;
  for (const record of group.records) bytes += record.payload.length + ENTRY_HEADER;
  return bytes;
}
