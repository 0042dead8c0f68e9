// npm run bench -- [--only NAME]…: runs the benchmarks one after another and prints figure, reference and their ratio.
// Exits 99 when a bound is not kept.

import { flagsOf } from '../harness/flags.js';
import { apart } from './apart.js';
import { codec } from './codec.js';
import { fanout } from './fanout.js';
import { http } from './http.js';
import { redis } from './redis.js';
import { type Bench, type BenchRow, holds, ratioOf } from './row.js';
import { sessions } from './sessions.js';
import { startup } from './startup.js';
import { store } from './store.js';
import { storm } from './storm.js';
import { views } from './views.js';
import { watch } from './watch.js';

const BENCHES: readonly Bench[] = [codec, store, redis, apart, http, fanout, sessions, storm, watch, views, startup];

const { values, positionals } = flagsOf(import.meta.filename, { only: { type: 'string', multiple: true } }, true);
const wanted = [...(values.only ?? []), ...positionals];
const chosen = wanted.length === 0 ? BENCHES : BENCHES.filter((bench) => wanted.includes(bench.name));
if (chosen.length === 0) {
  console.error(`No such benchmark. There are: ${BENCHES.map((bench) => bench.name).join(', ')}`);
  process.exit(2);
}

function figure(value: number | undefined): string {
  if (value === undefined) return '';
  return value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 2 : 0 });
}

function boundOf({ bound }: BenchRow): string {
  if (bound === undefined) return '';
  if ('ratio' in bound) return `<= x${bound.ratio}`;
  return 'least' in bound ? `>= ${figure(bound.least)}` : `<= ${figure(bound.most)}`;
}

function print(row: BenchRow): void {
  const of = ratioOf(row);
  const ratio = of === undefined ? '' : `x${of.toFixed(2)}`;
  const bound = boundOf(row);
  const mark = row.bound === undefined ? ' ' : holds(row) ? '✓' : '✗';
  const cells = [
    row.name.padEnd(44),
    figure(row.figure).padStart(14),
    figure(row.reference).padStart(14),
    ratio.padStart(8),
    row.unit.padEnd(12),
    `${mark} ${bound}`.padEnd(16),
    row.note ?? '',
  ];
  console.log(cells.join(' ').trimEnd());
}

// Servers that a benchmark started end with this process, brokers too; so they must be asked to.
for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => process.exit(status));
}

console.log(`Node ${process.version}, ${process.platform} ${process.arch}`);
let kept = true;
for (const bench of chosen) {
  console.log(
    `\n${bench.name.padEnd(44)} ${'figure'.padStart(14)} ${'reference'.padStart(14)} ${'ratio'.padStart(8)} unit`,
  );
  for (const row of await bench.run()) {
    print(row);
    kept &&= holds(row);
  }
}
process.exitCode = kept ? 0 : 99;
