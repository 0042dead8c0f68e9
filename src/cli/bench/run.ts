// `imgo bench`, step by step: read, look at what is named, plan, run, report. Whatever can be wrong is told before the run.

import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchResult } from '../../bench/figures.js';
import type { Machine } from '../../bench/machine.js';
import { count } from '../../bench/numbers.js';
import type { BenchOptions } from '../../bench/options.js';
import type { RunParts } from '../../bench/parts.js';
import type { BenchPlan } from '../../bench/plan.js';
import { Exit } from '../../protocol/error-row.js';
import { ImgoError } from '../../protocol/errors.js';
import type { Output } from '../output.js';
import { ownName } from '../own-name.js';
import { localise } from '../style.js';
import { followRun } from './live.js';
import { type BenchFlags, readBenchOptions } from './options.js';
import { nextStop } from './stop.js';

const LAUNCHER = fileURLToPath(new URL('../../../bin/imgo.js', import.meta.url));

/**
 * Runs what the flags ask for, prints and writes the report, and sets the exit status.
 * @throws ImgoError usage, bench_assertion, bench_no_result, report_unwritable, bench_too_big, config_unknown,
 * config_invalid, what is wrong with a server that was named, and internal
 */
export async function bench(flags: BenchFlags, version: string, output: Output): Promise<void> {
  const asked = readBenchOptions(flags);
  const { exitStatus, parseAssertions } = await import('../../bench/assertions.js');
  const assertions = parseAssertions(flags.assert ?? []);
  const { html, out, server } = flags;
  await checkFiles([html, out]);
  const earlier = flags.compare === undefined ? undefined : await earlierResult(flags.compare);
  if (asked.settings.length > 0) await checkSettings(asked.settings);
  const target = server === undefined ? undefined : await import('./target.js');
  const api = target?.namedServer({ ...flags, server: server as string }, output);
  const { lookAtMachine } = await import('../../bench/machine.js');
  const machine = lookAtMachine();
  const plan = await planned({ ...asked, server: api?.server.url }, flags['best-effort'] === true, machine, output);
  const { planLines } = await import('../../bench/report/text.js');
  const lines = planLines(plan, machine);
  if (flags['dry-run']) {
    if (output.json) await output.object({ plan, machine });
    else for (const line of lines) await output.folded(localise(line));
    return;
  }
  const access = api && (await target?.lookAtServer(api, flags.clients, plan));
  for (const line of lines) output.note(line);
  const stop = nextStop();
  const result = await followed(
    {
      plan,
      machine,
      launcher: LAUNCHER,
      version,
      command: typed(),
      assertions,
      access,
      signal: stop.signal,
      reference: extentOf(flags),
    },
    output,
  );
  const ended = exitStatus(result) || (result.cutShort === null ? Exit.OK : Exit.RUNTIME);
  process.exitCode = stop.signal.aborted ? Exit.INTERRUPTED : ended;
  await report(result, { html, out, earlier }, output);
}

function extentOf(flags: { readonly 'no-reference'?: boolean; readonly 'whole-reference'?: boolean }) {
  if (flags['no-reference'] === true) return undefined;
  return flags['whole-reference'] === true ? 'whole' : 'sample';
}

/** What a server of this run's own would say to its settings. */
async function checkSettings(settings: readonly string[]): Promise<void> {
  const [{ settingsOf }, { loadConfig }] = await Promise.all([
    import('../serve/config-flags.js'),
    import('../../server/config-load.js'),
  ]);
  // From here, where there is no imgo.toml: that of the working folder is not for a run's own server.
  loadConfig({ env: {}, flags: settingsOf({ set: settings }), folder: import.meta.dirname });
}

/** The plan; with `max`, and where that is allowed, of as many connections as this machine holds. @throws ImgoError bench_too_big */
async function planned(
  asked: Omit<BenchOptions, 'connections'> & { readonly connections: number | 'max' },
  bestEffort: boolean,
  machine: Machine,
  output: Output,
): Promise<BenchPlan> {
  const { largestPlan, planRun } = await import('../../bench/plan.js');
  const wanted = asked.connections === 'max' ? Number.POSITIVE_INFINITY : asked.connections;
  if (wanted !== Number.POSITIVE_INFINITY && !bestEffort) return planRun({ ...asked, connections: wanted }, machine);
  const fits = largestPlan({ ...asked, connections: 1 }, machine);
  if (Number.isFinite(wanted) && wanted > fits) {
    output.warn(`This machine holds ${count(fits)} of ${count(wanted)} connections.`);
  }
  return planRun({ ...asked, connections: Math.max(1, Math.min(wanted, fits)) }, machine);
}

async function followed(parts: Omit<RunParts, 'onSample'>, output: Output): Promise<BenchResult> {
  const { runBench } = await import('../../bench/run.js');
  const live = followRun(parts, output);
  try {
    return await runBench({ ...parts, onSample: (sample) => live.sample(sample) });
  } finally {
    await live.end();
  }
}

/** What was typed; no secret is ever an argument. */
function typed(): string {
  const quoted = process.argv.slice(2).map((word) => (/^[\w./:=%@,+-]+$/.test(word) ? word : `'${word}'`));
  return [ownName(), ...quoted].join(' ');
}

/** Where reports go. @throws ImgoError report_unwritable, usage when two are the same */
async function checkFiles(files: readonly (string | undefined)[]): Promise<void> {
  const { checkWritable } = await import('../../bench/writable.js');
  const named = files.filter((file) => file !== undefined);
  if (new Set(named.map((file) => resolve(file))).size < named.length) {
    throw new ImgoError('usage', { detail: 'Two reports cannot go to the same file.', command: 'bench' });
  }
  for (const file of named) await checkWritable(file);
}

async function earlierResult(file: string): Promise<BenchResult> {
  const { readResult } = await import('../../bench/result-file.js');
  return readResult(file);
}

/** Said first, then written: what was measured is not lost to a disk that is full. */
async function report(
  result: BenchResult,
  to: {
    readonly html: string | undefined;
    readonly out: string | undefined;
    readonly earlier: BenchResult | undefined;
  },
  output: Output,
): Promise<void> {
  if (output.json) await output.object(result);
  else await sayResult(result, to.earlier, output);
  if (to.out !== undefined) await writeFile(to.out, `${JSON.stringify(result)}\n`);
  if (to.html !== undefined) {
    const { htmlReport } = await import('../../bench/report/html.js');
    await writeFile(to.html, htmlReport(result, to.earlier));
  }
}

async function sayResult(result: BenchResult, earlier: BenchResult | undefined, output: Output): Promise<void> {
  const { resultLines } = await import('../../bench/report/text.js');
  for (const line of resultLines(result, Number(process.exitCode))) await output.folded(localise(line));
  if (earlier !== undefined) {
    const { compareRuns, comparisonLines } = await import('../../bench/compare.js');
    const lines = comparisonLines(earlier, result, compareRuns(earlier, result));
    for (const line of lines) await output.line(localise(line));
  }
}
