// What the suites of the Buckets contract stand on: an engine with a clock, and short words for its calls.

import { onTestFinished } from 'vitest';
import {
  type DeviceId,
  formatId,
  type LogName,
  type MessageId,
  type NodeId,
  roomLog,
  type SessionId,
  type TokenId,
  type UserId,
  userLog,
  ZERO_ID,
} from '../../src/protocol/ids.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import {
  ANONYMOUS,
  type ApplyGroup,
  type ApplyResult,
  type Buckets,
  type BucketsOptions,
  type GroupResult,
  type IdentifiedRecord,
  type ReadItem,
  type ReadResult,
  type SessionRecord,
} from '../../src/server/store/buckets.js';
import type { TestClock } from '../unit/store/test-clock.js';

export interface BucketsEngine {
  /** A new, empty engine. */
  create(options: BucketsOptions, clock: TestClock): Promise<Buckets>;
  /** The same data, opened again after an orderly end or as a crash leaves it. Missing: nothing outlives the process. */
  readonly restart?: (buckets: Buckets, how: 'orderly' | 'crash') => Promise<Buckets>;
  /** After a crash what came since is flagged as well as what was there. */
  readonly flagsMore?: true;
  /** A crash may take the newest writes back: how a device's last session ended is not known after it. */
  readonly forgetsEnds?: true;
  clock(): TestClock;
}

export const MINUTE = 60_000;
export const DAY = 24 * 60 * MINUTE;

export const OPTIONS: BucketsOptions = {
  keep: { messages: 10, bytes: 1_000, ageMs: 7 * DAY },
  rooms: { messages: 5, bytes: 500, ageMs: 60 * MINUTE },
  devicesPerUser: 3,
  newDevice: 'kept',
  idempotency: { forMs: DAY, bytes: 4_096 },
  forgetLogAfterMs: 30 * DAY,
};

export const user = (name: string): UserId => name as UserId;
export const device = (name: string): DeviceId => name as DeviceId;
export const ALICE = user('alice');
export const LOG = userLog(ALICE);
export const ROOM = roomLog('lobby' as never);
export const PLENTY = { entries: 1_000, bytes: 1_000_000 };

/** One engine on a test's stage; closed when the test ends. */
export class Stage {
  buckets: Buckets;
  readonly clock: TestClock;
  readonly #engine: BucketsEngine;
  #n = 0;
  #seq = 0;

  constructor(engine: BucketsEngine, clock: TestClock, buckets: Buckets) {
    this.#engine = engine;
    this.clock = clock;
    this.buckets = buckets;
  }

  static async open(engine: BucketsEngine, options: Partial<BucketsOptions> = {}): Promise<Stage> {
    const clock = engine.clock();
    const stage = new Stage(engine, clock, await engine.create({ ...OPTIONS, ...options }, clock));
    onTestFinished(() => stage.buckets[Symbol.asyncDispose]());
    return stage;
  }

