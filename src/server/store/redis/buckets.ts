// The Buckets engine in Redis, for roles apart: logs, cursors and sessions of a bucket live in one slot under a mark, and
// every call is one script there. As durable as Redis is: a failover may take the newest writes back, which the mark tells
// the job (BEHIND) and redis/watch.ts tells the comets. Time is Redis's own: clocks of nodes that differ change nothing.

import { createHash } from 'node:crypto';
import { ImgoError } from '../../../protocol/errors.js';
import {
  type LogName,
  type MessageId,
  maxId,
  type NodeId,
  parseLogName,
  type SessionId,
  type UserId,
  userLog,
  ZERO_ID,
} from '../../../protocol/ids.js';
import { bucketOf, fnv1a } from '../bucket.js';
import type {
  ApplyGroup,
  ApplyResult,
  Buckets,
  DeviceState,
  GroupResult,
  KeyQuestion,
  KeyUse,
  LogState,
  OpenCursor,
  ReadLimit,
  ReadResult,
  RegisterOptions,
  RegisterResult,
  SessionRecord,
  SessionState,
  StoreHealth,
} from '../buckets.js';
import { ItemCollector, readUnknown } from '../items.js';
import { isUserLog, keptUntil, retentionOf } from '../retention.js';
import { devicesOf, entryOf, logOf, sessionsOf } from './codec.js';
import type { Counts, StoreContext } from './context.js';
import { Packer, unpack } from './pack.js';
import { APPLY, MARK, READ } from './scripts.js';
import { CLOSE, OPEN, PROGRESS } from './session-scripts.js';
import { RedisSessions } from './sessions.js';
import type { IdempotencyRoom, Upkeep } from './upkeep.js';

/** What APPLY packs: [applied (0|1), mark epoch, n, results, counts, idempotency bytes, expired keys]. */
type PackedApply = readonly [0 | 1, number, number, readonly (string | number)[], Counts, number, number];

export interface RedisBucketsParts {
  readonly context: StoreContext;
  readonly room: IdempotencyRoom;
  readonly upkeep: Upkeep;
  /** Memory of Redis. */
  readonly memory: () => Omit<StoreHealth, 'counters'>;
}

export class RedisBuckets implements Buckets {
  readonly epoch: number;
  readonly #context: StoreContext;
  readonly #room: IdempotencyRoom;
  readonly #upkeep: Upkeep;
  readonly #memory: RedisBucketsParts['memory'];
  readonly #sessions: RedisSessions;
  readonly #packer = new Packer(65_536);
  /** By bucket: the script under way. A second one waits for it, and fails with it: it would move the mark over a hole. */
  readonly #underWay = new Map<number, Promise<unknown>>();

  constructor({ context, room, upkeep, memory }: RedisBucketsParts) {
    this.epoch = context.epoch;
    this.#context = context;
    this.#room = room;
    this.#upkeep = upkeep;
    this.#memory = memory;
    this.#sessions = new RedisSessions(context);
  }

  async apply(groups: readonly ApplyGroup[]): Promise<readonly GroupResult[]> {
    const marks = groups.filter(isMark);
    const together = marks.length > 1 && !this.#context.link.clustered;
    const moved = together ? this.#inTurn(marks, () => this.#move(marks)) : undefined;
    let place = 0;
    const calls = groups.map((group) => {
      if (moved === undefined || !isMark(group)) return this.#inTurn([group], () => this.#applyGroup(group));
      const at = place++;
      return moved.then((results) => results[at] as GroupResult);
    });
    // All of them end before any failure is told: nothing is under way when the caller tries again.
    const ended = await Promise.allSettled(calls);
    const done = ended.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = ended.find((one) => one.status === 'rejected');
    if (failed === undefined) return done;
    const { reason } = failed;
    // Refused for one bucket and done for another is not "certainly not applied".
    if (done.length > 0 && reason instanceof ImgoError && reason.code === 'store_full') {
      throw new ImgoError('outcome_unknown', {}, { cause: reason });
    }
    throw reason;
  }

