// Who is to be told: the comets that hold a session of a log's user, have members of a room, or any comet for `all`. Always
// asked after apply: whoever registered before is found, whoever registers later reads the log. One without a lease is left
// out: it writes nothing more. For users the registry's answer serves for a moment: who holds a session stands beside the
// session itself, with its incarnation, so that one that joined since is seen to be missing, and the registry asked again.

import { type LogName, type ParsedLog, parseLogName, type RoomId, type UserId, ZERO_ID } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import type { EphemeralRecord, RecordOutcome } from '../queue/queue.js';
import type { NodeRecord, Registry } from '../router/registry.js';
import type { Notification } from '../rpc/services.js';
import type { Buckets, IdentifiedRecord, PushRecord, SessionRecord } from '../store/buckets.js';
import { isUserLog } from '../store/retention.js';
import type { JobCounters } from './counters.js';
import { type Frame, Frames } from './notify.js';
import type { JobTraces } from './traces.js';

/** So old an answer of the registry may be where only sessions are looked for. A lease lasts for many times as long. */
const KNOWN_MS = 200;

export interface AudienceOptions {
  readonly buckets: Buckets;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly counters: JobCounters;
  readonly traces?: JobTraces | undefined;
}

export class Audience {
  readonly #buckets: Buckets;
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #counters: JobCounters;
  readonly #traces: JobTraces | undefined;
  /** What the registry answered last, and when, monotonic ms. */
  #known: { readonly at: number; readonly readers: Readers } | undefined;

  constructor(options: AudienceOptions) {
    this.#buckets = options.buckets;
    this.#registry = options.registry;
    this.#clock = options.clock;
    this.#counters = options.counters;
    this.#traces = options.traces;
  }

  /**
   * The frames of a batch that was applied, and the comets that have to re-read: those that may have missed an entry which
   * is gone, so that there is nothing left to tell them but the gap, which they find in the log.
   */
  async of(
    records: readonly IdentifiedRecord[],
    outcomes: readonly RecordOutcome[],
  ): Promise<{ readonly frames: readonly Frame[]; readonly reread: readonly NodeRecord[] }> {
    const gone = records.filter((_record, index) => outcomes[index]?.kind === 'gone');
    const told = records.filter((_record, index) => isNews(outcomes[index]));
    if (told.length === 0 && gone.length === 0) return { frames: [], reread: [] };
    const readers = this.#knownReaders(records, outcomes) ?? (await this.#readers([...told, ...gone]));
    const frames = new Frames();
    for (const [index, record] of records.entries()) {
      const outcome = outcomes[index];
      if (!isNews(outcome)) continue;
      const notification = notificationOf(record, outcome.id, outcome.prev, false);
      const parsed = parseLogName(record.log);
      const expired = this.#counters.cometsExpired;
      const comets = parsed?.kind === 'user' ? this.#holders(outcome.sessions, readers) : readers.of(parsed);
      for (const comet of comets) frames.add(comet, notification);
      if (record.trace === undefined) continue;
      const sessions = { all: outcome.sessions.length, expired: this.#counters.cometsExpired - expired };
      this.#traces?.lookedUp(record, record.trace, comets, parsed?.kind === 'user' ? sessions : undefined);
    }
    return { frames: frames.list, reread: await this.#readersOf(gone, readers) };
  }

  async ofEphemeral(records: readonly EphemeralRecord[]): Promise<readonly Frame[]> {
    const frames = new Frames();
    if (records.length === 0) return frames.list;
    const readers = await this.#readers(records);
    const sessions = await this.#sessions(records);
    for (const record of records) {
      const notification = notificationOf(record, ZERO_ID, ZERO_ID, true);
      const parsed = parseLogName(record.log);
      const ofUser = parsed?.kind === 'user' ? (sessions.get(parsed.user) ?? []) : undefined;
      const comets = ofUser === undefined ? readers.of(parsed) : this.#holders(ofUser, readers);
      for (const comet of comets) frames.add(comet, notification);
      if (record.trace === undefined) continue;
      this.#traces?.lookedUp(record, record.trace, comets, ofUser && { all: ofUser.length, expired: 0 });
    }
    return frames.list;
  }

  /** Without asking: when there are users' messages only, and every holder of a session is known. */
  #knownReaders(records: readonly IdentifiedRecord[], outcomes: readonly RecordOutcome[]): Readers | undefined {
    const known = this.#known;
    if (known === undefined || this.#clock.monotonic() - known.at > KNOWN_MS) return undefined;
    for (const [index, { log }] of records.entries()) {
      const outcome = outcomes[index];
      if (outcome?.kind === 'gone') return undefined;
      if (!isNews(outcome)) continue;
      if (!isUserLog(log)) return undefined;
      for (const { comet, incarnation } of outcome.sessions) {
        if (known.readers.comet(comet, incarnation) === undefined) return undefined;
      }
    }
    return known.readers;
  }

  async #readersOf(records: readonly IdentifiedRecord[], readers: Readers): Promise<readonly NodeRecord[]> {
    if (records.length === 0) return [];
    const sessions = await this.#sessions(records);
    const found = new Set<NodeRecord>();
    for (const { log } of records) {
      const parsed = parseLogName(log);
      const comets =
        parsed?.kind === 'user' ? this.#holders(sessions.get(parsed.user) ?? [], readers) : readers.of(parsed);
      for (const comet of comets) found.add(comet);
    }
    return [...found];
  }

  async #readers(records: readonly Pick<PushRecord, 'log'>[]): Promise<Readers> {
    const logs = new Set(records.map((record) => record.log));
    const rooms: RoomId[] = [];
    let others = false;
    for (const log of logs) {
      const parsed = parseLogName(log);
      if (parsed?.kind === 'room') rooms.push(parsed.room);
      else others = true;
    }
    const at = this.#clock.monotonic();
    const comets = others ? await this.#registry.comets() : [];
    const byRoom = rooms.length === 0 ? [] : await this.#registry.cometsOf(rooms);
    const readers = new Readers(comets, new Map(rooms.map((room, index) => [room, byRoom[index] ?? []])));
    if (others) this.#known = { at, readers: rooms.length === 0 ? readers : new Readers(comets, new Map()) };
    return readers;
  }

