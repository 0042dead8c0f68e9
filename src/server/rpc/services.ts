/**
 * What the roles ask of each other. In one process these are plain calls; apart, their remote twins stand beside this
 * file. Everything is serialisable; every call has a deadline of its caller's; errors are ImgoErrors by code.
 */

import type { Dialect, Transport } from '../../protocol/dialect.js';
import type { DisconnectName } from '../../protocol/disconnect.js';
import type { DeviceId, LogName, MessageId, NodeId, RoomId, SessionId, TokenId, UserId } from '../../protocol/ids.js';
import type { LatencyFigures } from '../observe/latency.js';
import type { ProcessUse } from '../observe/process.js';
import type { NodeTrace } from '../observe/steps.js';
import type { TraceSink } from '../observe/traces.js';
import type { QueueStats } from '../queue/queue.js';
import type { DeviceKey, ReadLimit, ReadResult, SessionRecord } from '../store/buckets.js';

/** Who says it is who. */
export type Credential =
  | {
      readonly kind: 'token';
      readonly token: string /** goim's `mid` beside a token: must equal the token's user. */;
      readonly mid?: string /** goim's key. */;
      readonly key?: string;
    }
  /** goim's own port only: an identity that nobody verified. `user` undefined: mid 0 or absent. */
  | { readonly kind: 'stated'; readonly user: UserId | undefined; readonly key: string };

export interface OpenRequest {
  readonly credential: Credential;
  readonly comet: NodeId;
  readonly incarnation: number;
  readonly seq: number;
  readonly dialect: Dialect;
  readonly transport: Transport;
  readonly peer: string;
  /** What the client calls itself (native). The token's own device wins. */
  readonly device: DeviceId | undefined;
  /** The client's own position in its user log (native). */
  readonly cursor: MessageId | undefined;
  /** Rooms asked for in AUTH. undefined: none were named (imgo: the default room). */
  readonly rooms: readonly RoomId[] | undefined;
  /**
   * What the session's id is made of, so that an open whose answer was lost may be repeated, with another logic too, and
   * still is one session. Random, once for each session; undefined: logic draws.
   */
  readonly nonce?: string;
  /** For how long somebody waits for the answer, ms: later it costs nothing any more. undefined: comets of earlier versions. */
  readonly withinMs?: number;
}

/** What is asked about again and again: as little as tells whether a session may go on. */
export type SessionClaim = Pick<SessionRecord, 'session' | 'user' | 'token'>;

/** What a comet acts with after open. Passed back unread; sealed when it crosses a process. */
export type SessionHandle = SessionRecord;

export interface OpenReply {
  readonly handle: SessionHandle;
  readonly session: SessionId;
  readonly user: UserId | undefined;
  readonly device: DeviceKey;
  readonly token: TokenId | undefined;
  /** Wall ms; the comet closes the session then. Infinity for stated identities. */
  readonly expiresAt: number;
  /** Reading the user's log starts after `start`; deliveries at or below `sentBefore` are flagged redelivered. */
  readonly start: MessageId;
  readonly head: MessageId;
  readonly sentBefore: MessageId;
  /** Granted of those asked for (or the default, or the token's); refused ones with their error code. */
  readonly rooms: readonly RoomId[];
  readonly refusedRooms: readonly { readonly room: RoomId; readonly code: string }[];
}

/** How far a session is in its user's log. */
export interface ProgressReport {
  readonly handle: SessionHandle;
  readonly upTo: MessageId;
  /** The client took it (native ACK, legacy drain); else only the position moves. */
  readonly acknowledge: boolean;
}

/** logic, for comets. */
export interface LogicService {
  /**
   * Register, check, then say where reading starts. Older sessions that this one replaces are closed by logic
   * through their comets (`replaced`, `too_many_sessions`).
   * @throws ImgoError token_refused (with details.disconnect: the DisconnectName to close with), too_many_sessions, overloaded
   * (nothing was begun; with when to come again)
   */
  open(request: OpenRequest): Promise<OpenReply>;
  /** Nobody waits for this open any more: if it has not begun, it need not. Where there is a way to say so. */
  callOff?(request: OpenRequest): void;
  /** A session's own user log (then `handle` is the session's), or a topic that this comet serves. */
  read(log: LogName, after: MessageId, limit: ReadLimit, handle?: SessionHandle): Promise<ReadResult>;
  /** How far sessions are. Each report counts for itself; rejects when any failed: all may be repeated. */
  progress(reports: readonly ProgressReport[]): Promise<void>;
  close(handle: SessionHandle, sentTo: MessageId, clean: boolean): Promise<void>;
  /** May this session join? @throws ImgoError room_refused, invalid_room */
  authorizeJoin(handle: SessionHandle, room: RoomId): Promise<void>;
  /** The comet's first member of a topic joined: registers the comet, then reads the head. `all` needs no registration. */
  openTopic(comet: CometIdentity, topic: LogName): Promise<MessageId>;
  /** The last member left (after the linger). */
  closeTopic(comet: CometIdentity, topic: LogName): Promise<void>;
  /** Members of a room over all comets. */
  presence(room: RoomId): Promise<number>;
  /** Which of these sessions must close, and why (expired, revoked, forgotten tokens; not registered). Every 60 s, after a fence and a resync. */
  revalidate(
    claims: readonly SessionClaim[],
  ): Promise<readonly { readonly session: SessionId; readonly code: DisconnectName }[]>;
  /** After a fence: registers these sessions again under the new incarnation. */
  reregister(handles: readonly SessionHandle[]): Promise<void>;
}

