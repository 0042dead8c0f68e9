// Two runs are told apart only where their noise allows it, and not set beside one another where that would say nothing.
import { expect, test } from 'vitest';
import { compareRuns, comparisonLines, type RowVerdict } from '../../../src/bench/compare.js';
import type { BenchResult } from '../../../src/bench/figures.js';
import { relativeNoise } from '../../../src/bench/noise.js';
import { type MadeUp, madeUpResult } from '../../harness/bench-result.js';
import { seededRandom } from '../../harness/random.js';

const run = (options: MadeUp = {}): BenchResult => {
  return madeUpResult({ connections: 100_000, processes: 6, measureSeconds: 60, saturated: false, ...options });
};
const verdicts = (a: BenchResult, b: BenchResult): Readonly<Record<string, RowVerdict>> =>
  Object.fromEntries(compareRuns(a, b).rows.map(({ metric, verdict }) => [metric, verdict]));
const whys = (a: BenchResult, b: BenchResult) => [...new Set(compareRuns(a, b).rows.map(({ why }) => why))];

test('a run is no different from itself, nor from another of the same code', () => {
  const a = run();
  for (const b of [a, run({ seed: 8 }), run({ seed: 9 })]) {
    const { rows, verdict } = compareRuns(a, b);
    expect(rows.filter((row) => row.verdict === 'better' || row.verdict === 'worse')).toEqual([]);
    expect(verdict).toBe('no difference shown');
  }
});

test('what is better is called better one way and worse the other', () => {
  const a = run();
  const b = run({ seed: 8, latency: 0.5, cpu: 0.8 });
  const expected = { p50: 'better', p99: 'better', deliveriesPerCpuSecond: 'better', flushesPerCpuSecond: 'better' };
  expect(verdicts(a, b)).toMatchObject(expected);
  expect(compareRuns(a, b).verdict).toBe('better');
  expect(verdicts(b, a)).toMatchObject({ p50: 'worse', deliveriesPerCpuSecond: 'worse', lost: 'no difference shown' });
  expect(compareRuns(b, a).verdict).toBe('worse');
  expect(compareRuns(a, { ...b, lost: 1 }).verdict).toBe('mixed');
});

test('the first loss is a loss; more or fewer of many rare events may be chance', () => {
  const a = run();
  const lost = (was: number, is: number) => verdicts({ ...a, lost: was }, { ...a, lost: is })['lost'];
  expect([lost(0, 1), lost(1, 0), lost(100, 110), lost(100, 200)]).toEqual([
    'worse',
    'better',
    'no difference shown',
    'worse',
  ]);
});

test('the drift of the machine, seen on bare sockets, is not the server', () => {
  const a = run();
  const faster = run({ cpu: 0.88 });
  expect(verdicts(a, faster)['flushesPerCpuSecond']).toBe('better');
  const reference = { ...a.reference, flushesPerCpuSecond: 82_000 * 1.15 } as NonNullable<BenchResult['reference']>;
  expect(verdicts(a, { ...faster, reference })['flushesPerCpuSecond']).toBe('no difference shown');
});

test('figures that cannot stand beside one another are shown with why', () => {
  const a = run();
  const other = compareRuns(a, { ...a, plan: { ...a.plan, rate: 80, rooms: 5 } });
  expect(other.verdict).toBe('not comparable');
  expect(other.differences.map(({ of, name }) => [of, name])).toEqual([
    ['load', 'rate'],
    ['load', 'rooms'],
  ]);
  expect(new Set(other.rows.map(({ why }) => why))).toEqual(new Set(['another load: rate, rooms']));

  const elsewhere = { ...a, machine: { ...a.machine, cores: 8 } };
  expect(verdicts(a, elsewhere)).toMatchObject({
    lost: 'no difference shown',
    bytesPerConn: 'no difference shown',
    'flushes, of bare sockets': 'no difference shown',
    p99: 'not comparable',
    flushesPerCpuSecond: 'not comparable',
  });

  const atLimit = { ...a, client: { ...a.client, saturated: { is: true, reasons: ['x'] } } };
  expect(verdicts(a, atLimit)).toMatchObject({ p99: 'not comparable', flushesPerCpuSecond: 'no difference shown' });
  expect(whys(atLimit, atLimit)).toContain('the harness was the bottleneck of A and B');

  const brief = run({ measureSeconds: 5 });
  expect(verdicts(a, brief)['p99']).toBe('not comparable');
  expect(whys(a, brief)).toContain('too few seconds to know its noise');
});

test('a setting is what a comparison may be about: it is named, and compared', () => {
  const a = run();
  const b = { ...a, plan: { ...a.plan, windowMs: 1_000 }, versions: { ...a.versions, imgo: '0.2.0' } };
  const { differences, verdict } = compareRuns(a, b);
  expect(differences).toEqual([
    { of: 'setting', name: 'window', a: 'default', b: '1 s' },
    { of: 'version', name: 'imgo', a: '0.1.0', b: '0.2.0' },
  ]);
  expect(verdict).toBe('no difference shown');
});

test('the table has every row with its noise or why not, and the verdict last', () => {
  const a = run();
  const b = run({ seed: 8, latency: 0.5 });
  const lines = comparisonLines(a, b, compareRuns(a, b));
  expect(lines[0]).toMatch(/^A {2}room · 100,000 tcp connections · 40 msg\/s for 60 s/);
  expect(lines.at(-1)).toBe('VERDICT  B is better in p50, p99.');
  const table = lines.slice(2, -1);
  expect(table[0]?.trim().split(/\s{3,}/)).toEqual(['A', 'B', 'B / A', 'noise']);
  expect(table.find((line) => line.includes('p99 '))).toMatch(/ s +[\d.]+ (m?s) +0\.\d\d × +± [\d.]+ % +better$/);
  expect(new Set(table.map((line) => line.lastIndexOf(' × ')).filter((at) => at > 0)).size).toBe(1);
});

test('noise is small for a steady figure, large for one that swings slowly, unknown for a few seconds', () => {
  const random = seededRandom(3);
  const steady = Array.from({ length: 300 }, () => 100 + random());
  const white = Array.from({ length: 300 }, () => 50 + 100 * random());
  // The same values in order of size: a swing over the whole run, which single seconds drawn one by one would not show.
  const slow = [...white].sort((x, y) => x - y);
  const [a, b, c] = [steady, white, slow].map((values) => relativeNoise(values) ?? Number.NaN) as [
    number,
    number,
    number,
  ];
  expect(a).toBeLessThan(0.002);
  expect(b).toBeGreaterThan(10 * a);
  expect(c).toBeGreaterThan(1.5 * b);
  expect(relativeNoise(white)).toBe(relativeNoise(white));
  expect(relativeNoise([1, 2, 3])).toBeNull();
  expect(relativeNoise(Array.from({ length: 60 }, () => 0))).toBeNull();
});
