// What jobs and logics may ask of a comet: notify, disconnect, resync, and what `sessions`, `rooms` and `top` show.

import { DISCONNECT, type DisconnectName } from '../../protocol/disconnect.js';
import { ALL_LOG, type LogName, type RoomId, roomLog, type SessionId, ZERO_ID } from '../../protocol/ids.js';
import type { NodeTrace } from '../observe/steps.js';
import type {
  CometService,
  CometStats,
  DisconnectTarget,
  DrainOrder,
  Notification,
  SessionInfo,
  StatsRequest,
} from '../rpc/services.js';
import type { CometCore } from './core.js';
import type { Drain } from './drain.js';
import { resync } from './rejoin.js';
import { pageBefore } from './roster.js';
import type { Session } from './session.js';
import { cometStats } from './stats.js';

/** Sessions of one page. */
const PAGE_MAX = 1_000;

/** The service of one comet. */
export class LocalCometService implements CometService {
  readonly #core: CometCore;
  readonly #drain: Pick<Drain, 'active' | 'begin' | 'end'>;
  readonly #capacity: () => CometStats['capacity'];

  /** `capacity`: the most connections at the moment; undefined: nothing bounds them. */
  constructor(core: CometCore, drain: Pick<Drain, 'active' | 'begin' | 'end'>, capacity: () => CometStats['capacity']) {
    this.#core = core;
    this.#drain = drain;
    this.#capacity = capacity;
  }

  async notify(notifications: readonly Notification[]): Promise<void> {
    this.#core.notify(notifications);
  }

  async disconnect(target: DisconnectTarget, code: DisconnectName): Promise<number> {
    const sessions = this.#find(target);
    this.#core.opens.doom(target, code);
    await this.#core.closing(() => {
      for (const session of sessions) session.close(DISCONNECT[code]);
    });
    return sessions.length;
  }

  async resync(): Promise<void> {
    this.#core.counters.resyncs++;
    await resync(this.#core);
  }

  async session(id: SessionId): Promise<SessionInfo | undefined> {
    return this.#info(id);
  }

  async sessionsOf(ids: readonly SessionId[]): Promise<readonly (SessionInfo | undefined)[]> {
    return ids.map((id) => this.#info(id));
  }

  async sessionPage(
    room: RoomId | undefined,
    after: string | undefined,
    limit: number,
  ): Promise<readonly SessionInfo[]> {
    const { roster, topics } = this.#core;
    const all = room === undefined ? roster.all : (topics.get(roomLog(room))?.members ?? []);
    // A page that a comet of the version before has begun is begun again.
    const before = after !== undefined && /^\d{1,15}$/.test(after) ? Number(after) : undefined;
    return pageBefore<{ readonly session: SessionId }, SessionInfo>(
      all,
      before,
      Math.min(limit, PAGE_MAX),
      ({ session }, row) => {
        const info = this.#info(session);
        return info === undefined ? undefined : { ...info, row };
      },
    );
  }

  async trace(log: LogName, key: string): Promise<NodeTrace | undefined> {
    return this.#core.traces.store.find(log, key);
  }

  #info(id: SessionId): SessionInfo | undefined {
    const session = this.#core.sessions.get(id);
    const { handle, log } = session ?? {};
    if (session === undefined || handle === undefined) return undefined;
    const rooms: RoomId[] = [];
    let lagBytes = session.lagBytes + session.socket.writableLength;
    for (const topic of session.topics) {
      lagBytes += this.#core.topics.get(topic.log)?.lagBytes(session) ?? 0;
      if (topic.log !== ALL_LOG) rooms.push(topic.log.slice('room:'.length) as RoomId);
    }
    return {
      ...handle,
      position: session.taken,
      sentTo: log?.last ?? ZERO_ID,
      lagBytes,
      rooms,
      state: session.held ? 'held' : log?.behind === true ? 'catching_up' : 'streaming',
    };
  }

  async members(room: RoomId): Promise<number> {
    return this.#core.topics.get(roomLog(room))?.members.length ?? 0;
  }

  async stats(request?: StatsRequest): Promise<CometStats> {
    return cometStats(this.#core, { draining: this.#drain.active, capacity: this.#capacity() }, request);
  }

  async drain(order: DrainOrder | undefined): Promise<void> {
    if (order === undefined) await this.#drain.end();
    else this.#drain.begin(order);
  }

  #find(target: DisconnectTarget): readonly Session[] {
    const { sessions } = this.#core;
    switch (target.kind) {
      case 'session': {
        const session = sessions.get(target.session);
        return session === undefined ? [] : [session];
      }
      case 'user':
        return [...this.#core.sessionsOf(target.user)];
      case 'token':
        return [...sessions.values()].filter((session) => session.handle?.token === target.token);
    }
  }
}