/** logic, for comets in other processes: what they need beside LogicService. */
export interface ClusterService {
  welcome(): Promise<Welcome>;
  /** Nobody knows what became of this open, and nobody is there any more for whom it was: it is taken back. */
  abandon(request: OpenRequest): Promise<void>;
  /** Nobody waits for this open of that comet any more; older logics do not know it. */
  callOff(comet: NodeId, nonce: string): Promise<void>;
}

/** What a logic tells a comet about the cluster. */
export interface Welcome {
  /** Where live logics are, `host:port`. */
  readonly logics: readonly string[];
  /** No API key, and nothing but loopback. */
  readonly development: boolean;
  /** The time of the cluster, wall ms. Older logics say none. */
  readonly now?: number;
}

/** Every node, for logics that show it. */
export interface NodeService {
  report(): Promise<NodeReport>;
  /** What it has noted of a message; `key`: its id, or `t-MARK`. */
  trace(log: LogName, key: string): Promise<NodeTrace | undefined>;
}

/** What a node says of itself. Which parts it has depends on its roles, and on its version. */
export interface NodeReport {
  readonly node: NodeId;
  /** Its wall clock, ms. */
  readonly at?: number;
  readonly process?: ProcessUse;
  /** Event loop delay over the last ten seconds, ms. */
  readonly loopP99Ms?: number;
  /** When the certificate of its links ends, wall ms; undefined: it has none. */
  readonly certificateEndsAt?: number;
  /** Codes of what keeps it from its work: `registry`, `store_failed`, `queue`, … */
  readonly problems: readonly string[];
  readonly rssBytes: number;
  readonly cpuSeconds: number;
  /** logic. */
  readonly push?: {
    readonly accepted: Readonly<Record<string, number>>;
    readonly refused: Readonly<Record<string, number>>;
    /** From a valid push to its acceptance. */
    readonly took?: LatencyFigures;
  };
  /** What waits, as the job sees it. */
  readonly queue?: QueueStats;
  readonly job?: Readonly<Record<string, number>>;
}

export interface CometIdentity {
  readonly node: NodeId;
  readonly incarnation: number;
  /** Grows with every registration this comet makes. */
  readonly seq: number;
}

/** One message for one log, to every session of this comet that reads the log. */
export interface Notification {
  readonly log: LogName;
  /** ZERO_ID with `ephemeral`. */
  readonly id: MessageId;
  readonly prev: MessageId;
  readonly payload: Uint8Array;
  readonly operation: number | undefined;
  readonly acceptedAt: number;
  readonly ephemeral: boolean;
  /** Ephemeral, and only for this session whatever it reads (goim's push by key); `log` says nothing then. */
  readonly session?: SessionId;
  /** The message is traced under this mark. */
  readonly trace?: string;
}

export interface SessionInfo extends SessionRecord {
  readonly position: MessageId;
  /** Written to the socket up to here. */
  readonly sentTo: MessageId;
  readonly lagBytes: number;
  readonly rooms: readonly RoomId[];
  readonly state: 'streaming' | 'catching_up' | 'held';
  /** In a page: where it stood. A comet of an earlier version has pages by id. */
  readonly row?: number;
}

export type DisconnectTarget =
  | { readonly kind: 'session'; readonly session: SessionId }
  | { readonly kind: 'user'; readonly user: UserId }
  | { readonly kind: 'token'; readonly token: TokenId };

/** comet, for jobs and logics. */
export interface CometService {
  /** Resolves when every notification is in the hands of its sessions (written, or remembered as catch-up). */
  notify(notifications: readonly Notification[]): Promise<void>;
  /** Leaves all topics at once, says so where the dialect can, destroys the socket. Resolves with how many. */
  disconnect(target: DisconnectTarget, code: DisconnectName): Promise<number>;
  /** Re-read heads of everything this comet serves, in paced batches. */
  resync(): Promise<void>;
  session(session: SessionId): Promise<SessionInfo | undefined>;
  /** Of many at once, in the order asked. */
  sessionsOf(sessions: readonly SessionId[]): Promise<readonly (SessionInfo | undefined)[]>;
  /**
   * Its sessions, members of the room or all, a page at a time. `after`: the `row` of the page's last one before, or its id where
   * it has none. Nobody who stays is left out; while sessions go, one may be in two pages.
   */
  sessionPage(room: RoomId | undefined, after: string | undefined, limit: number): Promise<readonly SessionInfo[]>;
  /** What it has noted of a message; `key`: its id, or `t-MARK`. */
  trace(log: LogName, key: string): Promise<NodeTrace | undefined>;
  members(room: RoomId): Promise<number>;
  /** Without a request: all topics and no sessions. */
  stats(request?: StatsRequest): Promise<CometStats>;
  /** Takes no new connections and sends away those that there are; undefined: takes connections again. */
  drain(order: DrainOrder | undefined): Promise<void>;
}

