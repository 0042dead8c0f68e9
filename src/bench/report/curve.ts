/** The curve of a run's latencies: which share of the messages took how long at most. */
import type { BenchResult, Latencies } from '../figures.js';
import { count } from '../numbers.js';
import type { Chart, Line } from './drawing.js';
import { rounded } from './lines.js';

/** Where the curve ends: one in a million. */
const LAST_TENTH = 6;
const CURVE_POINTS = 241;

/** Latencies by the share of messages that took longer, each ten times rarer at equal distances (as HdrHistogram draws them). */
export function curveOf(result: BenchResult, compared: BenchResult | undefined): Chart | undefined {
  if (result.latencies.length === 0) return undefined;
  const messages = result.latencies.reduce((sum, [, count]) => sum + count, 0);
  const last = Math.min(LAST_TENTH, Math.max(1, Math.log10(messages)));
  const x = Array.from({ length: CURVE_POINTS }, (_, at) => (at * last) / (CURVE_POINTS - 1));
  const shares = x.map((tenths) => 1 - 10 ** -tenths);
  const own: Line = { label: 'latency', colour: 1, values: percentilesAt(result.latencies, shares), fill: true };
  const laid: readonly Line[] =
    compared === undefined || compared.latencies.length === 0
      ? []
      : [{ label: 'latency, compared', colour: 2, values: percentilesAt(compared.latencies, shares), dashed: true }];
  return {
    kind: 'lines',
    id: 'curve',
    title: 'Distribution of latencies',
    note: `Of ${count(messages)} deliveries that were looked at, the warm-up left out; from when they were due.`,
    x: x.map(rounded),
    along: 'percentile',
    unit: 'ms',
    lines: [own, ...laid],
  };
}

/** The values below which growing shares of all lie, in one pass. */
function percentilesAt(latencies: Latencies, shares: readonly number[]): readonly number[] {
  const all = latencies.reduce((sum, [, count]) => sum + count, 0);
  let [at, seen] = [0, latencies[0]?.[1] ?? 0];
  return shares.map((share) => {
    while (seen < all * share && at < latencies.length - 1) seen += latencies[++at]?.[1] ?? 0;
    return latencies[at]?.[0] ?? 0;
  });
}
