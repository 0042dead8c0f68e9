// The live sessions of the router, in the memory of the process that owns the store: who is where, how far each has
// read (its hold on retention), caps per user. Out-of-order registrations are resolved by incarnation and sequence.

import { type MessageId, type NodeId, type SessionId, type UserId, ZERO_ID } from '../../protocol/ids.js';
import type { DeviceKey, RegisterOptions, RegisterResult, SessionRecord, SessionState } from './buckets.js';
import { ANONYMOUS } from './buckets.js';
import { SessionOrder } from './session-order.js';

/** Removed sessions are remembered, so that a late registration does not bring them back: two generations of these. */
const TOMBSTONES = 32_768;
const TOMBSTONES_MS = 60_000;

interface Live {
  record: SessionRecord;
  position: MessageId;
  /** Its cursor is open: it holds retention, and its device is not clean. */
  opened: boolean;
}

interface Stamp {
  readonly incarnation: number;
  readonly seq: number;
}

const NOBODY: readonly SessionRecord[] = Object.freeze([]);
const REGISTERED: RegisterResult = Object.freeze({ kind: 'registered', replaced: NOBODY, evicted: NOBODY });

export class SessionTable {
  readonly #byId = new Map<SessionId, Live>();
  readonly #order = new SessionOrder();
  /** One, or several. */
  readonly #byUser = new Map<UserId, Live | Live[]>();
  readonly #incarnations = new Map<NodeId, number>();
  #removed = new Map<SessionId, Stamp>();
  #removedBefore = new Map<SessionId, Stamp>();
  #rotatedAt = 0;

  get size(): number {
    return this.#byId.size;
  }

  register(record: SessionRecord, options: RegisterOptions): RegisterResult {
    const current = this.#byId.get(record.session);
    const last = current?.record ?? this.#removed.get(record.session) ?? this.#removedBefore.get(record.session);
    if (last !== undefined && isOlder(record, last)) return REGISTERED;
    const incarnation = this.#incarnations.get(record.comet) ?? 0;
    if (record.incarnation < incarnation) return REGISTERED;
    if (record.incarnation > incarnation) this.#incarnations.set(record.comet, record.incarnation);

    const lives = record.user === undefined ? undefined : this.#livesOf(record.user);
    if (lives === undefined && last === undefined) {
      // Nobody to compare with: the usual case, and the only one while a million reconnect.
      this.#add({ record, position: ZERO_ID, opened: false });
      return REGISTERED;
    }
    const replaced: SessionRecord[] = [];
    const evicted: SessionRecord[] = [];
    if (lives !== undefined) {
      const others = lives.filter((live) => live !== current);
      const same = others.filter((live) => record.device !== ANONYMOUS && live.record.device === record.device);
      const rest = others.filter((live) => !same.includes(live));
      const excess = rest.length + 1 - Math.max(1, options.cap);
      if (excess > 0 && options.onTooMany === 'reject' && current === undefined) return { kind: 'too_many' };
      for (const live of same) replaced.push(live.record);
      if (excess > 0 && options.onTooMany === 'replace-oldest') {
        rest.sort((a, b) => a.record.since - b.record.since || a.record.seq - b.record.seq);
        for (const live of rest.slice(0, excess)) evicted.push(live.record);
      }
      for (const old of replaced) this.#remove(old.session, old);
      for (const old of evicted) this.#remove(old.session, old);
    }
    if (current === undefined) this.#add({ record, position: ZERO_ID, opened: false });
    else current.record = record;
    this.#removed.delete(record.session);
    this.#removedBefore.delete(record.session);
    return { kind: 'registered', replaced, evicted };
  }

  /** The removed session, if this removal was not too late, and whether its cursor was open still. */
  unregister(
    session: SessionId,
    incarnation: number,
    seq: number,
  ): { readonly record: SessionRecord; readonly opened: boolean } | undefined {
    const live = this.#byId.get(session);
    const stamp = { incarnation, seq };
    if (live === undefined) {
      const known = this.#removed.get(session) ?? this.#removedBefore.get(session);
      if (known === undefined || isOlder(known, stamp)) this.#bury(session, stamp);
      return undefined;
    }
    if (isOlder(stamp, live.record)) return undefined;
    this.#remove(session, stamp);
    return { record: live.record, opened: live.opened };
  }

