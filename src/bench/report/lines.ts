/** Lines over the seconds of a run, read from its samples; of a run to compare with, the main ones are laid over. */
import type { BenchResult, BenchSample } from '../figures.js';
import type { Chart, Line, Unit } from './drawing.js';

/** A value of a second; `samples`: all of its run. */
export type Pick = (sample: BenchSample, samples: readonly BenchSample[]) => number | null;

/** A figure that is drawn: as it is, or its change a second. */
export interface Series {
  readonly label: string;
  readonly colour: number;
  readonly of: Pick;
  readonly rate?: true;
  readonly fill?: true;
  readonly right?: true;
  /** Also of the run to compare with. */
  readonly overlaid?: true;
}

/** A chart over the seconds of a run, before its values. */
export interface Drawn {
  readonly id: string;
  readonly title: string;
  readonly note: string;
  readonly unit: Unit;
  readonly rightUnit?: Unit;
  /** A logarithmic axis, where the values lie that far apart. */
  readonly logWhenWide?: true;
  /** The run to compare with begins where this one does, not with its first message. */
  readonly fromStart?: true;
  /** Which seconds of the run. */
  readonly when: (sample: BenchSample) => boolean;
  readonly series: readonly Series[];
}

/** The chart with its values; nothing when it has none. */
export function linesOf(result: BenchResult, compared: BenchResult | undefined, drawn: Drawn): Chart | undefined {
  const { samples } = result;
  const shown = samples.filter(drawn.when);
  if (shown.length < 2) return undefined;
  const { id, title, note, unit, rightUnit } = drawn;
  const own = drawn.series.map((series) => lineOf(series, shown, samples, (at) => at));
  const aligned = compared === undefined || drawn.fromStart === true;
  const shift = aligned ? 0 : startOf(compared.samples) - startOf(samples);
  const laid = (compared === undefined ? [] : drawn.series.filter(({ overlaid }) => overlaid)).map((series): Line => {
    const others = compared?.samples ?? [];
    const there = (sample: BenchSample) => nearestTo(others, sample.seconds + shift);
    const line = lineOf(series, shown, others, there);
    const { fill: _, ...plain } = line;
    return { ...plain, label: `${series.label}, compared`, dashed: true };
  });
  const all = [...own, ...laid].filter(({ values }) => values.some((value) => value !== null));
  if (all.length === 0) return undefined;
  const x = shown.map(({ seconds }) => rounded(seconds));
  return {
    kind: 'lines',
    id,
    title,
    note,
    x,
    along: 'seconds',
    unit,
    ...(rightUnit && { rightUnit }),
    ...(drawn.logWhenWide && isWide(all) && { log: true }),
    lines: all,
  };
}

/** The values of a series at each second that is shown, taken from the samples of a run. */
function lineOf(
  series: Series,
  shown: readonly BenchSample[],
  samples: readonly BenchSample[],
  at: (sample: BenchSample) => BenchSample | undefined,
): Line {
  const { of, rate, overlaid: _, ...line } = series;
  const before = new Map(samples.map((sample, index) => [sample, samples[index - 1]]));
  const values = shown.map((second) => {
    const sample = at(second);
    if (sample === undefined) return null;
    const now = of(sample, samples);
    if (!rate) return now === null ? null : rounded(now);
    const last = before.get(sample);
    const then = last === undefined ? null : of(last, samples);
    if (now === null || then === null || last === undefined || sample.seconds <= last.seconds) return null;
    return rounded((now - then) / (sample.seconds - last.seconds));
  });
  return { ...line, values };
}

/** True when the largest value is over fifty times the smallest: on a plain axis the small ones would be a line at its foot. */
function isWide(all: readonly Line[]): boolean {
  const values = all.flatMap((line) => line.values.filter((value) => value !== null && value > 0)) as readonly number[];
  const [least, most] = [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), 0)];
  return most > 50 * least;
}

/** When the first message was due. */
function startOf(samples: readonly BenchSample[]): number {
  const first = samples.find(({ phase }) => phase === 'measure' || phase === 'warmup');
  return first === undefined ? 0 : first.seconds - first.phaseSeconds;
}

/** The sample of a second, if there is one. */
function nearestTo(samples: readonly BenchSample[], seconds: number): BenchSample | undefined {
  let [from, to] = [0, samples.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((samples[middle] as BenchSample).seconds < seconds - 0.5) from = middle + 1;
    else to = middle;
  }
  const found = samples[from];
  return found !== undefined && Math.abs(found.seconds - seconds) <= 1 ? found : undefined;
}

/** Five digits: what a chart can show, and no more to carry. */
export function rounded(value: number): number {
  return Number(value.toPrecision(5));
}
