/** What a run found: the object that `--json` prints, `--html` draws and `bench compare` reads. Times in ms or s as named. */
import type { Machine } from './machine.js';
import type { BenchPlan } from './plan.js';

/** Steps of a run, in order. */
export type BenchPhase =
  | 'plan'
  | 'preflight'
  | 'calibrate'
  | 'connect'
  | 'warmup'
  | 'measure'
  | 'settle'
  | 'audit'
  | 'verdict'
  /** Bare sockets; told, but no sample of the result. */
  | 'reference';

/** Latencies: how many in each millisecond, [ms, count], in order. They add up across processes. */
export type Latencies = readonly (readonly [ms: number, count: number])[];

export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** What a group of processes has used so far, and how busy it is now. */
export interface GroupUsage {
  /** 0: they cannot be seen from here, and the rest is 0, too. */
  readonly processes: number;
  /** Since the processes started. */
  readonly cpuSeconds: number;
  /** What they share counted once. */
  readonly rssBytes: number;
  /** The busiest event loop of the last second: utilisation 0 to 1, and its delay. */
  readonly loop: number;
  readonly loopP99Ms: number;
}

/** What the server says of its fan-out. */
export interface FanOutFigures {
  readonly flushes: number;
  readonly deliveries: number;
  readonly windowMs: number;
  /** The longest sweep of the last second. */
  readonly sweepMs: number;
  readonly ringBytes: number;
  readonly lagging: number;
  readonly gaps: number;
  /** Dropped, refused and closed so far, by reason. */
  readonly reasons: Readonly<Record<string, number>>;
}

/** The machine meanwhile. Counts since the run began. */
export interface MachineMoment {
  /** Of all cores, 0 to 1, over the last second. */
  readonly idle: number;
  readonly steal: number;
  readonly availableBytes: number;
  readonly swappedBytes: number;
  readonly tcpMemBytes: number;
  readonly listenDrops: number;
  readonly retransmits: number;
}

/** One second of a run. Counts are since the run began. */
export interface BenchSample {
  /** Since the run began. */
  readonly seconds: number;
  readonly phase: BenchPhase;
  /** Seconds of the phase. */
  readonly phaseSeconds: number;
  readonly open: number;
  /** Connections that ended or never came, by reason. */
  readonly failed: Readonly<Record<string, number>>;
  /** Connections that broke and are to come back; times that one broke, so far. */
  readonly away: number;
  readonly broke: number;
  /** Messages that were due, that the server took, that it refused, and that nobody knows of. */
  readonly offered: number;
  readonly accepted: number;
  readonly refused: number;
  readonly unknown: number;
  /** Of all connections together. */
  readonly delivered: number;
  readonly bytes: number;
  /** Of what arrived in this second (the sample's connections), from when it was due. null: nothing did. */
  readonly latencyMs: Percentiles | null;
  readonly server: GroupUsage;
  readonly client: GroupUsage;
  /** The process that plans, offers and adds up. */
  readonly coordinator: GroupUsage;
  readonly fanOut: FanOutFigures;
  readonly machine: MachineMoment;
}

/** A process and how busy it was, second by second of the measured time. */
export interface ProcessFigures {
  readonly side: 'server' | 'client';
  readonly name: string;
  readonly connections: number;
  /** Cores used. */
  readonly cpu: readonly number[];
  /** Utilisation of the event loop, 0 to 1 (client), or its delay p99, ms (server). */
  readonly loop: readonly number[];
}

/** The same plan for a few seconds against bare sockets: what this machine can do at all. */
export interface ReferenceResult {
  readonly connections: number;
  readonly seconds: number;
  readonly flushes: number;
  readonly flushBytes: number;
  /** Per CPU second of the bare server. */
  readonly flushesPerCpuSecond: number;
  readonly deliveriesPerCpuSecond: number;
  readonly connectsPerCpuSecond: number;
  /** From when a message was due, in sweeps of the run's window. null: there is nothing to compare with. */
  readonly latencyMs: Percentiles | null;
  /** From the last message until all had said that they have it, as `seconds.settle`. null: not the whole run was played. */
  readonly settleSeconds: number | null;
  /** Ours to the bare one, of the same run. */
  readonly ratios: Readonly<Record<ReferenceRatio, number | null>>;
}

/** Of `flushes`, `deliveries` and `connects` more is better; `p50` and `p99` are latencies, `settle` how far the last message was behind. */
export type ReferenceRatio = 'flushes' | 'deliveries' | 'connects' | 'p50' | 'p99' | 'settle';

/** What the receivers can do by themselves, before anything is measured with them. */
export interface Calibration {
  /** Frames that one receiver process counts in a second of its CPU. */
  readonly framesPerCpuSecond: number;
  /** How late messages were offered when nothing else was to do, p99. */
  readonly pacedWithinMs: number;
}

export interface AssertionResult {
  /** As it was written: `p99<200ms`. */
  readonly text: string;
  readonly metric: string;
  readonly holds: boolean;
  /** The measured value, in the metric's own unit; null: this run does not have it, and the assertion fails. */
  readonly value: number | null;
  /** The value with its unit. */
  readonly shown: string;
  /** One of those that hold by default. */
  readonly byDefault: boolean;
}

