// The heart of a comet: who is connected, what logic said of them, and the way from notifications to sessions. Listeners
// give it connections, the service gives it notifications; it knows no port.

import { DISCONNECT, type DisconnectRow } from '../../protocol/disconnect.js';
import { type FrameLimits, limitsFromClients } from '../../protocol/frame.js';
import { ALL_LOG, type NodeId, type SessionId, type UserId } from '../../protocol/ids.js';
import type { FrameVerdict } from '../../protocol/reader.js';
import type { Clock, Timer } from '../clock.js';
import { EventHub } from '../observe/hub.js';
import type { TraceStore } from '../observe/traces.js';
import { OpenLimit } from '../open-limit.js';
import type { CometIdentity, LogicService, Notification, OpenRequest } from '../rpc/services.js';
import { SharedAccepts } from './accepts.js';
import { Counters } from './counters.js';
import { Departures } from './departures.js';
import { FanOutCounters, TOPIC_DEFAULTS, type TopicContext } from './fan-out.js';
import { Fence } from './fence.js';
import { hearAgain } from './input.js';
import { Load } from './load.js';
import { CometObserver } from './observer.js';
import { Opens } from './opens.js';
import { type CometOptions, WRITE_BYTES } from './options.js';
import { Pacer } from './pacer.js';
import { Pins } from './pins.js';
import { ProgressReporter } from './progress.js';
import { RecoveredRings } from './recovered.js';
import { Roster } from './roster.js';
import { Phase, type Session, type SessionHost } from './session.js';
import { Sweeper } from './sweep.js';
import { TopicTable } from './topic-table.js';
import { CometTraces } from './traces.js';
import { TurnPace } from './turn-pace.js';
import { Unclaimed } from './unclaimed.js';
import type { FollowContext } from './user-log.js';
import { Wheel } from './wheel.js';

/** What becomes of frames; given in, because handling them needs all that is here. */
export interface InboundHandlers {
  /** A frame: its body is buf[bodyAt, end). The verdict tells the parser whether to go on. */
  frame(
    core: CometCore,
    session: Session,
    buf: Uint8Array,
    bodyAt: number,
    end: number,
    op: number,
    seq: number,
    ver: number,
  ): FrameVerdict;
  text(core: CometCore, session: Session, message: Buffer): void;
}

/** What a core is made of. */
export interface CoreParts {
  readonly inbound: InboundHandlers;
  readonly options: CometOptions;
  readonly logic: LogicService;
  readonly clock: Clock;
  readonly node: NodeId;
  readonly incarnation: number;
  readonly turns?: Turns | undefined;
  /** Where events of this node go; one of its own unless given. */
  readonly hub?: EventHub | undefined;
  /** Where steps of messages that are traced are noted. */
  readonly traces: TraceStore;
}

/** When the next turn of the event loop may begin: told of each read, where a process is to take many in one turn. */
export interface Turns {
  took(): void;
}

/** Entries and bytes of one read of a user's log: encoded, they fit one write. */
const USER_READ = { entries: 256, bytes: WRITE_BYTES - 8 * 1024 };

/** Memory of fallen ring segments that sockets may pin. */
const PINNED_BYTES = 64 * 1024 * 1024;

/** Memory of rings recovered from the store for members that came back and have not read to their end. */
const RECOVERED_BYTES = 64 * 1024 * 1024;

const TICK_MS = 250;
/** As many ticks as the default idle limit has, so that a round is rarely needed. */
const WHEEL_SLOTS = 2_048;
const NO_DEADLINE = -1;
const LINGER_MS = 2_000;

/** Put together for each session they would cost more than being counted. */
const DIALECT_NAMES = {
  tcp: { imgo: 'imgo-tcp', goim1: 'goim1-tcp', goim2: 'goim2-tcp', native: 'native-tcp' },
  ws: { imgo: 'imgo-ws', goim1: 'goim1-ws', goim2: 'goim2-ws', native: 'native-ws' },
} as const;

/** One comet's state. */
export class CometCore implements SessionHost {
  readonly options: CometOptions;
  readonly logic: LogicService;
  readonly clock: Clock;
  readonly node: NodeId;
  readonly counters = new Counters();
  readonly fanOut = new FanOutCounters();
  readonly load: Load<Session>;
  readonly fence: Fence;
  readonly frameLimits: FrameLimits;
  readonly follow: FollowContext;
  readonly topicContext: TopicContext;
  readonly topics: TopicTable;
  readonly progress: ProgressReporter;
  readonly pins: Pins;
  readonly recovered = new RecoveredRings(RECOVERED_BYTES);
  readonly sweeper: Sweeper;
  readonly pacer: Pacer;
  readonly opens = new Opens();
  /** What logic is asked for sessions that open. */
  readonly asked = new Map<Session, OpenRequest>();
  readonly openPace: TurnPace;
  /** Of connections whose client has hung up. */
  readonly endPace: TurnPace;
  readonly openLimit: OpenLimit;
  readonly departures: Departures;
  readonly accepts = new SharedAccepts();
  readonly observer: CometObserver;
  readonly unclaimed = new Unclaimed();
  readonly traces: CometTraces;

