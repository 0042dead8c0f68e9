/** What the topics of a comet share: their knobs, their counters, and the parts they are given. */
import type { LogName, MessageId } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import type { ReadLimit, ReadResult } from '../store/buckets.js';
import type { DeliveryLatency } from './delivery-latency.js';
import type { Outlet } from './outlet.js';
import type { Pins } from './pins.js';
import type { RecoveredRings } from './recovered.js';
import type { Sweeper } from './sweep.js';
import type { CometTraces } from './traces.js';

/** Knobs of all topics of a comet. */
export interface TopicOptions {
  /** Between the starts of two sweeps of a topic; 0 sends at once. */
  readonly windowMs: number;
  /** A member that was held and is this far behind loses its place. */
  readonly maxLagBytes: number;
  readonly lagPolicy: 'gap' | 'disconnect';
  /** Memory of one ring, index included. */
  readonly ringBytes: number;
  /** Entries that every member has are kept this long, for those who come back. */
  readonly ringAgeMs: number;
  /** Rings of `all` for distinct sets of goim's operations; members beyond it share one and filter for themselves. */
  readonly filteredRings: number;
  /** One read of the store. */
  readonly read: ReadLimit;
}

export const TOPIC_DEFAULTS: TopicOptions = {
  windowMs: 100,
  maxLagBytes: 1024 * 1024,
  lagPolicy: 'gap',
  ringBytes: 4 * 1024 * 1024,
  ringAgeMs: 30_000,
  filteredRings: 64,
  read: { entries: 1_000, bytes: 1024 * 1024 },
};

/** Monotonic, over all topics of a comet. */
export class FanOutCounters {
  /** Messages given to sockets. */
  deliveries = 0;
  /** Writes. */
  flushes = 0;
  bytes = 0;
  sweeps = 0;
  /** Gaps of members that lagged; whether the client is told is the outlet's matter. */
  gapsLag = 0;
  /** Gaps of the log itself, once for each member; and those whose client cannot be told. */
  gapsLog = 0;
  gapsUntold = 0;
  /** Ephemeral messages not given to a member because it was catching up. */
  ephemeralDropped = 0;
  /** Left out by goim's accepts from a ring that members filter for themselves. */
  filtered = 0;
  /** Notifications at or below the head. */
  duplicates = 0;
  /** Holes found by `prev`. */
  holes = 0;
  reads = 0;
  readErrors = 0;
  lagDisconnects = 0;
}

/** Who is told what topics do. Never asked for a single member. */
export interface TopicObserver {
  readonly hub: { readonly wants: number };
  /** Where a topic says that it is the one that writes now. */
  readonly tap: { writing: WritingTopic | undefined };
  swept(sweep: Sweep): void;
  /** A sweep has passed over members that are held. */
  lagging(topic: LaggingTopic): void;
  topicGap(log: LogName, after: MessageId, upTo: MessageId): void;
}

/** A topic while it writes. */
export interface WritingTopic {
  readonly log: LogName;
  /** Ids of the entries that make up the last so many bytes that were given to this member; undefined: not to be told. */
  idsOf(outlet: Outlet, bytes: number): readonly (MessageId | undefined)[] | undefined;
}

export interface LaggingTopic {
  readonly log: LogName;
  lagBytes(outlet: Outlet): number;
}

/** What a sweep did. */
export interface Sweep {
  readonly log: LogName;
  readonly members: number;
  /** Appended since the sweep before it, and their bytes, once for each encoding. */
  readonly messages: number;
  readonly bytes: number;
  readonly sweepMs: number;
}

/** What a topic is made with. */
export interface TopicContext {
  readonly clock: Clock;
  readonly sweeper: Sweeper;
  readonly pins: Pins;
  readonly recovered: RecoveredRings;
  readonly options: TopicOptions;
  readonly counters: FanOutCounters;
  readonly latency?: DeliveryLatency;
  readonly traces?: CometTraces;
  /** Reads a log that this comet serves. */
  read(log: LogName, after: MessageId, limit: ReadLimit): Promise<ReadResult>;
  /** False while the comet is fenced: nothing is written then. Asked before each step and each resume. */
  mayWrite?(): boolean;
  /** Who is told of sweeps and gaps (observer.ts). */
  readonly observer?: TopicObserver;
}
