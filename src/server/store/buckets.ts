/**
 * The Buckets contract: logs, cursors, idempotency and live sessions; the heart of store and router. Engines stand
 * beside this file (memory, lmdb, redis) and pass test/conformance/buckets.ts. What every engine keeps:
 *
 * - Order: within a log ids increase strictly; `prev` of an entry is the id before it in the same log, for ever.
 * - Atomicity: what one group of `apply` does to one bucket happens entirely or not at all, mark included.
 * - Durability: `apply` resolves only after a sync (as durable as the engine is); `read`, `head` and the sessions in an
 *   answer never show an entry that is not durable. Cursor writes may lag by a group commit; they are never reordered.
 * - Apply and look-up: the sessions in an answer are those registered at or after the moment the entry became
 *   readable. So with "register, then read" on the other side a message is notified or read, never neither.
 * - Bounds: retention holds per log (messages, bytes, age); devices a user, idempotency bytes are capped.
 */
import type { ImgoError } from '../../protocol/errors.js';
import type { DeviceId, LogName, MessageId, NodeId, SessionId, TokenId, UserId } from '../../protocol/ids.js';

/** Number of buckets; bucket = hash(log) mod BUCKETS (store/bucket.ts), fixed for ever. */
export const BUCKETS = 1024;

/** One message as it was accepted, for one log. */
export interface PushRecord {
  readonly log: LogName;
  readonly payload: Uint8Array;
  /** goim's operation (4, 5 or >= 1000); undefined is 5 for everybody. */
  readonly operation?: number;
  /** Wall ms. */
  readonly acceptedAt: number;
  /** Wall ms; engines cap it by their own retention. */
  readonly expiresAt: number;
  readonly idempotency?: Idempotency;
  /** The message is traced under this mark (observe/traces.ts). Stores do not keep it. */
  readonly trace?: string;
}

export interface Idempotency {
  /** Who may collide with whom: the API key's id, or '' without keys. */
  readonly scope: string;
  readonly key: string;
  /** Hash of everything that makes two pushes the same (target, payload, ttl, operation). */
  readonly bodyHash: string;
}

/** An idempotency key in its scope: API key and log. */
export interface KeyQuestion {
  readonly log: LogName;
  readonly scope: string;
  readonly key: string;
}

export interface KeyUse {
  readonly id: MessageId;
  readonly bodyHash: string;
}

/** A record under the id that its queue gave it. */
export interface IdentifiedRecord extends PushRecord {
  readonly id: MessageId;
}

/** What a log keeps. */
export interface Entry {
  readonly id: MessageId;
  /** The id before this one in the same log; ZERO_ID for the first ever. */
  readonly prev: MessageId;
  readonly payload: Uint8Array;
  readonly operation: number | undefined;
  readonly acceptedAt: number;
  readonly expiresAt: number;
  /** imgo's millisecond id: max(last of this log + 1, acceptedAt). */
  readonly mid: number;
}

/** Consecutive records of one bucket, in id order. */
export interface ApplyGroup {
  readonly bucket: number;
  /** The mark that the caller last saw for this bucket; ZERO_ID when it has seen none. */
  readonly lastSeen: MessageId;
  readonly records: readonly IdentifiedRecord[];
  /** The mark moves at least here (the offset about to be committed), also without records. */
  readonly upTo: MessageId;
}

export type GroupResult =
  | { readonly kind: 'applied'; readonly mark: MessageId; readonly results: readonly ApplyResult[] }
  /** The stored mark is below `lastSeen`: writes were lost. Nothing was done; go back to `mark`. */
  | { readonly kind: 'behind'; readonly mark: MessageId };

