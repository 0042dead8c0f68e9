// `?wait=`: who waits for a message to be taken. Delivered means acknowledged (native) or drained (legacy) by a session that
// was live when the push was accepted. Woken by progress, which a session of which much is acknowledged tells of once a second:
// so who waits for longer than most looks by itself, at the store, which sees sessions that went away and what other logics were
// told, and at the comets, which know what was acknowledged just now. Bounded by the requests that wait.

import { compareIds, type MessageId, type NodeId, type SessionId, type UserId } from '../../protocol/ids.js';
import type { Clock, Timer } from '../clock.js';
import { ANONYMOUS, type Buckets, type SessionState } from '../store/buckets.js';

/** Until the first look while somebody waits, and between two: doubled each time, within these. */
const LOOK_MIN_MS = 25;
const LOOK_MAX_MS = 200;

/** What a waiting push is answered with. */
export interface Delivery {
  /** Live sessions of the users when the push was accepted. */
  readonly online: number;
  /** Sessions that took it. */
  readonly delivered: number;
  /** From accepting to the last confirmation, or to giving up. */
  readonly ms: number;
}

/** One user's message that somebody waits for. */
export interface Awaited {
  readonly user: UserId;
  readonly id: MessageId;
}

type Store = Pick<Buckets, 'sessionsOf' | 'devices'>;

/** Up to where these sessions of a comet have taken their logs; nothing of those that it does not know, or does not tell. */
type AskComet = (
  comet: NodeId,
  sessions: readonly SessionId[],
) => Promise<readonly (Pick<SessionState, 'session' | 'position'> | undefined)[] | undefined>;

interface Waiter {
  readonly pending: Set<SessionId>;
  /** Confirmed before it was known who is to be waited for. */
  readonly early: Set<SessionId>;
  readonly id: MessageId;
  readonly wake: () => void;
  delivered: number;
}

export class Deliveries {
  readonly #clock: Clock;
  readonly #buckets: Store;
  readonly #askComet: AskComet;
  readonly #waiting = new Map<UserId, Set<Waiter>>();

  constructor(clock: Clock, buckets: Store, askComet: AskComet) {
    this.#clock = clock;
    this.#buckets = buckets;
    this.#askComet = askComet;
  }

  /** A session confirmed everything up to `upTo`. */
  confirmed(user: UserId, session: SessionId, upTo: MessageId): void {
    const waiters = this.#waiting.get(user);
    if (waiters === undefined) return;
    for (const waiter of waiters) {
      if (compareIds(upTo, waiter.id) < 0) continue;
      if (!waiter.pending.delete(session)) {
        waiter.early.add(session);
        continue;
      }
      waiter.delivered++;
      if (waiter.pending.size === 0) waiter.wake();
    }
  }

