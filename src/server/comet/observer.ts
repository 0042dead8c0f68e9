/**
 * What a comet tells those who watch: its sessions' lives, their frames, its rooms' sweeps. Frames are told of marked
 * sessions only; the mark is a bit of the session that a write tests anyway, so nobody else pays. Rare events (a socket that
 * holds, a gap, a close) are matched when they happen. The flight recorder is kept whether anybody watches or not.
 */
import type { DisconnectRow } from '../../protocol/disconnect.js';
import { ALL_LOG, formatId, type LogName, type MessageId, type UserId } from '../../protocol/ids.js';
import type { GapEvent, NodeEvent } from '../observe/events.js';
import { Kind, type MatchedSession, type Matcher } from '../observe/filter.js';
import type { EventHub, SessionSource } from '../observe/hub.js';
import { FlightRecorder } from '../observe/recorder.js';
import type { Replay, Watch } from '../observe/watch.js';
import type { LaggingTopic, Sweep, TopicObserver } from './fan-out.js';
import { rounded, whoOf } from './observed.js';
import { Phase, type Session, type SessionObserver } from './session.js';
import { FrameTap } from './tap.js';

/** Sessions of a node that a watch without a sample watches one by one. */
export const MARKS_MAX = 1_000;
/** Sessions that are looked at in one turn when a watch begins. */
const LOOK_BATCH = 2_000;

/** What of a comet is looked at. */
export interface ObservedComet {
  readonly sessions: ReadonlyMap<string, Session>;
  sessionsOf(user: UserId): readonly Session[];
}

export class CometObserver implements SessionObserver, TopicObserver, SessionSource {
  readonly hub: EventHub;
  readonly recorder: FlightRecorder;
  readonly tap: FrameTap;
  readonly #comet: ObservedComet;
  /** Held since; while somebody wants to know. */
  readonly #held = new Map<Session, { readonly at: number; lagged: boolean }>();

  constructor(hub: EventHub, comet: ObservedComet) {
    this.hub = hub;
    this.recorder = new FlightRecorder(hub.clock);
    this.tap = new FrameTap(hub);
    this.#comet = comet;
    hub.source = this;
  }

  wants(kind: number): boolean {
    return (this.hub.wants & kind) !== 0;
  }

  // What the hub asks.

  async begin(watch: Watch): Promise<void> {
    const { matcher } = watch;
    let looked = 0;
    for (const session of this.#candidates(matcher)) {
      if (++looked % LOOK_BATCH === 0) await new Promise<void>((resolve) => this.hub.clock.soon(resolve));
      if (!this.hub.watches.includes(watch)) return;
      // Who is still being opened is counted when it is open.
      if (session.phase !== Phase.OPEN || !matcher.session(session)) continue;
      watch.sessions++;
      this.#mark(session, watch);
    }
  }

  end(watch: Watch): void {
    this.tap.end(watch);
    if (!this.wants(HOLDS)) this.#held.clear();
  }

  replay(matcher: Matcher, sinceMs: number): Replay {
    return this.recorder.replay(matcher, sinceMs, this.hub.node);
  }

  // A session's life.

  opened(session: Session): void {
    const who = whoOf(session);
    const { dialect, transport, peer } = session;
    this.recorder.opened(who, dialect, transport, peer);
    if (this.hub.wants === 0) return;
    this.#tell(Kind.open, session, () => ({ event: 'open', ...this.hub.stamp(), ...who, dialect, transport, peer }));
    for (const watch of this.hub.watches) {
      if (!watch.matcher.session(session)) continue;
      watch.sessions++;
      this.#mark(session, watch);
    }
    for (const topic of session.topics) this.#tellJoin(session, topic.log);
  }