  /** Runs a script for these buckets once those before it are answered. */
  #inTurn<T>(groups: readonly ApplyGroup[], run: () => Promise<T>): Promise<T> {
    const before = groups.flatMap(({ bucket }) => this.#underWay.get(bucket) ?? []);
    const call = before.length === 0 ? run() : Promise.all(before).then(run);
    for (const { bucket } of groups) this.#underWay.set(bucket, call);
    const done = (): void => {
      for (const { bucket } of groups) if (this.#underWay.get(bucket) === call) this.#underWay.delete(bucket);
    };
    call.then(done, done);
    return call;
  }

  /** Groups without records, in one script: a commit has as many as a partition has buckets. */
  async #move(groups: readonly ApplyGroup[]): Promise<readonly GroupResult[]> {
    const keys = groups.map(({ bucket }) => this.#context.bucketKeys(bucket)[0]);
    const packer = this.#packer.array(groups.length * 4);
    for (const { lastSeen, upTo } of groups) {
      packer.number(lastSeen.epoch).number(lastSeen.n).number(upTo.epoch).number(upTo.n);
    }
    const answer = unpack<readonly number[]>(await this.#context.run(MARK, keys, [packer.take()]));
    return groups.map((_group, at): GroupResult => {
      const [applied, epoch = 0, n = 0] = answer.slice(at * 3, at * 3 + 3);
      const mark = { epoch, n };
      if (applied === 1) return { kind: 'applied', mark, results: [] };
      this.#context.counters.add('behind');
      return { kind: 'behind', mark };
    });
  }

  async #applyGroup(group: ApplyGroup): Promise<GroupResult> {
    const { bucket } = group;
    const { packed, logs } = this.#pack(group);
    const keys: string[] = this.#context.bucketKeys(bucket);
    for (const log of logs) keys.push(...this.#context.logKeys(log, bucket));
    const answer = await this.#context.run(APPLY, keys, [this.#room.of(bucket), packed]);
    const [head, ...sessions] = answer as readonly Buffer[];
    const [applied, epoch, n, results, counts, bytes, expired] = unpack<PackedApply>(head);
    const { counters } = this.#context;
    if (applied === 0) {
      counters.add('behind');
      return { kind: 'behind', mark: { epoch, n } };
    }
    this.#context.count(counts);
    this.#room.is(bucket, bytes, expired);
    const bySlot = logs.map((log, at) => sessionsOf(sessions[at] as Buffer, userOf(log)));
    const slots = new Map(logs.map((log, at) => [log, bySlot[at] ?? []]));
    const list = group.records.map((record, at): ApplyResult => {
      const kind = results[at * 3] as ApplyResult['kind'] | 'full';
      const id = { epoch: results[at * 3 + 1] as number, n: results[at * 3 + 2] as number };
      switch (kind) {
        case 'appended':
        case 'repeated':
          return { kind, id: record.id, prev: id, sessions: slots.get(record.log) ?? [] };
        case 'duplicate':
          counters.add('duplicates');
          return { kind, id };
        case 'gone':
          return { kind, id: record.id };
        case 'full':
          return { kind: 'idempotency_full' };
        default:
          return { kind: 'mismatch' };
      }
    });
    const count = (kind: string): number => list.filter((one) => one.kind === kind).length;
    counters.add('appended', count('appended'));
    counters.add('repeated', count('repeated'));
    return { kind: 'applied', mark: { epoch, n }, results: list };
  }

  /** The group as its script takes it, and the logs in the order of their keys. */
  #pack({ lastSeen, upTo, records }: ApplyGroup): { readonly packed: Buffer; readonly logs: readonly LogName[] } {
    const places = new Map<LogName, number>();
    for (const { log } of records) if (!places.has(log)) places.set(log, places.size + 1);
    const logs = [...places.keys()];
    const packer = this.#packer.array(6);
    packer.number(lastSeen.epoch).number(lastSeen.n).number(upTo.epoch).number(upTo.n).array(logs.length);
    for (const log of logs) packer.number(isUserLog(log) ? 1 : 0);
    packer.array(records.length);
    for (const record of records) {
      const { log, id, acceptedAt, operation, payload, idempotency } = record;
      packer.array(idempotency === undefined ? 7 : 9);
      packer
        .number(places.get(log) ?? 0)
        .number(id.epoch)
        .number(id.n)
        .number(acceptedAt);
      packer.number(keptUntil(record, retentionOf(log, this.#context.options)));
      packer.number(operation ?? -1).bytes(payload);
      if (idempotency === undefined) continue;
      packer.bytes(digestOf({ log, ...idempotency })).text(idempotency.bodyHash);
    }
    return { packed: packer.take(), logs };
  }

  async marks(buckets: readonly number[]): Promise<readonly MessageId[]> {
    const { link } = this.#context;
    const marks = buckets.map(async (bucket) => {
      const [meta] = this.#context.bucketKeys(bucket);
      const [epoch, n] = (await link.command('hmget', meta, 'epoch', 'n')) as readonly (Buffer | null)[];
      return epoch === null ? ZERO_ID : { epoch: Number(epoch), n: Number(n) };
    });
    return Promise.all(marks);
  }

  async keyUses(asked: readonly KeyQuestion[]): Promise<readonly (KeyUse | undefined)[]> {
    const uses = asked.map(async (question) => {
      const [, idempotent] = this.#context.bucketKeys(bucketOf(question.log));
      const packed = await this.#context.link.command('hget', idempotent, digestOf(question));
      if (packed === null) return undefined;
      const [epoch, n, bodyHash, expiresAt] = unpack<readonly [number, number, string, number]>(packed);
      return expiresAt <= this.#context.about ? undefined : { id: { epoch, n }, bodyHash };
    });
    return Promise.all(uses);
  }

  sessionsOf(users: readonly UserId[]): Promise<readonly (readonly SessionState[])[]> {
    return this.#sessions.ofUsers(users);
  }

  async read(name: LogName, after: MessageId, limit: ReadLimit): Promise<ReadResult> {
    const [record, entries] = this.#context.logKeys(name);
    const [meta] = this.#context.bucketKeys(bucketOf(name));
    const bounds = [after.epoch, after.n, Math.max(1, limit.entries), Math.max(1, limit.bytes)];
    const answer = await this.#context.run(READ, [record, entries, meta], bounds);
    const [first, ...rest] = answer as readonly Buffer[];
    const [known, epoch, n, markEpoch, markN, more] =
      unpack<readonly [number, number, number, number, number, number]>(first);
    if (known === 0) {
      return readUnknown(after, maxId({ epoch: markEpoch, n: markN }, { epoch: this.epoch, n: 0 }));
    }
    const head = { epoch, n };
    const now = this.#context.about;
    const items = new ItemCollector(after, limit);
    for (const packed of rest) {
      const entry = entryOf(packed);
      if (entry.expiresAt <= now) items.lost(entry.id);
      else if (!items.entry(entry)) return items.result(head);
    }
    return more === 1 ? items.result(head) : items.end(head);
  }

  async log(name: LogName): Promise<LogState | undefined> {
    const packed = await this.#record(name);
    return packed === null ? undefined : logOf(packed);
  }

  async devices(user: UserId): Promise<readonly DeviceState[]> {
    const packed = await this.#record(userLog(user));
    return packed === null ? [] : devicesOf(packed);
  }

  async #record(name: LogName): Promise<Buffer | null> {
    const [record] = this.#context.logKeys(name);
    return (await this.#context.link.command('get', record)) as Buffer | null;
  }

  register(session: SessionRecord, options: RegisterOptions): Promise<RegisterResult> {
    return this.#sessions.register(session, options);
  }

  unregister(session: SessionId, user: UserId | undefined, incarnation: number, seq: number): Promise<void> {
    return this.#sessions.unregister(session, user, incarnation, seq);
  }

  dropComet(comet: NodeId, keepIncarnation: number | undefined): Promise<number> {
    return this.#sessions.dropComet(comet, keepIncarnation);
  }

  sessions(page: Parameters<Buckets['sessions']>[0]): Promise<readonly SessionState[]> {
    return this.#sessions.page(page);
  }

  async openCursor(session: SessionRecord, given: MessageId | undefined): Promise<OpenCursor> {
    const { user, device } = session;
    if (user === undefined) return { start: ZERO_ID, head: ZERO_ID, sentBefore: ZERO_ID };
    const position = [given?.epoch ?? -1, given?.n ?? -1];
    const args = [user, session.session, device, fnv1a(device), ...position, this.epoch];
    const answer = await this.#context.run(OPEN, this.#context.sessionKeys(session), args);
    const [se, sn, he, hn, be, bn, counts] =
      unpack<readonly [number, number, number, number, number, number, Counts]>(answer);
    this.#context.count(counts);
    return { start: { epoch: se, n: sn }, head: { epoch: he, n: hn }, sentBefore: { epoch: be, n: bn } };
  }

  async progress(session: SessionRecord, upTo: MessageId, acknowledge: boolean): Promise<void> {
    const { user, device } = session;
    if (user === undefined) return;
    const args = [user, session.session, device, upTo.epoch, upTo.n, acknowledge ? 1 : 0];
    this.#context.count(unpack(await this.#context.run(PROGRESS, this.#context.sessionKeys(session), args)));
  }

  async closeCursor(session: SessionRecord, sentTo: MessageId, clean: boolean): Promise<void> {
    const { user, device } = session;
    if (user === undefined) return;
    const args = [user, session.session, device, sentTo.epoch, sentTo.n, clean ? 1 : 0];
    this.#context.count(unpack(await this.#context.run(CLOSE, this.#context.sessionKeys(session), args)));
  }

  maintain(): Promise<void> {
    return this.#upkeep.step();
  }

  flush(): Promise<void> {
    return this.#context.settled();
  }

  health(): StoreHealth {
    return { ...this.#memory(), counters: this.#context.counters.all() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.settled();
  }
}

/** Nothing to apply: it only moves the mark. */
function isMark({ records }: ApplyGroup): boolean {
  return records.length === 0;
}

/** What a key is kept as: it may be long, and there are many. */
function digestOf({ scope, log, key }: KeyQuestion): Buffer {
  return createHash('sha256').update(`${scope}\0${log}\0${key}`).digest().subarray(0, 20);
}

function userOf(log: LogName): UserId | undefined {
  const parsed = parseLogName(log);
  if (parsed === undefined) throw new ImgoError('internal', { detail: 'the name of a log is none' });
  return parsed.kind === 'user' ? parsed.user : undefined;
}