  /** Every open connection, authenticated or not. */
  readonly connections = new Set<Session>();
  readonly sessions = new Map<SessionId, Session>();
  /** The same, to be listed page by page. */
  readonly roster = new Roster<Session>();
  /** How many of them speak what over what: `imgo-tcp`, `native-ws`, … */
  readonly byDialect: Record<string, number> = {};
  readonly #users = new Map<UserId, Session | Session[]>();
  /** One deadline a connection: its handshake, then its silence or its token's end, then its socket's end. */
  readonly #deadlines: Wheel<Session>;
  readonly #inbound: InboundHandlers;
  readonly #turns: Turns | undefined;
  #seq = 0;
  /** Coarse monotonic time. */
  #second = 0;
  #ticker: Timer | undefined;
  /** Releases that are told to logic, while somebody collects them. */
  #releases: Promise<void>[] | undefined;

  constructor(parts: CoreParts) {
    const { options, logic, clock, node, incarnation } = parts;
    this.#inbound = parts.inbound;
    this.#turns = parts.turns;
    this.options = options;
    this.logic = logic;
    this.clock = clock;
    this.node = node;
    this.load = new Load(clock);
    this.fence = new Fence(clock, incarnation);
    this.openLimit = new OpenLimit(clock, `opens of ${node}`);
    this.departures = new Departures(logic, clock, () => this.counters.count('failed_close'));
    this.frameLimits = limitsFromClients(options.limits.frameBytes);
    this.traces = new CometTraces(parts.traces, clock);
    this.follow = { logic, clock, limit: USER_READ, counters: this.counters, traces: this.traces };
    this.pins = new Pins(clock, PINNED_BYTES);
    this.sweeper = new Sweeper(clock, options.fanout.yieldEvery);
    const sweeping = () => this.sweeper.active > 0;
    this.openPace = new TurnPace(clock, sweeping);
    this.endPace = new TurnPace(clock, sweeping);
    this.observer = new CometObserver(parts.hub ?? new EventHub(node, clock), this);
    this.topicContext = {
      clock,
      sweeper: this.sweeper,
      pins: this.pins,
      recovered: this.recovered,
      counters: this.fanOut,
      latency: this.load.latency,
      traces: this.traces,
      options: {
        ...TOPIC_DEFAULTS,
        windowMs: options.fanout.windowMs,
        maxLagBytes: options.limits.lag.maxBytes,
        lagPolicy: options.limits.lag.policy,
      },
      read: (log, after, limit) => logic.read(log, after, limit),
      mayWrite: () => this.fence.open,
      observer: this.observer,
    };
    this.topics = new TopicTable(this.topicContext, logic, this.counters, () => this.identity());
    this.progress = new ProgressReporter(logic, clock, this.counters, () => this.sessions.values());
    this.pacer = new Pacer(clock, options.fanout.paceMs);
    this.#deadlines = new Wheel(clock.monotonic(), TICK_MS, WHEEL_SLOTS);
  }

