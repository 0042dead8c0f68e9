// How a run is followed on stderr: a view on a terminal, a plain line a second elsewhere, nothing when quiet. The view is a
// process of its own: to lay out and draw takes longer than a message may be late, and here messages are offered.

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { BenchSample } from '../../bench/figures.js';
import type { RunParts } from '../../bench/parts.js';
import type { BenchPlan } from '../../bench/plan.js';
import type { Output } from '../output.js';
import { isColoured } from '../style.js';
import { progressLines } from './progress.js';
import type { ToScreen } from './screen.js';
import { Track } from './track.js';

/** Follows one run. */
export interface Live {
  readonly sample: (sample: BenchSample) => void;
  /** Takes away what is drawn: the screen is as before. */
  readonly end: () => Promise<void>;
}

/** A moment this young in its phase has no rate of its own yet. */
const YOUNG_SECONDS = 0.5;
const END_MS = 2_000;

/** What fits these streams. `signal`: aborted when the run is to end. */
export function followRun(
  { plan, machine: { cores }, reference, signal }: Pick<RunParts, 'plan' | 'machine' | 'reference' | 'signal'>,
  output: Output,
): Live {
  if (output.quiet) return { sample: () => {}, end: async () => {} };
  const lines = plainLines(plan, cores, output);
  const terminal = process.env['TERM'] ?? 'dumb';
  if (!output.isWatched || output.json || terminal === 'dumb') return { sample: lines, end: async () => {} };
  const screen = new Screen(
    { plan, cores, reference: reference !== undefined, coloured: isColoured(process.stderr) },
    signal,
  );
  return {
    // A view that is gone is not the end of the run.
    sample: (sample) => void (screen.tell({ sample }) || lines(sample)),
    end: () => screen.end(),
  };
}

function plainLines(plan: BenchPlan, cores: number, output: Output): (sample: BenchSample) => void {
  const track = new Track(plan, cores);
  return (sample) => {
    const moment = track.add(sample);
    if (moment.phaseSeconds < YOUNG_SECONDS) return;
    for (const line of progressLines(moment, plan)) output.note(line);
  };
}

/** The process that draws. */
class Screen {
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;

  constructor(begin: ToScreen, stop: AbortSignal) {
    this.#child = fork(fileURLToPath(new URL('./screen.js', import.meta.url)), {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // React's other build checks more than it draws.
      env: { ...process.env, NODE_ENV: 'production' },
    });
    this.#gone = new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      this.#child.once('error', () => resolve());
    });
    this.tell(begin);
    stop.addEventListener('abort', () => this.tell({ stopping: true }), { once: true });
  }

  /** false: there is no view any more. */
  tell(message: ToScreen): boolean {
    if (!this.#child.connected) return false;
    // One that ends meanwhile is seen at the next.
    this.#child.send(message, () => {});
    return true;
  }

  async end(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), END_MS);
    await this.#gone;
    clearTimeout(patience);
  }
}
