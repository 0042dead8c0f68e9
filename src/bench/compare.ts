/**
 * Two runs side by side, with a verdict a metric that knows their noise: B is better or worse than A only where the ratio lies
 * outside of what the seconds of both runs, the drift of the machine between them, and a floor for what no single run sees
 * would give by chance. Where the figures cannot be set beside one another, it says why.
 */

import { type Difference, differencesOf } from './differences.js';
import type { BenchPhase, BenchResult, BenchSample } from './figures.js';
import { type MetricKind, type MetricName, metricOf, shownAs } from './metrics.js';
import { relativeNoise } from './noise.js';
import { percent } from './numbers.js';
import { titleOf } from './report/verdict.js';

export type RowVerdict = 'better' | 'worse' | 'no difference shown' | 'not comparable';

export interface ComparisonRow {
  readonly metric: string;
  readonly kind: MetricKind | 'ratio';
  readonly better: 'more' | 'less';
  readonly a: number | null;
  readonly b: number | null;
  /** b / a. */
  readonly ratio: number | null;
  /** What the ratio may be off by chance, as a share; null: not known, or a count. */
  readonly noise: number | null;
  readonly verdict: RowVerdict;
  /** Why it is not comparable. */
  readonly why: string | null;
}

export interface Comparison {
  /** Of the plan, the machine and the versions. */
  readonly differences: readonly Difference[];
  readonly rows: readonly ComparisonRow[];
  /** Of all rows: `mixed` has both. */
  readonly verdict: RowVerdict | 'mixed';
}

/**
 * Runs of the same code on the same machine differ by this much, whatever their seconds say: memory is laid out elsewhere,
 * connections fall on other processes, the kernel has other things in its caches.
 */
const FLOOR = 0.03;
/** Ratios to bare sockets: their few seconds are noisier. */
const REFERENCE_FLOOR = 0.06;

interface Compared {
  readonly metric: string;
  readonly kind: ComparisonRow['kind'];
  readonly better: 'more' | 'less';
  readonly of: (result: BenchResult) => number | null;
  /** It holds although the harness was at its limit. */
  readonly sound: boolean;
  /** It says the same on another machine. */
  readonly anyMachine?: boolean;
  /** Its values second by second; a count has none. */
  readonly series?: (result: BenchResult) => readonly number[];
  readonly floor?: number;
}

const count = (name: MetricName): Compared => {
  return { metric: name, kind: 'count', better: 'less', of: metricOf(name).of, sound: true, anyMachine: true };
};

const measured = (name: MetricName, better: 'more' | 'less', series: Compared['series']): Compared => {
  const { kind, of, sound } = metricOf(name);
  return { metric: name, kind, better, of, sound, ...(series && { series }) };
};

const delivered = (sample: BenchSample) => sample.delivered;
const opened = (sample: BenchSample) => sample.open;
const elapsed = (sample: BenchSample) => sample.seconds;
const serverCpu = (sample: BenchSample) => sample.server.cpuSeconds;

const deliveriesForCpu = changes('measure', delivered, serverCpu);
const flushesForCpu = changes('measure', ({ fanOut }) => fanOut.flushes, serverCpu);
const connectsForCpu = changes('connect', opened, serverCpu);

const COMPARED: readonly Compared[] = [
  ...(['lost', 'duplicates', 'outOfOrder', 'gaps', 'errors'] as const).map(count),
  {
    metric: 'delivered',
    kind: 'perSecond',
    better: 'more',
    of: ({ delivered, deliveredPerSecond }) => (delivered > 0 ? deliveredPerSecond : null),
    sound: false,
    series: changes('measure', delivered, elapsed),
  },
  measured(
    'p50',
    'less',
    latencies(({ p50 }) => p50),
  ),
  measured(
    'p99',
    'less',
    latencies(({ p99 }) => p99),
  ),
  measured('deliveriesPerCpuSecond', 'more', deliveriesForCpu),
  measured('flushesPerCpuSecond', 'more', flushesForCpu),
  ofReference('flushes', flushesForCpu),
  ofReference('deliveries', deliveriesForCpu),
  measured('connectRate', 'more', changes('connect', opened, elapsed)),
  {
    metric: 'connectsPerCpuSecond',
    kind: 'perCpuSecond',
    better: 'more',
    of: ({ server, connections }) => (server.cpuSeconds > 0 && connections.open > 0 ? connections.perCpuSecond : null),
    sound: true,
    series: connectsForCpu,
  },
  ofReference('connects', connectsForCpu),
  measured(
    'bytesPerConn',
    'less',
    values(({ server }) => server.rssBytes),
  ),
  measured(
    'loopP99',
    'less',
    values(({ server }) => server.loopP99Ms),
  ),
  {
    metric: 'calls',
    kind: 'perSecond',
    better: 'more',
    of: ({ http }) => http?.requestsPerSecond ?? null,
    sound: false,
    series: changes('measure', ({ accepted }) => accepted, elapsed),
  },
];