export type ApplyResult =
  /** `repeated`: the id was at or below the mark, so nothing changed; `prev` is the stored one. Notify all the same. */
  | {
      readonly kind: 'appended' | 'repeated';
      readonly id: MessageId;
      readonly prev: MessageId;
      /** Of the log's user, live; empty for rooms and `all` (ask the registry). */
      readonly sessions: readonly SessionRecord[];
    }
  /** The idempotency key was used before with the same body: this is the id it got. */
  | { readonly kind: 'duplicate'; readonly id: MessageId }
  /** The idempotency key was used before with another body. */
  | { readonly kind: 'mismatch' }
  /** No room for another idempotency record. */
  | { readonly kind: 'idempotency_full' }
  /** `repeated`, but the entry itself is gone (trimmed or expired) or was never appended (duplicate, mismatch). */
  | { readonly kind: 'gone'; readonly id: MessageId };

/** Named: has its own cursor. ANONYMOUS: shares one with all sessions of the user that name no device. */
export type DeviceKey = DeviceId | typeof ANONYMOUS;
export const ANONYMOUS = '' as const;

/** A live session as the router knows it. */
export interface SessionRecord {
  readonly session: SessionId;
  /** undefined: goim's mid 0; rooms and `all` only. */
  readonly user: UserId | undefined;
  readonly device: DeviceKey;
  /** undefined: stated identity (goim's own port). */
  readonly token: TokenId | undefined;
  readonly comet: NodeId;
  readonly incarnation: number;
  /** Of the comet; grows with every registration. The highest wins per session. */
  readonly seq: number;
  readonly dialect: string;
  readonly transport: 'tcp' | 'ws';
  /** Address of the peer, without a port. */
  readonly peer: string;
  /** Wall ms. */
  readonly since: number;
}

export interface SessionState extends SessionRecord {
  /** Acknowledged or drained up to here, in the user's log. Holds retention while the session is open. */
  readonly position: MessageId;
}

export interface RegisterOptions {
  readonly cap: number;
  readonly onTooMany: 'replace-oldest' | 'reject';
}

export type RegisterResult =
  | {
      readonly kind: 'registered';
      /** The same device's older session. */
      readonly replaced: readonly SessionRecord[];
      /** The oldest ones above the cap. */
      readonly evicted: readonly SessionRecord[];
    }
  | { readonly kind: 'too_many' };

export interface OpenCursor {
  /** Reading starts after this id: the client's own cursor, else the stored one, else by `newDevice`. */
  readonly start: MessageId;
  readonly head: MessageId;
  /** Deliveries at or below this id may have been made before: they carry the redelivered flag. Acknowledgements up to
   * max(this, sent in this session) are legitimate. */
  readonly sentBefore: MessageId;
}

/** In id order: entries, and gaps where something that existed cannot be delivered any more. */
export type ReadItem =
  | { readonly kind: 'entry'; readonly entry: Entry }
  /** Covers after < id <= upTo. */
  | { readonly kind: 'gap'; readonly after: MessageId; readonly upTo: MessageId };

export interface ReadResult {
  readonly items: readonly ReadItem[];
  /** The log's durable head at the time of reading. */
  readonly head: MessageId;
  /** Everything up to here is in `items` (or was read before). Equal to head when nothing more is there. */
  readonly readTo: MessageId;
  /** Of the items those that are traced, as far as whoever read them knows. */
  readonly traced?: readonly { readonly id: MessageId; readonly mark: string }[];
}

export interface ReadLimit {
  readonly entries: number;
  readonly bytes: number;
}

export interface LogState {
  readonly head: MessageId;
  readonly trimmedTo: MessageId;
  readonly messages: number;
  readonly bytes: number;
  readonly lastMid: number;
}

export interface DeviceState {
  readonly device: DeviceKey;
  readonly cursor: MessageId;
  readonly sentTo: MessageId;
  /** false while a session is open, and after one ended without saying how far it got. */
  readonly clean: boolean;
  /** Wall ms. */
  readonly lastSeen: number;
}

export interface Retention {
  readonly messages: number;
  readonly bytes: number;
  readonly ageMs: number;
}

/** What all engines are told. */
export interface BucketsOptions {
  /** User logs. */
  readonly keep: Retention;
  /** Room logs and `all`. */
  readonly rooms: Retention;
  readonly devicesPerUser: number;
  readonly newDevice: 'kept' | 'head';
  readonly idempotency: { readonly forMs: number; readonly bytes: number };
  /** A log's record (head, trimmedTo) outlives its entries by this much: 30 d. */
  readonly forgetLogAfterMs: number;
}

