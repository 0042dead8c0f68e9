// How soon the command line answers: `imgo --help` beyond `node -e 0`, and `imgo serve` on an empty folder until it takes
// connections. Medians of runs that take turns, so that a busy machine slows all of them.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { median, serveArguments } from './measured.js';
import type { Bench, BenchRow } from './row.js';

const LAUNCHER = join(import.meta.dirname, '../../bin/imgo');
const TURNS = 21;
const SERVE_TURNS = 7;

function timed(command: string, args: readonly string[]): number {
  const from = performance.now();
  const { status, stderr } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ms = performance.now() - from;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr}`);
  return ms;
}

async function serve(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'imgo-bench-start-'));
  const from = performance.now();
  const child = spawn(LAUNCHER, serveArguments(join(folder, 'data')), {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: folder,
    env: { ...process.env, XDG_RUNTIME_DIR: folder },
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  const ms = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', () => resolve(performance.now() - from));
    void ended.then(() => reject(new Error('imgo serve ended before it was ready')));
  });
  child.kill('SIGTERM');
  await ended;
  rmSync(folder, { recursive: true, force: true });
  return ms;
}

async function run(): Promise<readonly BenchRow[]> {
  const bare: number[] = [];
  const help: number[] = [];
  const serving: number[] = [];
  timed(LAUNCHER, ['--help']);
  await serve();
  for (let turn = 0; turn < TURNS; turn++) {
    bare.push(timed(process.execPath, ['-e', '0']));
    help.push(timed(LAUNCHER, ['--help']));
    if (turn < SERVE_TURNS) serving.push(await serve());
  }
  const reference = median(bare);
  const note = `best ${Math.min(...help).toFixed(0)}, of node ${Math.min(...bare).toFixed(0)}`;
  return [
    { name: 'imgo --help', figure: median(help), reference, unit: 'ms', note },
    { name: 'imgo --help beyond node -e 0', figure: median(help) - reference, unit: 'ms', bound: { most: 100 } },
    {
      name: 'imgo serve, empty folder, until ready',
      figure: median(serving),
      reference,
      unit: 'ms',
      bound: { most: 1_000 },
    },
  ];
}

/** The benchmark. */
export const startup: Bench = { name: 'startup', run };