export interface Saturation {
  readonly is: boolean;
  /** Each one sentence with its figures. */
  readonly reasons: readonly string[];
}

/** Connections that broke, and came back. What they missed counts in `expected`; what became of it stands here. */
export interface BreakFigures {
  /** Connections that broke at least once; times that one did, by reason; times that one came back. */
  readonly connections: number;
  readonly causes: Readonly<Record<string, number>>;
  readonly returned: number;
  /** Not back at the end. */
  readonly away: number;
  /** Dials for nothing between break and return, by reason. */
  readonly retries: Readonly<Record<string, number>>;
  /** From the break to the answer to the new AUTH. */
  readonly awayMs: Percentiles;
  /** Messages that were due before a return and came after it: in `delivered`, in no latency. */
  readonly resumed: number;
  /** Messages that are not there, and the client was told so (native); that were sent while it was away (others). Neither is in `lost`. */
  readonly gapped: number;
  readonly missed: number;
  /** Of `lost`: on connections that broke. */
  readonly lost: number;
}

export interface BenchResult {
  readonly format: 1;
  readonly command: string;
  /** Wall time of the start, ISO. */
  readonly at: string;
  readonly plan: BenchPlan;
  /** Why the run ended before its time: a signal, a process that died. null: it did not. */
  readonly cutShort: string | null;
  readonly connections: {
    readonly target: number;
    readonly open: number;
    readonly failed: Readonly<Record<string, number>>;
    /** From the first dial to the last answer. */
    readonly seconds: number;
    readonly perSecond: number;
    /** Connections and authentications for a CPU second of the server. */
    readonly perCpuSecond: number;
    readonly connectMs: Percentiles;
  };
  readonly offered: number;
  readonly accepted: number;
  readonly refused: number;
  readonly unknown: number;
  readonly delivered: number;
  /** What should have been delivered: accepted messages times those they were for. */
  readonly expected: number;
  /** What is there of `expected`, 0 to 1; 1 when nothing was expected. */
  readonly completeness: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly outOfOrder: number;
  /** Gaps that clients were told (native), or that the server counted (others). */
  readonly gaps: number;
  /** Pushes that said they may have come before (native). */
  readonly redelivered: number;
  /** Of all those above: messages to warm up. They are audited like the others, and in no latency, rate or cost. */
  readonly warmup: { readonly offered: number; readonly accepted: number; readonly delivered: number };
  /**
   * Connections that ended and came back, or stopped reading, because the run wanted it; what they missed and what they got
   * twice for that. It counts in `expected` and `delivered`, not in `lost` and `duplicates`.
   */
  readonly excused: {
    readonly churned: number;
    readonly slow: number;
    readonly missed: number;
    readonly repeated: number;
  };
  /** null: connections that break do not come back in this run; they are in `connections.failed`. */
  readonly breaks: BreakFigures | null;
  /** How it was audited: connections by frame boundaries, by the number of each message in its order, by whole payloads. */
  readonly audit: {
    readonly byBoundaries: number;
    readonly byNumber: number;
    readonly byPayload: number;
    /** Messages that were not this run's. */
    readonly foreign: number;
  };
  /** What a reader has to know: what could not be measured, and what a figure does not say. */
  readonly notes: readonly string[];
  readonly latencyMs: Percentiles;
  readonly latencies: Latencies;
  /** Delivered a second, from the first push to the last byte. */
  readonly deliveredPerSecond: number;
  readonly seconds: {
    readonly connect: number;
    readonly measure: number;
    readonly settle: number;
    readonly all: number;
  };
  readonly server: {
    readonly cpuSeconds: number;
    readonly rssBytes: number;
    /** null: it cannot be told, because a process of the server began or ended in the run. */
    readonly bytesPerConnection: number | null;
    readonly deliveriesPerCpuSecond: number;
    readonly flushesPerCpuSecond: number;
    readonly flushes: number;
    readonly loopP99Ms: number;
    /** Roles apart: CPU seconds of all nodes of each role meanwhile. Empty for a server that is one. */
    readonly cpuByRole: Readonly<Record<string, number>>;
  };
  readonly client: {
    readonly cpuSeconds: number;
    readonly rssBytes: number;
    readonly loopP99Ms: number;
    /** Messages offered over 5 ms late, 0 to 1. */
    readonly sentLate: number;
    readonly saturated: Saturation;
  };
  readonly calibration: Calibration | null;
  readonly reference: ReferenceResult | null;
  /** Of `--mode http`: what autocannon measured. */
  readonly http: HttpFigures | null;
  readonly assertions: readonly AssertionResult[];
  readonly samples: readonly BenchSample[];
  readonly processes: readonly ProcessFigures[];
  readonly versions: { readonly imgo: string; readonly node: string };
  readonly machine: Machine;
}

export interface HttpFigures {
  readonly requestsPerSecond: number;
  readonly latencyMs: Percentiles;
  readonly non2xx: number;
  readonly errors: number;
  readonly bytesPerSecond: number;
  readonly requestsPerCpuSecond: number;
}
