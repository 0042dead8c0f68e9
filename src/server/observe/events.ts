/**
 * The events of the admin stream: the contract between nodes, `GET /v1/events` and whoever reads it. One event is one JSON
 * object: a line of NDJSON, or the `data:` of an SSE message. Tokens and keys are in none of them, payloads only in the
 * `body` of a frame where they were asked for and are allowed. Readers ignore kinds and fields that they do not know; kinds
 * and fields are added, never renamed.
 */
import type { Dialect, Transport } from '../../protocol/dialect.js';

/** Kinds of what happens at nodes; a filter may name these. */
export const NODE_EVENTS = [
  'open',
  'close',
  'frame',
  'held',
  'released',
  'lag',
  'gap',
  'join',
  'leave',
  'flush',
  'accepted',
  'applied',
  'notified',
] as const;

export type NodeEventName = (typeof NODE_EVENTS)[number];

/** When and where. */
interface At {
  /** Wall time at the node, ms. */
  readonly at: number;
  readonly node: string;
}

/** Whose session. `device` undefined: it names none; `user` undefined: it states none (goim's mid 0). */
interface OfSession {
  readonly session: string;
  readonly user?: string | undefined;
  readonly device?: string | undefined;
}

/** A message: the log, and its id there as `1-42`; no `id`: ephemeral. */
interface OfMessage {
  readonly log: string;
  readonly id?: string | undefined;
}

/** A session was opened: logic had granted it and the client has its answer. */
export interface OpenEvent extends At, OfSession {
  readonly event: 'open';
  readonly dialect: Dialect;
  readonly transport: Transport;
  readonly peer: string;
}

/** A session ended. */
export interface CloseEvent extends At, OfSession {
  readonly event: 'close';
  /** Of protocol/disconnect.ts; 0: the client closed, or its connection broke. */
  readonly code: number;
  /** The name of that row; `gone` for 0. */
  readonly reason: string;
  readonly openMs: number;
}

/** A frame to or from a client, as it was given to the socket or came from it. */
export interface FrameEvent extends At, OfSession {
  readonly event: 'frame';
  /** Of a push, and of what is acknowledged. No `id`: ephemeral, or not to be told. */
  readonly log?: string | undefined;
  readonly id?: string | undefined;
  readonly direction: 'in' | 'out';
  readonly op: number;
  /** `push`, `ack`, `heartbeat`, …: of protocol/frame.ts. */
  readonly name: string;
  readonly seq: number;
  /** All of it: header and body, as framed for the client. */
  readonly bytes: number;
  /** A push: from its acceptance to the socket. An ack: from when its message was given to the socket. Milliseconds. */
  readonly ms?: number | undefined;
  readonly redelivered?: boolean | undefined;
  /** The decoded header. */
  readonly header: Readonly<Record<string, number | string | boolean>>;
  /** The payload of a push, base64. Only with `payload=full`. */
  readonly body?: string | undefined;
}

/** The kernel did not take everything that was written: nothing more is, until `released`. */
export interface HeldEvent extends At, OfSession {
  readonly event: 'held';
  /** Bytes that wait. */
  readonly bytes: number;
}

export interface ReleasedEvent extends At, OfSession {
  readonly event: 'released';
  /** How long it was held. */
  readonly ms: number;
}

/** A session lags behind a log: something came while it was held. At most once each time that it is held. */
export interface LagEvent extends At, OfSession {
  readonly event: 'lag';
  readonly log: string;
  /** That it has not been given. */
  readonly bytes: number;
}

/** What lies in after < id <= upTo will not come. Without a session: of all members of a room. */
export interface GapEvent extends At, Partial<OfSession> {
  readonly event: 'gap';
  readonly log: string;
  readonly after: string;
  readonly upTo: string;
  /** `log`: the log does not have it any more. `lag`: the session was too slow. */
  readonly reason: 'log' | 'lag';
  /** The client could not be told: its dialect has no word for it. */
  readonly untold?: boolean | undefined;
}

export interface JoinEvent extends At, OfSession {
  readonly event: 'join';
  readonly room: string;
}

export interface LeaveEvent extends At, OfSession {
  readonly event: 'leave';
  readonly room: string;
}

