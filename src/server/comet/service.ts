// What jobs and logics may ask of a comet: notify, disconnect, resync, and what `sessions`, `rooms` and `top` show.

import { DISCONNECT, type DisconnectName } from '../../protocol/disconnect.js';
import { ALL_LOG, type RoomId, roomLog, type SessionId, ZERO_ID } from '../../protocol/ids.js';
import type {
  CometService,
  CometStats,
  DisconnectTarget,
  DrainOrder,
  Notification,
  SessionInfo,
} from '../rpc/services.js';
import type { CometCore } from './core.js';
import type { Drain } from './drain.js';
import { resync } from './rejoin.js';
import type { Session } from './session.js';

/** The service of one comet. */
export class LocalCometService implements CometService {
  readonly #core: CometCore;
  readonly #drain: Pick<Drain, 'active' | 'begin' | 'end'>;

  constructor(core: CometCore, drain: Pick<Drain, 'active' | 'begin' | 'end'>) {
    this.#core = core;
    this.#drain = drain;
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

  async stats(): Promise<CometStats> {
    const core = this.#core;
    const counters = core.counters.snapshot();
    for (const [name, value] of Object.entries(core.fanOut)) {
      if (typeof value !== 'number') continue;
      counters[`topics_${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`] = value;
    }
    counters.pins_evicted = core.pins.evicted;
    counters.recovered_evicted = core.recovered.evicted;
    const cpu = process.cpuUsage();
    return {
      node: core.node,
      draining: this.#drain.active,
      connections: core.connections.size,
      sessions: core.sessions.size,
      byDialect: { ...core.byDialect },
      topics: [...core.topics].map((topic) => topic.stats()),
      counters,
      reasons: { ...core.counters.reasons },
      rssBytes: process.memoryUsage.rss(),
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      loopP99Ms: core.lateness.p99(),
    };
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
