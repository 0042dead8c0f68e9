/** In what two runs differ before anything was measured: what was offered, the settings, the machine, the versions. */
import type { BenchResult } from './figures.js';
import { size, time } from './numbers.js';
import type { BenchPlan } from './plan.js';

export interface Difference {
  /** `load` and `machine` make figures incomparable; a `setting` or a `version` is what a comparison may be about. */
  readonly of: 'load' | 'setting' | 'machine' | 'version';
  readonly name: string;
  readonly a: string;
  readonly b: string;
}

type Shown<T> = readonly (readonly [name: string, of: (from: T) => string | number | undefined])[];

const LOAD: Shown<BenchPlan> = [
  ['mode', ({ mode }) => mode],
  ['connections', ({ connections }) => connections],
  ['rate', ({ rate }) => rate],
  ['rooms', ({ rooms }) => rooms],
  ['size', ({ sizeBytes }) => `${sizeBytes} B`],
  ['slow', ({ slow }) => slow],
  ['churn', ({ churn }) => churn],
  ['connect rate', ({ connectRate }) => connectRate],
];

const SETTINGS: Shown<BenchPlan> = [
  ['duration', ({ durationMs }) => time(durationMs)],
  ['transport', ({ transport }) => transport],
  ['dialect', ({ dialect }) => dialect],
  ['store', ({ store }) => store],
  ['window', ({ windowMs }) => (windowMs === undefined ? 'default' : time(windowMs))],
  ['workers', ({ workers }) => workers],
  ['receivers', ({ receivers }) => receivers.length],
  ['server', ({ server }) => server ?? 'its own'],
  ['connections that break', ({ reconnect }) => (reconnect ? 'come back' : 'are gone')],
  ['settings', ({ settings }) => (settings.length === 0 ? 'default' : settings.join(' '))],
];

const MACHINE: Shown<BenchResult['machine']> = [
  ['cores', ({ cores }) => cores],
  ['processor', ({ model }) => model],
  ['kernel', ({ kernel }) => kernel],
  ['memory', ({ memoryBytes }) => size(memoryBytes)],
];

const VERSIONS: Shown<BenchResult> = [
  ['imgo', ({ versions }) => versions.imgo],
  ['Node', ({ versions }) => versions.node],
  ['cut short', ({ cutShort }) => cutShort ?? 'no'],
];

export function differencesOf(a: BenchResult, b: BenchResult): readonly Difference[] {
  return [
    ...differing('load', LOAD, a.plan, b.plan),
    ...differing('machine', MACHINE, a.machine, b.machine),
    ...differing('setting', SETTINGS, a.plan, b.plan),
    ...differing('version', VERSIONS, a, b),
  ];
}

function differing<T>(of: Difference['of'], shown: Shown<T>, a: T, b: T): readonly Difference[] {
  return shown.flatMap(([name, value]) => {
    const both = { a: String(value(a)), b: String(value(b)) };
    return both.a === both.b ? [] : [{ of, name, ...both }];
  });
}