  async #sessions(
    records: readonly { readonly log: LogName }[],
  ): Promise<ReadonlyMap<UserId, readonly SessionRecord[]>> {
    const users = new Set<UserId>();
    for (const { log } of records) {
      const parsed = parseLogName(log);
      if (parsed?.kind === 'user') users.add(parsed.user);
    }
    const list = [...users];
    const sessions = list.length === 0 ? [] : await this.#buckets.sessionsOf(list);
    return new Map(list.map((user, index) => [user, sessions[index] ?? []]));
  }

  /** The comets of these sessions, each once. */
  #holders(sessions: readonly SessionRecord[], readers: Readers): readonly NodeRecord[] {
    const found: NodeRecord[] = [];
    for (const { comet, incarnation } of sessions) {
      const node = readers.comet(comet, incarnation);
      if (node === undefined) this.#counters.cometsExpired++;
      else if (!found.includes(node)) found.push(node);
    }
    return found;
  }
}

/** What the registry said about a batch. */
class Readers {
  readonly #comets: readonly NodeRecord[];
  readonly #byName = new Map<string, NodeRecord>();
  readonly #rooms: ReadonlyMap<RoomId, readonly NodeRecord[]>;

  constructor(comets: readonly NodeRecord[], rooms: ReadonlyMap<RoomId, readonly NodeRecord[]>) {
    this.#comets = comets;
    this.#rooms = rooms;
    for (const comet of comets) this.#byName.set(comet.node, comet);
  }

  comet(node: string, incarnation: number): NodeRecord | undefined {
    const found = this.#byName.get(node);
    return found?.incarnation === incarnation ? found : undefined;
  }

  /** Of a room, or of `all`. */
  of(parsed: ParsedLog | undefined): readonly NodeRecord[] {
    if (parsed?.kind === 'room') return this.#rooms.get(parsed.room) ?? [];
    return parsed?.kind === 'all' ? this.#comets : [];
  }
}

type News = Extract<RecordOutcome, { readonly kind: 'appended' | 'repeated' }>;

function isNews(outcome: RecordOutcome | undefined): outcome is News {
  return outcome?.kind === 'appended' || outcome?.kind === 'repeated';
}

function notificationOf(
  record: PushRecord | EphemeralRecord,
  id: Notification['id'],
  prev: Notification['id'],
  ephemeral: boolean,
): Notification {
  const { log, payload, operation, acceptedAt, trace } = record;
  const notification = { log, id, prev, payload, operation, acceptedAt, ephemeral };
  return trace === undefined ? notification : { ...notification, trace };
}
