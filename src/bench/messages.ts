/** What the coordinator and its receiver processes say to each other. Times are monotonic ms of the machine. */
import type { Aiming } from './aims.js';
import type { Latencies } from './figures.js';
import type { BenchDialect, BenchTransport } from './options.js';

/** What a receiver process is to be, told once. */
export interface ReceiverSetup extends Aiming {
  readonly dialect: BenchDialect;
  readonly transport: BenchTransport;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Connection n dials `addresses[n % addresses.length]`. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** The number, over all processes, of its first connection, and how many it has. */
  readonly first: number;
  readonly count: number;
  readonly userBase: number;
  readonly sizeBytes: number;
  /** The operation of a push. */
  readonly pushOp: number;
  /** What is accepted says its place in the log. */
  readonly tellsPlace: boolean;
  /** It does, and each connection has one log: marks tell the order, too. */
  readonly ordered: boolean;
  /** Whether clients name their room. */
  readonly namesRoom: boolean;
  /** Connection n dials from `sources[n % sources.length]`. */
  readonly sources: readonly string[];
  /** Of one in so many connections every payload is looked at. */
  readonly sampleEvery: number;
  /** Connections a second; undefined: as answers allow. */
  readonly dialsPerSecond: number | undefined;
  /** Connections under way at a time, at first and at most. */
  readonly underWay: number;
  readonly mostUnderWay: number;
  /** Share that ends and comes back each second; share that stops reading. */
  readonly churn: number;
  readonly slow: number;
  /** Connections that break come back. */
  readonly reconnect: boolean;
  readonly reportMs: number;
  /** Between two turns of its event loop, at least. */
  readonly turnMs: number;
}

/** The numbers of messages that an account is made of. */
export interface AuditNumbers {
  readonly accepted: Uint32Array;
  readonly unknown: Uint32Array;
  readonly ids: { readonly epochs: Uint32Array; readonly ns: Float64Array } | undefined;
}

/** What receivers are told. */
export type ReceiverOrder =
  | { readonly do: 'setup'; readonly setup: ReceiverSetup }
  /** Tokens of the next connections; empty ones for who states who they are. */
  | { readonly do: 'tokens'; readonly tokens: readonly string[] }
  /** Open every connection. Figures are told at once when all have been answered or have failed. */
  | { readonly do: 'dial' }
  /** Message n (from 1) is due at `startedAt + (n - 1) * everyMs`; latencies count from message `firstMeasured` on. */
  | { readonly do: 'schedule'; readonly startedAt: number; readonly everyMs: number; readonly firstMeasured: number }
  /** Connections end and come back, and some stop reading; or no more of that. */
  | { readonly do: 'disturb' | 'calm' }
  | { readonly do: 'report' }
  /**
   * What was received, against what should have been. `accepted`: the numbers of what the server took, as the log has them;
   * `unknown`: those that nobody knows of. `ids`: of the accepted, where gaps have to be looked up.
   */
  | ({ readonly do: 'audit' } & AuditNumbers)
  | { readonly do: 'end' };

/** Counts since the process began. */
export interface ReceiverFigures {
  readonly open: number;
  /** Connections that were dialled for the first time and have been answered, or failed. */
  readonly settled: number;
  /** Connections that ended or never came, by reason. */
  readonly failed: Readonly<Record<string, number>>;
  readonly received: number;
  readonly bytes: number;
  readonly redelivered: number;
  readonly gaps: number;
  readonly foreign: number;
  /** Times that a connection ended and came back because it was told to. */
  readonly churned: number;
  /** Away now; times that one broke, by reason, and came back; dials for nothing meanwhile, by reason. */
  readonly away: number;
  readonly broke: Readonly<Record<string, number>>;
  readonly returned: number;
  readonly retries: Readonly<Record<string, number>>;
  /** Messages that came after a return and had been due before it. */
  readonly resumed: number;
  /** When something came last to a connection of the sample. */
  readonly lastAt: number;
  /** Since the last figures: latencies of the sample; from dial to answer; and how busy the event loop was. */
  readonly latencies: Latencies;
  readonly connectMs: Latencies;
  /** From a break to the return. */
  readonly awayMs: Latencies;
  readonly loop: number;
  readonly loopP99Ms: number;
}

/** The account of one process. */
export interface ReceiverAudit {
  /** Connections that were open at some time. */
  readonly connections: number;
  readonly expected: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly outOfOrder: number;
  /** Of the lost: on connections that were told of a gap. */
  readonly lostInGaps: number;
  readonly excused: {
    readonly churned: number;
    readonly slow: number;
    readonly missed: number;
    readonly repeated: number;
  };
  /** Connections that broke and were to come back: what they were told is gone, missed without being told, and the rest. */
  readonly broken: {
    readonly connections: number;
    readonly gapped: number;
    readonly missed: number;
    readonly lost: number;
  };
  /** Connections whose marks, and whose payloads, were compared. */
  readonly byNumber: number;
  readonly byPayload: number;
}

export type ReceiverWord =
  | { readonly say: 'figures'; readonly figures: ReceiverFigures }
  | { readonly say: 'audit'; readonly audit: ReceiverAudit };