/** A sweep over the members of a room, or of all (`log` is `all`, without `room`), has given each what was due. */
export interface FlushEvent extends At {
  readonly event: 'flush';
  readonly log: string;
  readonly room?: string | undefined;
  readonly members: number;
  /** Appended since the sweep before this one. */
  readonly messages: number;
  /** Their bytes as encoded, once per encoding. */
  readonly bytes: number;
  readonly sweepMs: number;
}

/** A logic has accepted a message. Without `id`: it is given one later, or never (ephemeral). */
export interface AcceptedEvent extends At, OfMessage {
  readonly event: 'accepted';
  readonly bytes: number;
}

/** A job has applied it to its log. */
export interface AppliedEvent extends At, OfMessage {
  readonly event: 'applied';
  readonly bytes: number;
}

/** A comet has acknowledged that it was told of it. */
export interface NotifiedEvent extends At, OfMessage {
  readonly event: 'notified';
  /** The node that was told. */
  readonly comet: string;
}

/** What happens at a node. */
export type NodeEvent =
  | OpenEvent
  | CloseEvent
  | FrameEvent
  | HeldEvent
  | ReleasedEvent
  | LagEvent
  | GapEvent
  | JoinEvent
  | LeaveEvent
  | FlushEvent
  | AcceptedEvent
  | AppliedEvent
  | NotifiedEvent;

/** The first line of every stream. */
export interface WatchingEvent {
  readonly event: 'watching';
  readonly at: number;
  /** That match, at nodes that have answered. */
  readonly sessions: number;
  readonly nodes: number;
  /** Of the server. */
  readonly version: string;
}

/** Events that this stream could not carry: its reader, or the room for it at a node, was too small. */
export interface DroppedEvent {
  readonly event: 'dropped';
  readonly at: number;
  readonly count: number;
  readonly reason: 'slow_reader' | 'node_buffer';
  /** With `node_buffer`. */
  readonly node?: string | undefined;
}

/** A node does not answer: what happens there until `back` is not in this stream. */
export interface MissedEvent {
  readonly event: 'missed';
  readonly at: number;
  readonly node: string;
  /** `version`: it is too old to be asked. `too_many_watches`: it serves as many as it can. `gone`: it has left. */
  readonly reason: 'unreachable' | 'version' | 'too_many_watches' | 'gone' | 'failed';
}

/** A node that was missed answers, or one that was not there when the stream began. */
export interface BackEvent {
  readonly event: 'back';
  readonly at: number;
  readonly node: string;
}

/** More sessions match at a node than are watched one by one without a sample: frames of the others are not in this stream. */
export interface PartialEvent {
  readonly event: 'partial';
  readonly at: number;
  readonly node: string;
  readonly watched: number;
  /** That match now. */
  readonly sessions: number;
}

/** NDJSON only, when there was nothing else for a while; SSE has comments. */
export interface KeepAliveEvent {
  readonly event: 'keepalive';
  readonly at: number;
}

/** The last line of a stream that the server ends; one that ends without was cut. */
export interface EndEvent {
  readonly event: 'end';
  readonly at: number;
  /** `limit`: it carried as many as were asked for. `refused`: the key that it began with is good no more. */
  readonly reason: 'limit' | 'shutdown' | 'refused';
}

/** What a stream says of itself. */
export type StreamEvent =
  | WatchingEvent
  | DroppedEvent
  | MissedEvent
  | BackEvent
  | PartialEvent
  | KeepAliveEvent
  | EndEvent;

/** Anything that `GET /v1/events` sends. */
export type AdminEvent = NodeEvent | StreamEvent;

/** Which events are wanted. Alternatives within a field, all fields together; an undefined field excludes nothing. */
export interface EventFilter {
  readonly users?: readonly string[] | undefined;
  /** Of sessions: that are members. Of the other events: of the room's log. */
  readonly rooms?: readonly string[] | undefined;
  readonly sessions?: readonly string[] | undefined;
  readonly nodes?: readonly string[] | undefined;
  readonly events?: readonly NodeEventName[] | undefined;
  /** Of the sessions, this share, over 0 and at most 1: by a hash of the session's id, so the same ones at every time. */
  readonly sample?: number | undefined;
  readonly heartbeats?: boolean | undefined;
  readonly payload?: 'full' | undefined;
}