  /** Sessions of the comet that are of an incarnation before `keep`, or all, are gone; those whose cursor was open are returned apart. */
  dropComet(comet: NodeId, keep: number | undefined): { gone: number; open: readonly SessionRecord[] } {
    const open: SessionRecord[] = [];
    let gone = 0;
    for (const live of [...this.#byId.values()]) {
      if (live.record.comet !== comet || (keep !== undefined && live.record.incarnation >= keep)) continue;
      if (live.opened) open.push(live.record);
      this.#remove(live.record.session, live.record);
      gone += 1;
    }
    if (keep === undefined) this.#incarnations.delete(comet);
    else this.#incarnations.set(comet, Math.max(keep, this.#incarnations.get(comet) ?? 0));
    return { gone, open };
  }

  /** Of a user, for an answer. */
  of(user: UserId): readonly SessionRecord[] {
    const lives = this.#livesOf(user);
    return lives === undefined ? NOBODY : lives.map((live) => live.record);
  }

  statesOf(user: UserId): readonly SessionState[] {
    return (this.#livesOf(user) ?? []).map(stateOf);
  }

  /** Positions of the user's open sessions: what retention must keep for them. */
  holds(user: UserId): readonly MessageId[] {
    const lives = this.#livesOf(user);
    if (lives === undefined) return [];
    const holds: MessageId[] = [];
    for (const live of lives) if (live.opened) holds.push(live.position);
    return holds;
  }

  /** Whether a session of this device, other than `except`, has an open cursor. */
  isOpen(user: UserId, device: DeviceKey, except?: SessionId): boolean {
    const lives = this.#livesOf(user);
    if (lives === undefined) return false;
    return lives.some((live) => live.opened && live.record.device === device && live.record.session !== except);
  }

  /** The session's cursor is open at `position`. Unknown sessions hold nothing. */
  open(session: SessionId, position: MessageId): void {
    const live = this.#byId.get(session);
    if (live === undefined) return;
    live.opened = true;
    live.position = position;
  }

  /** Moves an open session's position, never back. */
  advance(session: SessionId, position: MessageId): void {
    const live = this.#byId.get(session);
    if (live?.opened !== true) return;
    const { epoch, n } = live.position;
    if (position.epoch > epoch || (position.epoch === epoch && position.n > n)) live.position = position;
  }

  /** The session holds nothing any more. */
  close(session: SessionId): void {
    const live = this.#byId.get(session);
    if (live !== undefined) live.opened = false;
  }

  /** A page by session id. Costs what is in it, and with `comet` what lies between. */
  page(page: {
    readonly after: SessionId | undefined;
    readonly limit: number;
    readonly user?: UserId;
    readonly comet?: NodeId;
    readonly prefix?: string;
  }): readonly SessionState[] {
    const { after, limit, comet, prefix = '' } = page;
    const found: SessionState[] = [];
    for (const session of this.#inOrder(page)) {
      if (found.length >= limit) break;
      if (session === after || session < prefix) continue;
      if (!session.startsWith(prefix)) break;
      const live = this.#byId.get(session);
      if (live !== undefined && (comet === undefined || live.record.comet === comet)) found.push(stateOf(live));
    }
    return found;
  }

  /** All that may belong to a page, and maybe more, by id. */
  #inOrder({ user, prefix = '', after = '' }: { user?: UserId; prefix?: string; after: string | undefined }) {
    if (user === undefined) return this.#order.from(after > prefix ? after : prefix);
    const ofUser = (this.#livesOf(user) ?? []).map(({ record }) => record.session);
    return ofUser.filter((session) => session >= after).sort();
  }

  /** Forgets removed sessions that nobody can register again by being late. `now`: monotonic ms. */
  maintain(now: number): void {
    if (now - this.#rotatedAt < TOMBSTONES_MS) return;
    this.#rotatedAt = now;
    this.#rotate();
  }

  #livesOf(user: UserId): readonly Live[] | undefined {
    const lives = this.#byUser.get(user);
    return lives === undefined || Array.isArray(lives) ? lives : [lives];
  }

  #add(live: Live): void {
    const { session, user } = live.record;
    this.#byId.set(session, live);
    this.#order.add(session);
    if (user === undefined) return;
    const lives = this.#byUser.get(user);
    if (lives === undefined) this.#byUser.set(user, live);
    else if (Array.isArray(lives)) lives.push(live);
    else this.#byUser.set(user, [lives, live]);
  }

  #remove(session: SessionId, stamp: Stamp): void {
    const live = this.#byId.get(session);
    if (live === undefined) return;
    this.#byId.delete(session);
    this.#order.delete(session);
    const { user } = live.record;
    if (user !== undefined) {
      const rest = (this.#livesOf(user) ?? []).filter((other) => other !== live);
      const [only] = rest;
      if (only === undefined) this.#byUser.delete(user);
      else this.#byUser.set(user, rest.length === 1 ? only : rest);
    }
    this.#bury(session, { incarnation: stamp.incarnation, seq: stamp.seq });
  }

  #bury(session: SessionId, stamp: Stamp): void {
    this.#removed.set(session, stamp);
    if (this.#removed.size >= TOMBSTONES) this.#rotate();
  }

  #rotate(): void {
    this.#removedBefore = this.#removed;
    this.#removed = new Map();
  }
}

function isOlder(a: Stamp, b: Stamp): boolean {
  return a.incarnation !== b.incarnation ? a.incarnation < b.incarnation : a.seq < b.seq;
}

function stateOf(live: Live): SessionState {
  return { ...live.record, position: live.position };
}
