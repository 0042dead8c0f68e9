// What a client is told, and what it tells: options, messages, states.
import type { Dialect } from '../protocol/dialect.js';
import type { LogName, MessageId, RoomId, SessionId, UserId } from '../protocol/ids.js';
import type { Gap, RoomState } from '../protocol/native-json.js';

export interface ClientOptions {
  /** `ws://host:8090/sub`, `wss://…` or (Node) `tcp://host:8080`. */
  readonly url: string;
  /** The token, or a function that fetches one for every attempt. */
  readonly token: string | (() => Promise<string>);
  /** Default `native`: acknowledgements, gaps, resuming and rooms exist only there. */
  readonly dialect?: Dialect;
  /** A name of this device: its own cursor on the server. Without one the user's anonymous cursor is shared. */
  readonly device?: string;
  /** Start of the user log; without it where the server's cursor is. */
  readonly cursor?: MessageId;
  /** Rooms to join, each from a position, or (undefined) from its head. */
  readonly rooms?: ReadonlyMap<RoomId, MessageId | undefined> | readonly RoomId[];
  /** Position in the log of broadcasts; without it its head. */
  readonly all?: MessageId;
  /** `auto`: a message counts as taken when its handler returned or resolved. `none`: call `acknowledge` yourself. */
  readonly ack?: 'auto' | 'none';
  /** false: one connection only. Default: as the server says, else 0.5 s doubling to 30 s, with jitter. */
  readonly reconnect?: boolean;
  /** Bytes that may wait for a slow handler before reading pauses (or, in a browser, the connection is resumed later). */
  readonly maxPendingBytes?: number;
  /** How long connecting and authenticating may take, ms. */
  readonly connectTimeoutMs?: number;
  /** goim: `mid`, `key`, `accepts` of its AUTH. `token` may then be empty on goim's own port. */
  readonly goim?: { readonly mid: string; readonly key?: string; readonly accepts?: readonly number[] };
}

/** A push as it arrived. */
export interface Message {
  /** undefined where the dialect does not say (legacy). */
  readonly log: LogName | undefined;
  /** undefined for ephemeral pushes and in legacy dialects. */
  readonly id: MessageId | undefined;
  readonly payload: Uint8Array;
  /** The server may have delivered it before. */
  readonly redelivered: boolean;
  readonly ephemeral: boolean;
  readonly operation: number;
  /** Wall ms. */
  readonly receivedAt: number;
}

/** Why a connection ended. */
export interface Closed {
  /** Of protocol/disconnect.ts; undefined when the server said nothing. */
  readonly code: number | undefined;
  readonly reason: string;
  /** After how many ms the next attempt starts; undefined: none. */
  readonly retryInMs: number | undefined;
}

export interface Opened {
  /** Native; undefined in legacy dialects. */
  readonly session: SessionId | undefined;
  readonly user: UserId | undefined;
  readonly head: MessageId | undefined;
  readonly rooms: ReadonlyMap<RoomId, RoomState>;
  /** This is not the first connection. */
  readonly again: boolean;
}

export interface ClientHandlers {
  /** Called one at a time, in the order of arrival; the next waits for a returned promise. */
  readonly message: (message: Message) => void | Promise<void>;
  /** What lies between is gone; the cursor has moved past it. */
  readonly gap?: (gap: Gap) => void;
  readonly opened?: (opened: Opened) => void;
  readonly closed?: (closed: Closed) => void;
}
