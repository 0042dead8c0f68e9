/**
 * What alerts are judged by: a moment of the whole server as one logic knows it, each node with what it said last. Nodes say
 * more with every version; what one does not say raises nothing.
 */
import type { QueueStats } from '../queue/queue.js';
import type { NodeRecord } from '../router/registry.js';
import type { CometStats, NodeReport } from '../rpc/services.js';
import type { StoreHealth } from '../store/buckets.js';

/** A node: what the registry has, and what it said of itself. */
export interface NodeFacts extends NodeRecord {
  /** It did not answer the last time, and for how long it has not, ms; 0: it did. */
  readonly silentMs: number;
  readonly report: NodeReport | undefined;
  readonly comet: CometStats | undefined;
  /** What that is as it came: how far its clock is ahead of this one's, ms. */
  readonly skewMs: number | undefined;
}

export interface Facts {
  /** Monotonic ms, of the logic that judges. */
  readonly now: number;
  /** Wall ms. */
  readonly at: number;
  readonly version: string;
  readonly nodes: readonly NodeFacts[];
  /** What waits for all jobs. */
  readonly queue: QueueStats;
  readonly store: StoreHealth;
}

/** Settings of [alerts]. Shares are from 0 to 1. */
export interface AlertThresholds {
  readonly fdLimit: number;
  readonly maxConns: number;
  readonly loopLagMs: number;
  readonly queueLagMs: number;
  readonly lagging: number;
  readonly memory: number;
  readonly diskBytes: number;
  readonly certificateMs: number;
  readonly clockSkewMs: number;
}

/** As documented. */
export const alertDefaults: AlertThresholds = {
  fdLimit: 0.9,
  maxConns: 0.9,
  loopLagMs: 100,
  queueLagMs: 5_000,
  lagging: 0.01,
  memory: 0.85,
  diskBytes: 2 ** 30,
  certificateMs: 14 * 86_400_000,
  clockSkewMs: 1_000,
};

/** The nodes that are there: not gone, and heard at least once. */
export function liveNodes({ nodes }: Facts): readonly NodeFacts[] {
  return nodes.filter(({ state }) => state !== 'gone');
}

/** `error`: messages or clients are lost, or about to be. `warning`: look at it. `note`: it is known, and nothing is wrong. */
export type Severity = 'note' | 'warning' | 'error';

/** A figure of a subject. */
export interface Measure {
  /** A node, `room:NAME`, a partition; '' is the whole server. */
  readonly subject: string;
  readonly value: number;
  /** What it is, for people. */
  readonly message: string;
  /** Where it is not that of the row. */
  readonly severity?: Severity;
}

/** How much a count that only grows has grown in the last minute; 0 the first time that it is asked for. */
export type Increase = (subject: string, name: string, count: number) => number;
