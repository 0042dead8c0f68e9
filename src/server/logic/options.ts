// What the logic role is told: the other roles it works with, and every limit it enforces. Assembled once at start.

import type { NodeId, RoomId } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import { type AlertThresholds, alertDefaults } from '../observe/facts.js';
import type { TraceStore } from '../observe/traces.js';
import type { Queue } from '../queue/queue.js';
import type { Registry } from '../router/registry.js';
import type { CometService } from '../rpc/services.js';
import type { Buckets } from '../store/buckets.js';
import type { Credentials } from '../store/credentials.js';

/** Knobs of the logic role; `logicDefaults` has the documented defaults. Times in ms, sizes in bytes. */
export interface LogicOptions {
  /** `limits.sessions_per_user` and `limits.on_too_many`. */
  readonly sessionsPerUser: number;
  readonly onTooMany: 'replace-oldest' | 'reject';
  /** `rooms.join`: what a token without rooms may join. */
  readonly roomsJoin: 'token' | 'open';
  /** `legacy.default_room`: where imgo's AUTH puts a session whose token names no rooms. */
  readonly defaultRoom: RoomId | undefined;
  /** `auth.token_ttl`. */
  readonly tokenTtlMs: number;
  /** `auth.weak_tokens`: chosen tokens of less than 16 bytes. */
  readonly weakTokens: boolean;
  /** `limits.payload`. */
  readonly payloadBytes: number;
  /** Body of one request, and one line of a batch. */
  readonly requestBytes: number;
  /** How long the body of one request may take to arrive (a batch: to begin). */
  readonly bodyMs: number;
  /** Users named by one push. */
  readonly usersPerPush: number;
  /** `delivery.ttl`: how long a message for a user is kept unless the push says otherwise. */
  readonly userTtlMs: number;
  /** `rooms.for`: the same for rooms and `all`. */
  readonly roomTtlMs: number;
  /** After this an accept that has not answered is `outcome_unknown`. */
  readonly acceptDeadlineMs: number;
  /** The longest `?wait=`. */
  readonly maxWaitMs: number;
  /** How long a comet may take to confirm a disconnect before its lease is asked about again. */
  readonly confirmMs: number;
  /** `observe.payloads`: admin keys may see what messages say. */
  readonly payloadsShown: boolean;
  /** [alerts]. */
  readonly alerts: AlertThresholds;
  /** `observe.trace_sample`: the share of pushes that are traced without being asked to. */
  readonly traceSample: number;
  /** What a user's log keeps, and a room's: `delivery.keep` and `rooms.keep`. */
  readonly keep: { readonly user: LogBounds; readonly room: LogBounds };
}

/** Above either the oldest goes. */
export interface LogBounds {
  readonly messages: number;
  readonly bytes: number;
}

/** The defaults of the settings, and bounds that have none. */
export const logicDefaults: LogicOptions = {
  sessionsPerUser: 8,
  onTooMany: 'replace-oldest',
  roomsJoin: 'token',
  defaultRoom: '1' as RoomId,
  tokenTtlMs: 30 * 86_400_000,
  weakTokens: false,
  payloadBytes: 64 * 1024,
  requestBytes: 1024 * 1024,
  bodyMs: 30_000,
  usersPerPush: 10_000,
  userTtlMs: 7 * 86_400_000,
  roomTtlMs: 3_600_000,
  acceptDeadlineMs: 10_000,
  maxWaitMs: 60_000,
  confirmMs: 1_000,
  payloadsShown: false,
  alerts: alertDefaults,
  traceSample: 0,
  keep: { user: { messages: 1_000, bytes: 1024 * 1024 }, room: { messages: 1_000, bytes: 1024 * 1024 } },
};

/** What logic works with. `cometFor`: the comet of that node, or undefined when no link to it exists. */
export interface LogicParts {
  readonly buckets: Buckets;
  readonly credentials: Credentials;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly options: LogicOptions;
  readonly cometFor: (node: NodeId) => CometService | undefined;
  /** Where steps of messages that are traced are noted. */
  readonly traces?: TraceStore | undefined;
}

/** The same with the queue: what pushing needs. */
export interface PushParts extends LogicParts {
  readonly queue: Queue;
}

/** Where goim's clients connect, for `/goim/nodes/weighted`. */
export interface GoimNodes {
  readonly domain: string;
  readonly tcpPort: number;
  readonly wsPort: number;
  readonly wssPort: number;
}

/** The part of pino that logic uses. Never a line per message, never a token, key or payload. */
export interface LogicLogger {
  info(details: Readonly<Record<string, unknown>>, message: string): void;
  warn(details: Readonly<Record<string, unknown>>, message: string): void;
  error(details: Readonly<Record<string, unknown>>, message: string): void;
}