  async restart(how: 'orderly' | 'crash'): Promise<void> {
    if (this.#engine.restart === undefined) throw new Error('this engine does not outlive its process');
    this.buckets = await this.#engine.restart(this.buckets, how);
    this.#n = 0;
  }

  id(n: number): MessageId {
    return { epoch: this.buckets.epoch, n };
  }

  record(n: number, more: Partial<IdentifiedRecord> = {}): IdentifiedRecord {
    const acceptedAt = this.clock.now();
    const payload = Buffer.from(`m${n}`);
    return { log: LOG, payload, acceptedAt, expiresAt: acceptedAt + 7 * DAY, ...more, id: more.id ?? this.id(n) };
  }

  /** Applies records of one log's bucket, as one group. */
  async apply(records: readonly IdentifiedRecord[], lastSeen: MessageId = ZERO_ID): Promise<GroupResult> {
    const log = records[0]?.log ?? LOG;
    const upTo = records[records.length - 1]?.id ?? ZERO_ID;
    const [result] = await this.buckets.apply([{ bucket: bucketOf(log), lastSeen, records, upTo }]);
    if (result === undefined) throw new Error('no result');
    return result;
  }

  async applyOne(record: IdentifiedRecord): Promise<ApplyResult> {
    const result = await this.apply([record]);
    const one = result.kind === 'applied' ? result.results[0] : undefined;
    if (one === undefined) throw new Error(`not applied: ${result.kind}`);
    return one;
  }

  /** Appends the next entries to a log, one by one; their ids. */
  async push(count: number, more: Partial<IdentifiedRecord> = {}): Promise<MessageId[]> {
    const ids: MessageId[] = [];
    for (let i = 0; i < count; i++) {
      this.#n += 1;
      const result = await this.applyOne(this.record(this.#n, more));
      if (result.kind !== 'appended') throw new Error(`not appended: ${result.kind}`);
      ids.push(result.id);
    }
    return ids;
  }

  read(after: MessageId = ZERO_ID, log: LogName = LOG): Promise<ReadResult> {
    return this.buckets.read(log, after, PLENTY);
  }

  /** What a read returns, in short: `5` an entry, `(2-4]` a gap; only the n of ids of this epoch. */
  async shown(after: MessageId = ZERO_ID, log: LogName = LOG): Promise<string> {
    return this.brief((await this.read(after, log)).items);
  }

  brief(items: readonly ReadItem[]): string {
    const name = (id: MessageId): string => (id.epoch === this.buckets.epoch || id.n === 0 ? `${id.n}` : formatId(id));
    return items
      .map((item) => (item.kind === 'entry' ? name(item.entry.id) : `(${name(item.after)}-${name(item.upTo)}]`))
      .join(' ');
  }

  session(name: string, more: Partial<SessionRecord> = {}): SessionRecord {
    this.#seq += 1;
    return {
      session: name as SessionId,
      user: ALICE,
      device: ANONYMOUS,
      token: 'token' as TokenId,
      comet: 'comet' as NodeId,
      incarnation: 1,
      seq: this.#seq,
      dialect: 'native',
      transport: 'tcp',
      peer: '127.0.0.1',
      since: this.clock.now() + this.#seq,
      ...more,
    };
  }

  async register(session: SessionRecord, cap = 8): Promise<SessionRecord> {
    const result = await this.buckets.register(session, { cap, onTooMany: 'replace-oldest' });
    if (result.kind !== 'registered') throw new Error(result.kind);
    return session;
  }

  /** A registered session with an open cursor. */
  async open(name: string, more: Partial<SessionRecord> = {}, given?: MessageId): Promise<SessionRecord> {
    const session = await this.register(this.session(name, more));
    await this.buckets.openCursor(session, given);
    return session;
  }

  async acknowledge(session: SessionRecord, upTo: MessageId): Promise<void> {
    await this.buckets.progress(session, upTo, true);
    await this.buckets.flush();
  }

  /** Ends a session in order. */
  async close(session: SessionRecord, sentTo: MessageId, clean = true): Promise<void> {
    await this.buckets.closeCursor(session, sentTo, clean);
    await this.buckets.unregister(session.session, session.user, session.incarnation, session.seq + 1_000);
    await this.buckets.flush();
  }

  /** A quiet moment: whatever an engine puts off, it has done. */
  async rest(): Promise<void> {
    for (let round = 0; round < 3; round++) {
      this.clock.pass(2_000);
      await this.buckets.flush();
    }
  }

  async maintain(): Promise<void> {
    await this.buckets.maintain();
    await this.buckets.flush();
  }

  count(name: string): number {
    return this.buckets.health().counters[name] ?? 0;
  }

  group(log: LogName, records: readonly IdentifiedRecord[], more: Partial<ApplyGroup> = {}): ApplyGroup {
    const upTo = records[records.length - 1]?.id ?? ZERO_ID;
    return { bucket: bucketOf(log), lastSeen: ZERO_ID, records, upTo, ...more };
  }
}

/** What a page shows of sessions. */
export function names(sessions: readonly { readonly session: SessionId }[]): string[] {
  return sessions.map((one) => one.session).sort();
}
