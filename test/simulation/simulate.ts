// `npm run simulate -- --seeds 20000 --from 1`: runs the simulation under as many seeds; prints each violation with its seed.
// `--seed N --trace` runs one and tells its story. Exits 1 when anything was violated.

import { flagsOf } from '../harness/flags.js';
import { run } from './run.js';

/** Violations of one run that are printed. */
const SHOWN = 8;

const { values } = flagsOf(import.meta.filename, {
  seeds: { type: 'string', default: '1000' },
  from: { type: 'string', default: '1' },
  seed: { type: 'string' },
  trace: { type: 'boolean', default: false },
});

const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
const totals = { events: 0, pushes: 0, deliveries: 0, failovers: 0, seeks: 0 };
const lines: string[] = [];
let bad = 0;
const began = performance.now();
for (let seed = first; seed < first + count; seed++) {
  const result = await run({ seed, ...(values.trace ? { trace: (line: string) => lines.push(line) } : {}) });
  for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += result[name];
  if (result.violations.length === 0) continue;
  bad++;
  process.stdout.write(
    `seed ${seed}\n${result.violations
      .slice(0, SHOWN)
      .map((line) => `  ${line}\n`)
      .join('')}`,
  );
}
for (const line of lines.sort((a, b) => Number.parseFloat(a) - Number.parseFloat(b))) process.stdout.write(`${line}\n`);
const seconds = ((performance.now() - began) / 1_000).toFixed(1);
process.stdout.write(`${count} seeds from ${first}: ${bad} bad, ${seconds} s, ${JSON.stringify(totals)}\n`);
process.exitCode = bad === 0 ? 0 : 1;