function ofReference(what: 'flushes' | 'deliveries' | 'connects', series: Compared['series']): Compared {
  return {
    metric: `${what}, of bare sockets`,
    kind: 'ratio',
    better: 'more',
    of: ({ reference }) => reference?.ratios[what] ?? null,
    sound: true,
    anyMachine: true,
    floor: REFERENCE_FLOOR,
    ...(series && { series }),
  };
}

/** One count to another, second by second of a phase. */
function changes(phase: BenchPhase, of: (sample: BenchSample) => number, to: (sample: BenchSample) => number) {
  return ({ samples }: BenchResult): readonly number[] => {
    const within = samples.filter((sample) => sample.phase === phase);
    return within.slice(1).flatMap((sample, at) => {
      const before = within[at] as BenchSample;
      const by = to(sample) - to(before);
      return by > 0 ? [(of(sample) - of(before)) / by] : [];
    });
  };
}

function values(of: (sample: BenchSample) => number) {
  return ({ samples }: BenchResult) => samples.filter(({ phase }) => phase === 'measure').map(of);
}

function latencies(of: (latencyMs: NonNullable<BenchSample['latencyMs']>) => number) {
  return ({ samples }: BenchResult) => {
    return samples.flatMap(({ phase, latencyMs }) =>
      phase === 'measure' && latencyMs !== null ? [of(latencyMs)] : [],
    );
  };
}

/** What B is, beside A. */
export function compareRuns(a: BenchResult, b: BenchResult): Comparison {
  const differences = differencesOf(a, b);
  const drift = driftOf(a, b);
  const rows = COMPARED.map((compared) => compareOne(compared, a, b, differences, drift)).filter(
    (row) => row.a !== null || row.b !== null,
  );
  const has = (verdict: RowVerdict) => rows.some((row) => row.verdict === verdict);
  const overall = () => {
    if (has('better') && has('worse')) return 'mixed';
    if (has('worse')) return 'worse';
    if (has('better')) return 'better';
    return has('no difference shown') ? 'no difference shown' : 'not comparable';
  };
  return { differences, rows, verdict: overall() };
}

/** How much faster bare sockets were for B than for A: that much is the machine's. */
function driftOf({ reference: a }: BenchResult, { reference: b }: BenchResult): number {
  if (a === null || b === null || !(a.flushesPerCpuSecond > 0) || !(b.flushesPerCpuSecond > 0)) return 0;
  return Math.abs(Math.log(b.flushesPerCpuSecond / a.flushesPerCpuSecond));
}

