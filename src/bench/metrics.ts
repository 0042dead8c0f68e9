/** What can be asserted of a run, by name: where its value is, in which unit, and whether it holds on a machine at its limit. */
import type { BenchResult, BenchSample, Percentiles } from './figures.js';
import { count, percent, short, size, time } from './numbers.js';

/** How values are written and shown. Shares are from 0 to 1, times in ms, sizes in bytes. */
export type MetricKind = 'count' | 'share' | 'time' | 'size' | 'perSecond' | 'perCpuSecond' | 'yes';

export interface Metric {
  readonly kind: MetricKind;
  /** For the documentation. */
  readonly meaning: string;
  /** null: this run does not have it. */
  readonly of: (result: BenchResult) => number | null;
  /** What is known of it while the run goes on; null: nothing yet. Without it the metric cannot abort a run. */
  readonly ofSample?: (sample: BenchSample) => number | null;
  /** True for integrity, memory and work for a CPU second: they hold although the harness was at its limit. */
  readonly sound: boolean;
}

const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((all, one) => all + one, 0);

/** Figures of a server that can be seen from here. */
const ofServer = (pick: (server: BenchResult['server']) => number | null) => {
  return ({ server }: BenchResult) => (server.cpuSeconds > 0 ? finite(pick(server) ?? Number.NaN) : null);
};

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function latency(of: keyof Percentiles, which: string): Metric {
  return {
    kind: 'time',
    meaning: `${which}, from when a message was due (http: of a call)`,
    sound: false,
    of: ({ http, latencies, latencyMs }) => http?.latencyMs[of] ?? (latencies.length > 0 ? latencyMs[of] : null),
    ofSample: ({ phase, latencyMs }) => (isMeasured(phase) ? (latencyMs?.[of] ?? null) : null),
  };
}

/** Warming up and connecting are not what latencies and loops are asserted of. */
function isMeasured(phase: BenchSample['phase']): boolean {
  return phase === 'measure' || phase === 'settle';
}

/** In the order in which help and errors list them. */
export const METRICS = {
  connected: {
    kind: 'share',
    meaning: 'connections that are open at the end, of those asked for',
    sound: true,
    of: ({ connections: { open, target } }) => (target === 0 ? 1 : open / target),
  },
  completeness: {
    kind: 'share',
    meaning: 'deliveries, of those that there should be',
    sound: true,
    of: ({ completeness }) => completeness,
  },
  lost: {
    kind: 'count',
    meaning:
      'messages that a connection should have and does not, over all connections, beside those that breaks explain',
    sound: true,
    of: ({ lost }) => lost,
  },
  duplicates: {
    kind: 'count',
    meaning: 'messages that came twice, over all connections',
    sound: true,
    of: ({ duplicates }) => duplicates,
  },
  outOfOrder: {
    kind: 'count',
    meaning: 'messages that came after a later one of their log',
    sound: true,
    of: ({ outOfOrder }) => outOfOrder,
  },
  gaps: {
    kind: 'count',
    meaning: 'gaps that clients were told, or that the server counted',
    sound: true,
    of: ({ gaps }) => gaps,
    ofSample: ({ fanOut }) => fanOut.gaps,
  },
  breaks: {
    kind: 'count',
    meaning: 'times that a connection broke and was to come back',
    sound: true,
    of: ({ breaks }) => (breaks === null ? null : sum(breaks.causes)),
    ofSample: ({ broke }) => broke,
  },
  missed: {
    kind: 'count',
    meaning: 'messages sent while a connection that broke was away, which its dialect cannot ask for again',
    sound: true,
    of: ({ breaks }) => breaks?.missed ?? null,
  },
  awayP99: {
    kind: 'time',
    meaning: '99 % of the connections that broke were back within it',
    sound: false,
    of: ({ breaks }) => (breaks === null || breaks.returned === 0 ? null : breaks.awayMs.p99),
  },
  errors: {
    kind: 'count',
    meaning: 'connections that failed, messages refused or of unknown outcome, calls that went wrong',
    sound: true,
    of: ({ connections, refused, unknown, http }) =>
      sum(connections.failed) + refused + unknown + (http === null ? 0 : http.errors + http.non2xx),
    ofSample: ({ failed, refused, unknown }) => sum(failed) + refused + unknown,
  },
  p50: latency('p50', 'half of all latencies are below'),
  p90: latency('p90', '90 % of all latencies are below'),
  p99: latency('p99', '99 % of all latencies are below'),
  p999: latency('p999', '99.9 % of all latencies are below'),
  max: latency('max', 'the longest latency'),
  connectP99: {
    kind: 'time',
    meaning: '99 % of the connections were open and authenticated within it',
    sound: false,
    of: ({ connections }) => (connections.open > 0 ? connections.connectMs.p99 : null),
  },
  connectRate: {
    kind: 'perSecond',
    meaning: 'connections opened and authenticated a second',
    sound: false,
    of: ({ connections }) => (connections.open > 0 ? finite(connections.perSecond) : null),
  },
  bytesPerConn: {
    kind: 'size',
    meaning: 'resident memory of the server for a connection',
    sound: true,
    of: ofServer(({ bytesPerConnection }) => bytesPerConnection),
  },
  rss: {
    kind: 'size',
    meaning: 'resident memory of the server',
    sound: true,
    of: ofServer(({ rssBytes }) => rssBytes),
    ofSample: ({ server }) => (server.processes > 0 ? server.rssBytes : null),
  },
  deliveriesPerCpuSecond: {
    kind: 'perCpuSecond',
    meaning: 'messages delivered for a CPU second of the server',
    sound: true,
    of: ofServer(({ deliveriesPerCpuSecond }) => deliveriesPerCpuSecond),
  },
  flushesPerCpuSecond: {
    kind: 'perCpuSecond',
    meaning: 'writes to sockets for a CPU second of the server',
    sound: true,
    of: ofServer(({ flushesPerCpuSecond }) => flushesPerCpuSecond),
  },
  loopP99: {
    kind: 'time',
    meaning: 'delay of the busiest event loop of the server, p99',
    sound: false,
    of: ofServer(({ loopP99Ms }) => loopP99Ms),
    ofSample: ({ phase, server }) => (isMeasured(phase) && server.processes > 0 ? server.loopP99Ms : null),
  },
  trust: {
    kind: 'yes',
    meaning: '1: the harness was not at its limit',
    sound: false,
    of: ({ client }) => (client.saturated.is ? 0 : 1),
  },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;

export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[];

export function isMetricName(name: string): name is MetricName {
  return Object.hasOwn(METRICS, name);
}

export function metricOf(name: MetricName): Metric {
  return METRICS[name];
}

/** A value with its unit. */
export function shownAs(kind: MetricKind, value: number | null): string {
  if (value === null) return 'not measured';
  switch (kind) {
    case 'count':
      return count(value);
    case 'share':
      return percent(value);
    case 'time':
      return time(value);
    case 'size':
      return size(value);
    case 'perSecond':
      return `${short(value)}/s`;
    case 'perCpuSecond':
      return `${short(value)}/cpu·s`;
    case 'yes':
      return value === 1 ? 'yes' : 'no';
  }
}
