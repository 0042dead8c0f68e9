/**
 * What has to hold of a run: `p99<200ms`, `connected==100%`, `errors==0!`. Read before the run, judged after it; one that
 * ends with `!` is looked at every second as well, and ends the run when it is broken.
 */
import { Exit } from '../protocol/error-row.js';
import { ImgoError } from '../protocol/errors.js';
import { nearest } from '../protocol/nearest.js';
import type { AssertionResult, BenchResult, BenchSample } from './figures.js';
import { isMetricName, METRIC_NAMES, type MetricKind, type MetricName, metricOf, shownAs } from './metrics.js';

const OPERATORS = {
  '<': (value: number, wanted: number) => value < wanted,
  '<=': (value: number, wanted: number) => value <= wanted,
  '>': (value: number, wanted: number) => value > wanted,
  '>=': (value: number, wanted: number) => value >= wanted,
  '==': (value: number, wanted: number) => value === wanted,
  '!=': (value: number, wanted: number) => value !== wanted,
} as const;

type Operator = keyof typeof OPERATORS;

export interface Assertion {
  /** As it was written. */
  readonly text: string;
  readonly metric: MetricName;
  readonly operator: Operator;
  /** In the metric's own unit: ms, bytes, shares from 0 to 1. */
  readonly value: number;
  /** The run ends when it is broken. */
  readonly aborts: boolean;
  readonly byDefault: boolean;
}

/** What a unit multiplies its number by, for each kind of metric; the empty one is of a number without one. */
export const UNITS: Readonly<Record<MetricKind, Readonly<Record<string, number>>>> = {
  count: { '': 1 },
  share: { '': 1, '%': 0.01 },
  time: { '': 1, ms: 1, s: 1_000 },
  size: { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 },
  perSecond: { '': 1, '/s': 1 },
  perCpuSecond: { '': 1 },
  yes: { '': 1 },
};

/** Held without being asked for, unless the same metric is asserted otherwise. */
export const defaultAssertions: readonly Assertion[] = ['lost==0', 'outOfOrder==0', 'connected==100%'].map((text) => ({
  ...parse(text),
  byDefault: true,
}));

/**
 * All that has to hold: those that hold by default, then those that are given; one that is given replaces those by default
 * of its metric.
 * @throws ImgoError bench_assertion: no metric, operator, value or unit that there is
 */
export function parseAssertions(texts: readonly string[]): readonly Assertion[] {
  const given = texts.map(parse);
  const asked = new Set(given.map(({ metric }) => metric));
  return [...defaultAssertions.filter(({ metric }) => !asked.has(metric)), ...given];
}

