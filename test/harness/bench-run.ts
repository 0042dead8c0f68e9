// A small benchmark as `imgo bench` runs it, in this process.
import { defaultAssertions } from '../../src/bench/assertions.js';
import type { BenchResult } from '../../src/bench/figures.js';
import { lookAtMachine } from '../../src/bench/machine.js';
import type { BenchOptions, ServerAccess } from '../../src/bench/options.js';
import { planRun } from '../../src/bench/plan.js';
import { SMALL_RUN } from './bench-options.js';
import { LAUNCHER } from './server.js';

/** As it is built: it starts processes of its own from there. */
const BUILT = new URL('../../dist/bench/run.js', import.meta.url).href;

const ASKED: BenchOptions = { ...SMALL_RUN, settleMs: 20_000, perProcess: 40 };

/** `access`: a running server; `meanwhile`: is told every sample. */
export async function runSmall(
  options: Partial<BenchOptions>,
  access?: ServerAccess,
  meanwhile?: (stop: AbortController, sample: BenchResult['samples'][number]) => void,
): Promise<BenchResult> {
  const { runBench } = (await import(/* @vite-ignore */ BUILT)) as typeof import('../../src/bench/run.js');
  const machine = lookAtMachine();
  const stop = new AbortController();
  return runBench({
    plan: planRun({ ...ASKED, ...options }, machine),
    machine,
    launcher: `${LAUNCHER}.js`,
    version: '0',
    command: 'bench',
    assertions: defaultAssertions,
    access,
    signal: stop.signal,
    onSample: (sample) => meanwhile?.(stop, sample),
    reference: undefined,
  });
}