/** How a comet is emptied. */
export interface DrainOrder {
  readonly perSecond: number;
  /** When native clients are to be back. */
  readonly reconnect: { readonly minMs: number; readonly maxMs: number };
}

/** Which topics and sessions stand in a comet's answer, so that it is small whatever a comet has. */
export interface StatsRequest {
  /** At most so many topics. */
  readonly topics: number;
  readonly topicOrder: TopicOrder;
  /** At most so many sessions, the slowest; 0 costs nothing. */
  readonly sessions: number;
  /** Only this room. */
  readonly room?: string;
  /** Only rooms, and users or sessions, with this in their names. */
  readonly search?: string;
  /** What all topics have together, which looks at each of them once. */
  readonly sums?: boolean;
}

/** Of topics and sessions how many there are, and the busiest topic, for which each is looked at: little, whatever there is. */
export const NUMBERS_ONLY: StatsRequest = { topics: 0, topicOrder: 'members', sessions: 0 };

/** What the first topics of an answer have the most of. `rate`: messages a second; `lag`: members that lag. */
export type TopicOrder = 'members' | 'rate' | 'sweep' | 'lag';

export interface CometStats {
  readonly node: NodeId;
  readonly draining: boolean;
  readonly connections: number;
  readonly sessions: number;
  readonly byDialect: Readonly<Record<string, number>>;
  readonly topics: readonly TopicStats[];
  /** Monotonic counters; names are metric names without prefix, e.g. deliveries, flushes, bytes_out, heartbeats. */
  readonly counters: Readonly<Record<string, number>>;
  /** Drops and closes by reason: `gap_lag`, `ephemeral_catch_up`, `closed_handshake_timeout`, … */
  readonly reasons: Readonly<Record<string, number>>;
  readonly rssBytes: number;
  readonly cpuSeconds: number;
  /** Event loop delay over the last ten seconds, ms. */
  readonly loopP99Ms: number;

  // A comet of an earlier version has none of these.

  /** Its wall clock, ms. */
  readonly at?: number;
  /** How many topics there are. */
  readonly topicCount?: number;
  /** Of all topics; where it was asked for. */
  readonly sums?: TopicSums;
  /** The topic whose sweeps fill its window, or its ring, the most. */
  readonly busiest?: TopicStats;
  /** Sessions whose sockets have taken nothing for a second. */
  readonly lagging?: number;
  readonly slowest?: readonly SlowSession[];
  readonly process?: ProcessUse;
  /** The most connections at the moment, and what bounds them. */
  readonly capacity?: { readonly most: number; readonly by: 'max_conns' | 'fd_limit' };
  /** From a message's acceptance to the socket, by samples: one delivery in 64. */
  readonly took?: LatencyFigures;
  /** What became of its spans, monotonic; where they are sent somewhere. */
  readonly spans?: TraceSink['counters'];
}

/** What the topics of a comet have together. */
export interface TopicSums {
  readonly members: number;
  readonly lagging: number;
  readonly ringBytes: number;
  /** The longest of their last sweeps, ms. */
  readonly slowestSweepMs: number;
}

export interface TopicStats {
  readonly log: LogName;
  readonly members: number;
  readonly lagging: number;
  readonly windowMs: number;
  /** The last sweep, or the running one where that takes longer already. */
  readonly sweepMs: number;
  readonly ringBytes: number;

  // A comet of an earlier version has none of these.

  /** Monotonic: messages that came, and what members were given. */
  readonly messages?: number;
  readonly deliveries?: number;
  /** Monotonic: gaps of members that lagged. */
  readonly gaps?: number;
  /** Messages a second, over the last seconds. */
  readonly perSecond?: number;
  /** For how long its ring holds messages at their present rate, ms; undefined: longer than can be told. */
  readonly ringMs?: number;
}

/** A session and how far it is behind. */
export interface SlowSession {
  readonly session: SessionId;
  readonly user: UserId | undefined;
  readonly dialect: Dialect;
  readonly transport: Transport;
  /** Wall ms. */
  readonly since: number;
  /** Where it is the furthest behind. */
  readonly log: LogName | undefined;
  /** Given to its socket up to here, of what there is up to `head`. */
  readonly cursor: MessageId;
  readonly head: MessageId;
  readonly lagBytes: number;
  /** For how long its socket has taken nothing; 0: it takes what comes. */
  readonly heldMs: number;
  /** At this rate it loses messages, or is closed, in so many ms; undefined: it does not. */
  readonly gapInMs: number | undefined;
}