  /** Resolves when all live sessions of these users took their message, nobody is online, `ms` passed or `signal` aborts. */
  async wait(awaited: readonly Awaited[], ms: number, since: number, signal: AbortSignal): Promise<Delivery> {
    // Registered before the look at the store: what is confirmed meanwhile is seen by one side or the other.
    const waiters = awaited.map(({ user, id }) => this.#add(user, id, () => settle(false)));
    let settle: (timedOut: boolean) => void = () => {};
    let late: Timer | undefined;
    let looking: Timer | undefined;
    let over = false;
    const stop = () => settle(true);
    let online = 0;
    try {
      for (const [index, sessions] of (await this.#buckets.sessionsOf(awaited.map(({ user }) => user))).entries()) {
        online += sessions.length;
        const waiter = waiters[index] as Waiter;
        const taken = await this.#taken(sessions, waiter.id);
        for (const { session } of sessions) {
          if (waiter.early.has(session) || taken.has(session)) waiter.delivered++;
          else waiter.pending.add(session);
        }
      }
      await new Promise<void>((resolve) => {
        settle = (timedOut) => {
          if (timedOut || waiters.every((waiter) => waiter.pending.size === 0)) resolve();
        };
        late = this.#clock.after(ms, () => settle(true));
        const look = (waitMs: number): void => {
          if (over) return;
          looking = this.#clock.after(waitMs, () => {
            this.#look(awaited, waiters)
              .then(() => settle(false))
              .catch(() => undefined)
              .finally(() => look(Math.min(waitMs * 2, LOOK_MAX_MS)));
          });
        };
        look(LOOK_MIN_MS);
        signal.addEventListener('abort', stop);
        settle(signal.aborted);
      });
    } finally {
      signal.removeEventListener('abort', stop);
      over = true;
      this.#clock.clear(late);
      this.#clock.clear(looking);
      for (const [index, waiter] of waiters.entries()) this.#remove((awaited[index] as Awaited).user, waiter);
    }
    const delivered = waiters.reduce((sum, waiter) => sum + waiter.delivered, 0);
    return { online, delivered, ms: Math.round((this.#clock.monotonic() - since) * 10) / 10 };
  }

  async #look(awaited: readonly Awaited[], waiters: readonly Waiter[]): Promise<void> {
    const open = awaited.flatMap(({ user }, index) => {
      const waiter = waiters[index] as Waiter;
      return waiter.pending.size > 0 ? [{ user, waiter }] : [];
    });
    if (open.length === 0) return;
    const found = await this.#buckets.sessionsOf(open.map(({ user }) => user));
    for (const [index, { waiter }] of open.entries()) {
      const sessions = found[index] ?? [];
      const live = new Set(sessions.map(({ session }) => session));
      const taken = await this.#taken(sessions, waiter.id);
      for (const session of waiter.pending) {
        if (taken.has(session)) waiter.delivered++;
        // A session that ended without taking it is not waited for any more.
        if (taken.has(session) || !live.has(session)) waiter.pending.delete(session);
      }
    }
    const left = found.flatMap((sessions, index) =>
      sessions.filter(({ session }) => open[index]?.waiter.pending.has(session) === true),
    );
    await this.#lookAtComets(left);
  }

  async #lookAtComets(sessions: readonly SessionState[]): Promise<void> {
    const byComet = Map.groupBy(sessions, ({ comet }) => comet);
    const asked = [...byComet].map(async ([comet, theirs]) => {
      const told = await this.#askComet(
        comet,
        theirs.map(({ session }) => session),
      );
      for (const [index, { user, session }] of theirs.entries()) {
        const position = told?.[index]?.position;
        if (user !== undefined && position !== undefined) this.confirmed(user, session, position);
      }
    });
    await Promise.all(asked);
  }

  /**
   * Of one user's sessions those that have taken this id, as far as the store knows: a legacy session by its position, a
   * native one by its device's cursor. Where anonymous sessions share a cursor, it says nothing of each.
   */
  async #taken(sessions: readonly SessionState[], id: MessageId): Promise<ReadonlySet<SessionId>> {
    const taken = new Set<SessionId>();
    const anonymous = sessions.filter(({ device }) => device === ANONYMOUS).length;
    let cursors: ReadonlyMap<string, MessageId> | undefined;
    for (const { session, user, device, dialect, position } of sessions) {
      if (compareIds(position, id) < 0) continue;
      if (dialect === 'native') {
        if (user === undefined || (device === ANONYMOUS && anonymous > 1)) continue;
        cursors ??= new Map((await this.#buckets.devices(user)).map((known) => [known.device, known.cursor]));
        const cursor = cursors.get(device);
        if (cursor === undefined || compareIds(cursor, id) < 0) continue;
      }
      taken.add(session);
    }
    return taken;
  }

  #add(user: UserId, id: MessageId, wake: () => void): Waiter {
    const waiter: Waiter = { pending: new Set(), early: new Set(), id, wake, delivered: 0 };
    const waiters = this.#waiting.get(user);
    if (waiters === undefined) this.#waiting.set(user, new Set([waiter]));
    else waiters.add(waiter);
    return waiter;
  }

  #remove(user: UserId, waiter: Waiter): void {
    const waiters = this.#waiting.get(user);
    waiters?.delete(waiter);
    if (waiters?.size === 0) this.#waiting.delete(user);
  }
}