export interface StoreHealth {
  readonly writable: boolean;
  /** The error code to refuse accepts with, when not writable. */
  readonly code?: 'store_full' | 'store_failed';
  /** What failed, where there is more to say than `store_failed`: the store is outside, and may come back. */
  readonly failure?: ImgoError | undefined;
  readonly freeBytes?: number;
  /** It is disk that these bytes are of, not memory. */
  readonly onDisk?: true;
  readonly usedBytes: number;
  /** Counters by name, monotonic: trimmed_acknowledged, trimmed_expired, trimmed_cap, devices_forgotten, … */
  readonly counters: Readonly<Record<string, number>>;
}

export interface Buckets extends AsyncDisposable {
  /** Of this history: unique and higher than every earlier one (delivery.md section 2). */
  readonly epoch: number;

  /**
   * Applies groups of different buckets; results in the groups' order. Callers keep one call per bucket in flight.
   * @throws ImgoError `store_full`, `overloaded`: certainly not applied. Any other error: outcome unknown.
   */
  apply(groups: readonly ApplyGroup[]): Promise<readonly GroupResult[]>;
  /** Marks of these buckets, for a job that starts. */
  marks(buckets: readonly number[]): Promise<readonly MessageId[]>;
  /**
   * What idempotency keys were used for, in the order asked; undefined: not used, or forgotten. For those who accept where
   * another process applies: once a bucket's mark has reached a record's id, its key tells what became of it.
   */
  keyUses(asked: readonly KeyQuestion[]): Promise<readonly (KeyUse | undefined)[]>;
  /** Live sessions of users (ephemeral pushes, presence), by user in the order asked. */
  sessionsOf(users: readonly UserId[]): Promise<readonly (readonly SessionState[])[]>;

  read(log: LogName, after: MessageId, limit: ReadLimit): Promise<ReadResult>;
  log(log: LogName): Promise<LogState | undefined>;

  /** Idempotent. An older seq of the same session, or of a comet's older incarnation, is ignored. */
  register(session: SessionRecord, options: RegisterOptions): Promise<RegisterResult>;
  unregister(session: SessionId, user: UserId | undefined, incarnation: number, seq: number): Promise<void>;
  /**
   * Every session of this comet of an incarnation before `keepIncarnation` is gone; undefined: every one. Returns how many.
   * Said late, it does not touch those of a newer incarnation.
   */
  dropComet(comet: NodeId, keepIncarnation: number | undefined): Promise<number>;
  /**
   * A page of all live sessions, by session id; `user`, `comet` and `prefix`, which the ids begin with, narrow it. What is
   * before the page and outside the prefix is not looked at.
   */
  sessions(page: {
    readonly after: SessionId | undefined;
    readonly limit: number;
    readonly user?: UserId;
    readonly comet?: NodeId;
    readonly prefix?: string;
  }): Promise<readonly SessionState[]>;

  /**
   * Opens the user's log for a registered session; marks the device as seen and, until `closeCursor`, as not clean.
   * `given`: the client's own cursor. Also sets the session's position (the hold on retention) to `start`.
   */
  openCursor(session: SessionRecord, given: MessageId | undefined): Promise<OpenCursor>;
  /**
   * The session has taken everything up to `upTo`: moves its position, and with `acknowledge` the device's cursor
   * (never back, never above the head), which lets retention trim. Need not be awaited; order is kept.
   */
  progress(session: SessionRecord, upTo: MessageId, acknowledge: boolean): Promise<void>;
  /** The session ended; `sentTo`: how far it was certainly sent. Releases its hold. `clean: false` when unknown. */
  closeCursor(session: SessionRecord, sentTo: MessageId, clean: boolean): Promise<void>;
  devices(user: UserId): Promise<readonly DeviceState[]>;

  /** Expires and trims what is due, in bounded steps; called every second or so. */
  maintain(): Promise<void>;
  /** Resolves when everything written before this call is durable. */
  flush(): Promise<void>;
  health(): StoreHealth;
}