  closed(session: Session, row: DisconnectRow | undefined): void {
    const who = whoOf(session);
    const code = row?.code ?? 0;
    const reason = row?.name ?? 'gone';
    const openMs = Math.max(0, this.hub.clock.now() - (session.handle?.since ?? 0));
    this.recorder.closed(who, code, reason, openMs);
    if (this.hub.wants === 0) return;
    this.#tell(Kind.close, session, () => ({
      event: 'close',
      ...this.hub.stamp(),
      ...who,
      code,
      reason,
      openMs,
    }));
    this.#held.delete(session);
    for (const watch of this.hub.watches) {
      if (watch.matcher.session(session)) watch.sessions--;
      this.tap.unmark(session, watch);
    }
  }

  joined(session: Session, log: LogName): void {
    const before = this.#without(session, log);
    for (const watch of this.hub.watches) {
      const { matcher } = watch;
      if (matcher.rooms?.has(log) !== true || !matcher.session(session) || matcher.session(before)) continue;
      watch.sessions++;
      this.#mark(session, watch);
    }
    this.#tellJoin(session, log);
  }

  /** It has left already. */
  left(session: Session, log: LogName): void {
    const room = { session: session.session, handle: session.handle, topics: [...session.topics, { log }] };
    for (const watch of this.hub.watches) {
      const { matcher } = watch;
      if (!matcher.session(room)) continue;
      if (matcher.wants(Kind.leave) && watch.hasRoom()) watch.offerEvent(this.#roomEvent('leave', session, log));
      if (matcher.session(session)) continue;
      watch.sessions--;
      this.tap.unmark(session, watch);
    }
  }

  held(session: Session): void {
    this.#held.set(session, { at: this.hub.clock.monotonic(), lagged: false });
    const bytes = session.socket.writableLength;
    this.#tell(Kind.held, session, () => ({ event: 'held', ...this.hub.stamp(), ...whoOf(session), bytes }));
  }

  released(session: Session): void {
    const since = this.#held.get(session);
    if (since === undefined) return;
    this.#held.delete(session);
    const ms = this.hub.clock.monotonic() - since.at;
    this.#tell(Kind.released, session, () => ({
      event: 'released',
      ...this.hub.stamp(),
      ...whoOf(session),
      ms: rounded(ms),
    }));
  }

  lag(session: Session, log: LogName, bytes: number): void {
    const since = this.#held.get(session);
    if (since === undefined || since.lagged) return;
    since.lagged = true;
    this.#tell(Kind.lag, session, () => ({ event: 'lag', ...this.hub.stamp(), ...whoOf(session), log, bytes }));
  }

  /** Sessions that a sweep has passed over. */
  lagging(topic: LaggingTopic): void {
    for (const [session, { lagged }] of this.#held) {
      if (lagged) continue;
      const bytes = topic.lagBytes(session);
      if (bytes > 0) this.lag(session, topic.log, bytes);
    }
  }

  gap(session: Session, log: LogName, after: MessageId, upTo: MessageId, reason: 'log' | 'lag'): void {
    const untold = session.dialect !== 'native';
    const who = whoOf(session);
    this.recorder.gap(who, log, after, upTo, reason === 'log' ? 0 : 1, untold);
    if (!this.wants(Kind.gap)) return;
    this.#tell(Kind.gap, session, () => ({
      event: 'gap',
      ...this.hub.stamp(),
      ...who,
      ...gapOf(log, after, upTo, reason, untold),
    }));
  }

  /** Of all members of a topic. */
  topicGap(log: LogName, after: MessageId, upTo: MessageId): void {
    this.recorder.gap(undefined, log, after, upTo, 0, false);
    if (!this.wants(Kind.gap)) return;
    this.hub.ofLog(Kind.gap, log, (at, node) => ({
      event: 'gap',
      at,
      node,
      ...gapOf(log, after, upTo, 'log', false),
    }));
  }

  swept(sweep: Sweep): void {
    const { log } = sweep;
    this.hub.ofLog(Kind.flush, log, (at, node) => {
      const { members, messages, bytes } = sweep;
      const room = log === ALL_LOG ? undefined : log.slice('room:'.length);
      return { event: 'flush', at, node, log, room, members, messages, bytes, sweepMs: rounded(sweep.sweepMs) };
    });
  }

  // Who is watched.

  #without({ session, handle, topics }: Session, log: LogName): MatchedSession {
    return { session, handle, topics: topics.filter((topic) => topic.log !== log) };
  }

  #candidates({ sessions, users }: Matcher): Iterable<Session> {
    const comet = this.#comet;
    if (sessions !== undefined) return [...sessions].flatMap((id) => comet.sessions.get(id) ?? []);
    if (users !== undefined) return [...users].flatMap((user) => comet.sessionsOf(user as UserId));
    return comet.sessions.values();
  }

  #mark(session: Session, watch: Watch): void {
    const { matcher } = watch;
    if (!matcher.wants(Kind.frame) || (session.aside & watch.bit) !== 0) return;
    if (matcher.sample >= 1 && watch.watched >= MARKS_MAX) watch.unwatched++;
    else this.tap.mark(session, watch);
  }

  // Telling.

  #tell(kind: number, session: Session, make: () => NodeEvent): void {
    let event: NodeEvent | undefined;
    for (const watch of this.hub.watches) {
      if (!watch.matcher.wants(kind) || !watch.matcher.session(session) || !watch.hasRoom()) continue;
      event ??= make();
      watch.offerEvent(event);
    }
  }

  #tellJoin(session: Session, log: LogName): void {
    if (log !== ALL_LOG) this.#tell(Kind.join, session, () => this.#roomEvent('join', session, log));
  }

  #roomEvent(event: 'join' | 'leave', session: Session, log: LogName): NodeEvent {
    return { event, ...this.hub.stamp(), ...whoOf(session), room: log.slice('room:'.length) };
  }
}

/** Kinds that need to know since when a socket holds. */
const HOLDS = Kind.held | Kind.released | Kind.lag;

function gapOf(log: LogName, after: MessageId, upTo: MessageId, reason: GapEvent['reason'], untold: boolean) {
  return { log, after: formatId(after), upTo: formatId(upTo), reason, ...(untold ? { untold } : {}) };
}