function compareOne(
  compared: Compared,
  resultA: BenchResult,
  resultB: BenchResult,
  differences: readonly Difference[],
  drift: number,
): ComparisonRow {
  const { metric, kind, better, series } = compared;
  const a = compared.of(resultA);
  const b = compared.of(resultB);
  const ratio = a !== null && b !== null && a > 0 ? b / a : null;
  const row = { metric, kind, better, a, b, ratio, noise: null };
  const why = obstacle(compared, resultA, resultB, differences);
  if (why !== null || a === null || b === null) return { ...row, verdict: 'not comparable', why: why ?? missing(a) };
  const judge = (difference: number, chance: number): RowVerdict => {
    if (Math.abs(difference) <= chance) return 'no difference shown';
    return difference > 0 === (better === 'more') ? 'better' : 'worse';
  };
  if (kind === 'count') {
    // Counts of rare events vary by their root; but one loss is a loss.
    const chance = a === 0 || b === 0 ? 0 : 2 * Math.sqrt(a + b);
    return { ...row, verdict: judge(b - a, chance), why: null };
  }
  const noiseA = relativeNoise(series?.(resultA) ?? []);
  const noiseB = relativeNoise(series?.(resultB) ?? []);
  if (ratio === null || noiseA === null || noiseB === null) {
    return { ...row, verdict: 'not comparable', why: 'too few seconds to know its noise' };
  }
  const floor = compared.floor ?? FLOOR;
  const noise = Math.max(
    Math.hypot(noiseA, noiseB),
    floor,
    compared.anyMachine === true || kind === 'size' ? 0 : drift,
  );
  return { ...row, noise, verdict: judge(Math.log(ratio), noise), why: null };
}

function missing(a: number | null): string {
  return `${a === null ? 'A' : 'B'} has none`;
}

/** Why two figures cannot be set beside one another. */
function obstacle(
  { sound, anyMachine, kind, of }: Compared,
  a: BenchResult,
  b: BenchResult,
  differences: readonly Difference[],
): string | null {
  if (of(a) === null || of(b) === null) return missing(of(a));
  const load = differences.filter(({ of: what }) => what === 'load');
  if (load.length > 0) return `another load: ${load.map(({ name }) => name).join(', ')}`;
  const machine = differences.filter(({ of: what }) => what === 'machine');
  if (machine.length > 0 && anyMachine !== true && kind !== 'size') {
    return `another machine: ${machine.map(({ name }) => name).join(', ')}`;
  }
  const saturated = [a.client.saturated.is ? 'A' : '', b.client.saturated.is ? 'B' : ''].filter((name) => name !== '');
  if (saturated.length > 0 && !sound) return `the harness was the bottleneck of ${saturated.join(' and ')}`;
  return null;
}

/** The comparison as a table, with its verdict at the end. */
export function comparisonLines(a: BenchResult, b: BenchResult, comparison: Comparison): readonly string[] {
  const { differences, rows } = comparison;
  const cells = [
    ['', 'A', 'B', 'B / A', 'noise', ''],
    ...rows.map((row) => [
      row.metric,
      figure(row.kind, row.a),
      figure(row.kind, row.b),
      row.ratio === null || row.kind === 'count' ? '' : `${row.ratio.toFixed(2)} ×`,
      row.noise === null ? '' : `± ${percent(row.noise)}`,
      row.why === null ? row.verdict : `${row.verdict}: ${row.why}`,
    ]),
  ];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const table = cells.map((row) => {
    const [metric = '', ...figures] = row.slice(0, 5).map((cell, at) => {
      return at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0);
    });
    return `  ${[metric, ...figures, row[5]].join('   ')}`.trimEnd();
  });
  return [
    `A  ${titleOf(a.plan)} · imgo ${a.versions.imgo} · ${a.at}`,
    `B  ${titleOf(b.plan)} · imgo ${b.versions.imgo} · ${b.at}`,
    ...differences.map((one) => `  ${one.of.padEnd(8)} ${one.name}: ${one.a} → ${one.b}`),
    ...table,
    `VERDICT  ${verdictWords(comparison)}`,
  ];
}

/** A value of a row with its unit. */
export function figure(kind: ComparisonRow['kind'], value: number | null): string {
  if (value === null) return 'none';
  return kind === 'ratio' ? `${value.toFixed(2)} ×` : shownAs(kind, value);
}

/** `B is better: p99. No difference shown: …`. */
export function verdictWords({ rows, verdict }: Comparison): string {
  const named = (wanted: RowVerdict) => rows.filter((row) => row.verdict === wanted).map(({ metric }) => metric);
  if (verdict === 'not comparable') return 'not comparable.';
  if (verdict === 'no difference shown') return 'no difference shown.';
  const parts = (['better', 'worse'] as const).flatMap((one) => {
    const metrics = named(one);
    return metrics.length === 0 ? [] : [`${one} in ${metrics.join(', ')}`];
  });
  return `B is ${parts.join('; ')}.`;
}
