/** What the coordinator and its receiver processes say to each other. Times are monotonic ms of the machine. */

/** What receivers are told. */
export type ReceiverOrder =
  /** Open a connection a token: `sources[n % sources.length]` is where it dials from. */
  | {
      readonly do: 'connect';
      readonly host: string;
      readonly port: number;
      readonly tokens: readonly string[];
      readonly sources: readonly string[];
      readonly atOnce: number;
      /** Of one in so many connections every payload is looked at. */
      readonly sampleEvery: number;
    }
  /** Messages are due from now on: number n (from 1) at `startedAt + (n - 1) * everyMs`. */
  | { readonly do: 'measure'; readonly startedAt: number; readonly everyMs: number }
  /** Answer with what was received. `order`: the numbers of what each connection should have by now, as the log has them. */
  | { readonly do: 'audit'; readonly order: readonly number[] }
  | { readonly do: 'end' };

/** Once a second, and after each order. */
export interface ReceiverFigures {
  readonly open: number;
  /** Connections that ended or never came, by reason. */
  readonly failed: Readonly<Record<string, number>>;
  readonly received: number;
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  /** Utilisation of the event loop since the last figures, 0 to 1. */
  readonly loop: number;
}

/** The account of one process. */
export interface ReceiverAudit {
  readonly connections: number;
  /** Connections that have all. */
  readonly complete: number;
  readonly lost: number;
  readonly duplicates: number;
  /** Of the sample. */
  readonly sampled: number;
  /** Messages that came after one that is later in the log. */
  readonly outOfOrder: number;
  /** Latencies of the sample: how many in each millisecond, [ms, count]. */
  readonly latencies: readonly (readonly [number, number])[];
}

export type ReceiverWord =
  | { readonly say: 'ready' }
  | { readonly say: 'connected'; readonly figures: ReceiverFigures }
  | { readonly say: 'figures'; readonly figures: ReceiverFigures }
  | { readonly say: 'audit'; readonly audit: ReceiverAudit; readonly figures: ReceiverFigures };