function parse(text: string): Assertion {
  const [, name = '', operator = '', number = '', unit = '', end = ''] =
    /^\s*([^\s<>=!]*)\s*([<>=!]*)\s*([^\sA-Za-z%/!]*(?:e[+-]?\d+)?)\s*([^\s!]*)\s*(.*?)\s*$/.exec(text) ?? [];
  const wrong = (detail: string, better?: string): ImgoError => {
    return new ImgoError('bench_assertion', { text, detail, nearest: better, metrics: METRIC_NAMES.join(' ') });
  };
  if (name === '') throw wrong('it does not begin with a metric');
  if (!isMetricName(name)) {
    const near = nearest(name, METRIC_NAMES);
    throw wrong(`there is no metric ${name}`, near && text.replace(name, near));
  }
  if (operator === '') throw wrong('it has no operator; quote it, or the shell takes < and > for itself');
  if (!isOperator(operator)) {
    const near = nearestOperator(operator);
    throw wrong(
      `${operator} is none of ${Object.keys(OPERATORS).join(' ')}`,
      near && text.replace(operator, () => near),
    );
  }
  if (!/^(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/.test(number)) throw wrong(`${operator} is not followed by a number`);
  const { kind, ofSample } = metricOf(name);
  const factor = Object.hasOwn(UNITS[kind], unit) ? UNITS[kind][unit] : undefined;
  if (factor === undefined) throw wrong(wrongUnit(name, kind, unit), nearestUnit(text, number, unit, kind));
  // Fifteen digits, so that 99.9% is the number that 0.999 is.
  const value = Number((Number(number) * factor).toPrecision(15));
  if (kind === 'share' && value > 1) throw wrong(`${name} is a share, from 0 to 1 or in %`, `${name}${operator}100%`);
  if (end !== '' && end !== '!') throw wrong(`${end} is too much`);
  if (end === '!' && ofSample === undefined) {
    const known = METRIC_NAMES.filter((one) => metricOf(one).ofSample !== undefined);
    throw wrong(`${name} is known when the run is over, so it cannot end one; ! goes with ${known.join(' ')}`);
  }
  return { text: text.trim(), metric: name, operator, value, aborts: end === '!', byDefault: false };
}

function isOperator(text: string): text is Operator {
  return Object.hasOwn(OPERATORS, text);
}

/** `=` and `===` are meant as `==`, `=<` as `<=`, `<>` as `!=`. */
function nearestOperator(text: string): Operator | undefined {
  const meant: Readonly<Record<string, Operator>> = {
    '=': '==',
    '===': '==',
    '=<': '<=',
    '=>': '>=',
    '<>': '!=',
    '!==': '!=',
  };
  return Object.hasOwn(meant, text) ? meant[text] : undefined;
}

function wrongUnit(name: MetricName, kind: MetricKind, unit: string): string {
  const units = Object.keys(UNITS[kind]).filter((one) => one !== '');
  return `${name} ${units.length === 0 ? 'has no unit' : `is in ${units.join(', ')}`}, not ${unit}`;
}

function nearestUnit(text: string, number: string, unit: string, kind: MetricKind): string | undefined {
  const units = Object.keys(UNITS[kind]);
  const near = units.find((one) => one.toLowerCase() === unit.toLowerCase()) ?? nearest(unit, units.slice(1));
  const at = text.lastIndexOf(unit);
  return near === undefined || at < text.indexOf(number)
    ? undefined
    : text.slice(0, at) + near + text.slice(at + unit.length);
}

/** Each assertion with what was measured. One that ends with `!` holds only if it held every second, too. */
export function judge(assertions: readonly Assertion[], result: BenchResult): readonly AssertionResult[] {
  return assertions.map((assertion) => {
    const { text, metric, byDefault } = assertion;
    const { kind, of } = metricOf(metric);
    const breach = assertion.aborts ? result.samples.find((sample) => isBroken(assertion, sample)) : undefined;
    const value = breach === undefined ? of(result) : (metricOf(metric).ofSample?.(breach) ?? null);
    const holds = breach === undefined && value !== null && OPERATORS[assertion.operator](value, assertion.value);
    const when = breach === undefined ? '' : ` after ${Math.round(breach.seconds)} s`;
    return { text, metric, holds, value, shown: `${shownAs(kind, value)}${when}`, byDefault };
  });
}

/** The first of those that end with `!` that this second breaks. */
export function broken(assertions: readonly Assertion[], sample: BenchSample): Assertion | undefined {
  return assertions.find((assertion) => assertion.aborts && isBroken(assertion, sample));
}

function isBroken({ metric, operator, value }: Assertion, sample: BenchSample): boolean {
  const now = metricOf(metric).ofSample?.(sample) ?? null;
  return now !== null && !OPERATORS[operator](now, value);
}

/**
 * The status of a command that ran it. 99: an assertion failed. 98: all hold, but the harness was at its limit; not when all
 * that was asked for are figures that hold nevertheless. Who asked for nothing is told, too: the latencies are in the report.
 */
export function exitStatus({ assertions, client }: Pick<BenchResult, 'assertions' | 'client'>): 0 | 98 | 99 {
  if (assertions.some(({ holds }) => !holds)) return Exit.ASSERTION;
  if (!client.saturated.is) return Exit.OK;
  const asked = assertions.filter(({ byDefault }) => !byDefault);
  const isSound = ({ metric }: AssertionResult) => isMetricName(metric) && metricOf(metric).sound;
  return asked.length > 0 && asked.every(isSound) ? Exit.OK : Exit.UNTRUSTED;
}