  /** Who registers, under a new number. */
  identity(): CometIdentity {
    return { node: this.node, incarnation: this.fence.incarnation, seq: ++this.#seq };
  }

  /** Starts the clockwork. */
  start(): void {
    this.#second = Math.floor(this.clock.monotonic() / 1_000);
    this.#ticker ??= this.clock.every(TICK_MS, () => this.#tick());
  }

  /** Stops the clockwork; all sessions are closed by then. */
  stop(): void {
    this.clock.clear(this.#ticker);
    this.#ticker = undefined;
    this.pacer.stop();
    this.topics.close();
  }

  // Connections.

  /** A connection was accepted. */
  accept(session: Session): void {
    this.counters.accepted++;
    this.connections.add(session);
    const now = this.clock.monotonic();
    session.deadline = this.#deadlines.add(session, now + this.options.limits.handshakeMs);
    session.heardAt = Math.floor(now / 1_000);
    this.#took();
  }

  /** Bytes arrived. */
  heard(session: Session, bytes: number): void {
    this.counters.bytesIn += bytes;
    session.heardAt = this.#second;
    this.#took();
  }

  /** A sweep has its turns at once. */
  #took(): void {
    if (this.#turns !== undefined && this.sweeper.active === 0) this.#turns.took();
  }

  /** The socket is closed. */
  disconnected(session: Session): void {
    this.connections.delete(session);
    session.gone();
    if (session.deadline >= 0) this.#deadlines.remove(session.deadline);
    session.deadline = NO_DEADLINE;
  }

  // What sessions call.

  mayWrite(): boolean {
    return this.fence.open;
  }

  frame(
    session: Session,
    buf: Uint8Array,
    start: number,
    headerLen: number,
    end: number,
    op: number,
    seq: number,
    ver: number,
  ): FrameVerdict {
    return this.#inbound.frame(this, session, buf, start + headerLen, end, op, seq, ver);
  }

  text(session: Session, message: Buffer): void {
    this.#inbound.text(this, session, message);
  }

  drained(session: Session): void {
    if (session.dialect === 'native') this.progress.drained(session);
    else if (this.options.delivery.legacyAck === 'drain') {
      if (this.traces.any) this.traces.acknowledged(session, session.drainedTo, 'drain');
      session.taken = session.drainedTo;
      this.progress.taken(session);
    }
  }

  ready(session: Session): void {
    this.pins.release(session);
    if (!this.fence.open) return;
    for (let at = 0; at < session.topics.length && !session.held; at++) session.topics[at]?.resume(session);
  }

  hear(session: Session): void {
    hearAgain(session);
  }

  linger(session: Session): void {
    const at = this.clock.monotonic() + LINGER_MS;
    if (session.deadline >= 0) this.#deadlines.move(session.deadline, at);
    else if (!session.socket.destroyed) session.deadline = this.#deadlines.add(session, at);
  }

  paced(session: Session, bytes: Uint8Array): void {
    this.pacer.add(session, bytes);
  }

  online(session: Session): number {
    if (session.dialect !== 'goim2') return 0;
    const room = session.topics.find((topic) => topic.log !== ALL_LOG);
    return room?.members.length ?? 0;
  }

  release(session: Session, row?: DisconnectRow): void {
    if (session.phase === Phase.OPEN) this.observer.closed(session, row);
    this.topics.leaveAll(session);
    this.pins.release(session);
    const { handle } = session;
    if (handle === undefined) {
      const request = this.asked.get(session);
      if (request !== undefined) this.logic.callOff?.(request);
      return;
    }
    if (this.sessions.delete(session.session)) {
      this.#countDialect(session, -1);
      this.roster.remove(session);
    }
    if (handle.user !== undefined) this.#removeUser(handle.user, session);
    this.progress.last(session);
    const closing = this.#tellClosed(session);
    this.#releases?.push(closing);
  }

  /** logic is told how far it came. */
  async #tellClosed(session: Session): Promise<void> {
    const { log } = session;
    if (session.handle === undefined) return;
    // Under a number of its own: a registration that is still on its way does not bring the session back.
    const { incarnation, seq } = this.identity();
    const handle = { ...session.handle, incarnation, seq };
    await this.departures.tell(handle, log?.last ?? session.drainedTo);
  }

  /** Runs `close` and resolves when logic knows of every session that it closed. */
  async closing(close: () => void): Promise<void> {
    const outer = this.#releases;
    const mine: Promise<void>[] = [];
    this.#releases = mine;
    close();
    this.#releases = outer;
    outer?.push(...mine);
    await Promise.all(mine);
  }

  // Opening.

  /** The session is known from now on: notifications reach it. */
  add(session: Session): void {
    this.sessions.set(session.session, session);
    this.roster.add(session);
    this.#countDialect(session, 1);
    const user = session.handle?.user;
    if (user === undefined) return;
    const there = this.#users.get(user);
    if (there === undefined) this.#users.set(user, session);
    else if (Array.isArray(there)) there.push(session);
    else this.#users.set(user, [there, session]);
  }

  #countDialect({ dialect, transport }: Session, by: number): void {
    const name = DIALECT_NAMES[transport][dialect];
    const count = (this.byDialect[name] ?? 0) + by;
    if (count > 0) this.byDialect[name] = count;
    else delete this.byDialect[name];
  }

  #removeUser(user: UserId, session: Session): void {
    const there = this.#users.get(user);
    if (there === session) this.#users.delete(user);
    if (!Array.isArray(there)) return;
    const rest = there.filter((other) => other !== session);
    if (rest.length === 1) this.#users.set(user, rest[0] as Session);
    else this.#users.set(user, rest);
  }

  /** Sessions of a user. */
  sessionsOf(user: UserId): readonly Session[] {
    const there = this.#users.get(user);
    if (there === undefined) return [];
    return Array.isArray(there) ? there : [there];
  }

  // Notifications.

  /** Gives messages to who is concerned: user logs first, each session's in one write, then topics. */
  notify(notifications: readonly Notification[]): void {
    const touched: Session[] = [];
    let forTopics = false;
    this.counters.notifications += notifications.length;
    for (const note of notifications) {
      if (note.trace !== undefined) this.traces.arrived(note, this);
      if (note.session !== undefined) this.#notifySession(note, note.session, touched);
      else if (note.log.startsWith('user:')) this.#notifyUser(note, touched);
      else forTopics = true;
    }
    for (const session of touched) session.flush();
    this.load.latency.notified(touched.length, notifications);
    if (!forTopics) return;
    for (const note of notifications) {
      if (note.session !== undefined || note.log.startsWith('user:')) continue;
      if (note.ephemeral && this.#tooOld(note)) continue;
      if (this.observer.tap.active) this.observer.tap.noted(note);
      this.topics.append(note);
    }
  }

  /** goim's push by key: ephemeral, for one connection, whatever it reads. */
  #notifySession(note: Notification, id: SessionId, touched: Session[]): void {
    const session = this.#tooOld(note) ? undefined : this.sessions.get(id);
    if (session?.deliverEphemeral(note) === true) touched.push(session);
  }

  #notifyUser(note: Notification, touched: Session[]): void {
    if (note.ephemeral) {
      if (this.#tooOld(note)) return;
    } else if (this.unclaimed.any) this.unclaimed.remember(note.log, note.id);
    const there = this.#users.get(note.log.slice(5) as UserId);
    if (there === undefined) return;
    if (!Array.isArray(there)) this.#give(there, note, touched);
    else for (const session of [...there]) this.#give(session, note, touched);
  }

  #give(session: Session, note: Notification, touched: Session[]): void {
    const log = session.log;
    if (log === undefined) return;
    if (note.ephemeral) {
      if (session.deliverEphemeral(note)) touched.push(session);
      return;
    }
    if (log.notify(this.follow, session, note.prev, note)) {
      touched.push(session);
      return;
    }
    if (!session.held || session.closed) return;
    session.lagBytes += note.payload.length;
    if (this.observer.hub.wants !== 0) this.observer.lag(session, note.log, session.lagBytes);
    const { maxBytes, policy } = this.options.limits.lag;
    if (policy === 'disconnect' && session.lagBytes > maxBytes) session.close(DISCONNECT.lag_exceeded);
  }

  /** Ephemeral messages older than this are not worth giving (delivery.md section 3). */
  #tooOld(note: Notification): boolean {
    if (this.clock.now() - note.acceptedAt <= 5_000) return false;
    this.counters.count('dropped_ephemeral_old');
    if (note.trace !== undefined) this.traces.old(note);
    return true;
  }

  // The clockwork.

  #tick(): void {
    const now = this.clock.monotonic();
    const second = Math.floor(now / 1_000);
    this.load.lateness.tick(now, TICK_MS);
    this.#deadlines.advance(now, (session) => this.#due(session, now));
    if (second === this.#second) return;
    this.#second = second;
    this.topics.endIdle(now);
    this.observer.recorder.expire();
    for (const topic of this.topics) topic.expire(now);
  }

  #due(session: Session, now: number): void {
    session.deadline = NO_DEADLINE;
    if (session.phase === Phase.CLOSED) session.socket.destroy();
    else if (session.phase !== Phase.OPEN) session.close(DISCONNECT.handshake_timeout);
    else this.#watch(session, now);
  }

  /** The session is open: from now on its silence and its token's end are watched. */
  opened(session: Session): void {
    this.counters.opened++;
    this.observer.opened(session);
    if (session.deadline >= 0) this.#deadlines.remove(session.deadline);
    session.deadline = NO_DEADLINE;
    this.#watch(session, this.clock.monotonic());
  }

  #watch(session: Session, now: number): void {
    const silentAt = (session.heardAt + 1) * 1_000 + this.options.limits.idleMs;
    const expiresIn = session.expiresAt - this.clock.now();
    if (silentAt <= now) session.close(DISCONNECT.idle_timeout);
    else if (expiresIn <= 0) session.close(DISCONNECT.token_expired);
    else session.deadline = this.#deadlines.add(session, Math.min(silentAt, now + expiresIn));
  }
}
