// `npm run mutants`: breaks one line of src at a time in a copy of the project, and sees the test named for it turn red.
//
//   --list        names them        --only TEXT   those whose name or file contains it (repeatable)
//   --jobs N      copies at work    --root DIR    the project; this one unless told otherwise
//
// A mutant that survives, that cannot be made, or whose test is not green without it, is a failure: exit 1. A mutation that
// does not even load is no proof of a test, so it counts as not caught.

import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { flagsOf } from '../harness/flags.js';
import { collectMutants, faultOfTest, mutate } from './collect.js';
import type { Mutant } from './mutant.js';

/** A test that hangs because of a mutation is ended, and counts as red. Milliseconds. */
const TEST_MS = 30_000;
const FILE_MS = 180_000;

const LEFT_BEHIND = /^(node_modules|dist.*|coverage|\.git|\.imgo)$/;

type Verdict = 'caught' | 'SURVIVED' | 'NOT MADE' | 'NOT LOADED' | 'TEST NOT GREEN';

interface Outcome {
  readonly mutant: Mutant;
  readonly verdict: Verdict;
  readonly note: string;
  readonly seconds: number;
}

interface TestRun {
  readonly status: 'green' | 'red' | 'not loaded' | 'no such test';
  readonly note: string;
}

const { values } = flagsOf(import.meta.filename, {
  list: { type: 'boolean', default: false },
  only: { type: 'string', multiple: true, default: [] },
  jobs: { type: 'string', default: '2' },
  root: { type: 'string', default: join(import.meta.dirname, '../..') },
});

/** A copy of the project without what is built or installed. */
function copyProject(root: string): string {
  const copy = mkdtempSync(join(tmpdir(), 'imgo-mutants-'));
  for (const name of readdirSync(root)) {
    if (!LEFT_BEHIND.test(name))
      cpSync(join(root, name), join(copy, name), { recursive: true, verbatimSymlinks: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

/** Runs one test file of a copy, or the tests in it with a name. */
async function runTest(copy: string, { file, test }: Mutant['expect']): Promise<TestRun> {
  const report = join(copy, 'mutant-report.json');
  rmSync(report, { force: true });
  const vitest = join(copy, 'node_modules/vitest/vitest.mjs');
  const named = test === undefined ? [] : ['-t', test.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')];
  const args = [vitest, 'run', file, ...named, '--bail=1', `--testTimeout=${TEST_MS}`];
  const ended = await ranToEnd([...args, '--reporter=json', `--outputFile=${report}`], copy);
  if (!ended) return { status: 'red', note: `no end after ${FILE_MS / 1_000} s` };
  try {
    const { numFailedTests, numPassedTests, testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
      numFailedTests: number;
      numPassedTests: number;
      testResults: { status: string; message?: string; assertionResults: { status: string; fullName: string }[] }[];
    };
    if (numFailedTests > 0) {
      const failed = testResults
        .flatMap(({ assertionResults }) => assertionResults)
        .find((each) => each.status === 'failed');
      return { status: 'red', note: failed?.fullName.trim() ?? '' };
    }
    const broken = testResults.find(({ status }) => status === 'failed');
    if (broken !== undefined) return { status: 'not loaded', note: broken.message?.split('\n')[0] ?? '' };
    return numPassedTests > 0 ? { status: 'green', note: '' } : { status: 'no such test', note: test ?? file };
  } catch (error) {
    return { status: 'not loaded', note: String(error) };
  }
}

/** False when it had to be ended. */
function ranToEnd(args: readonly string[], cwd: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    // A group of its own: what the test started ends with it.
    const child = spawn(process.execPath, args, { cwd, stdio: 'ignore', detached: true });
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      resolve(false);
    }, FILE_MS);
    child.once('error', reject);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

/** Whether the test is green without the mutation; asked once for each test. */
const baselines = new Map<string, Promise<TestRun>>();

function baseline(copy: string, expect: Mutant['expect']): Promise<TestRun> {
  const key = `${expect.file} ${expect.test ?? ''}`;
  const known = baselines.get(key);
  if (known !== undefined) return known;
  const asked = runTest(copy, expect);
  baselines.set(key, asked);
  return asked;
}

async function judge(copy: string, mutant: Mutant): Promise<Omit<Outcome, 'seconds'>> {
  const made = mutate(copy, mutant);
  const fault = 'fault' in made ? made.fault : faultOfTest(copy, mutant);
  if ('fault' in made || fault !== undefined) return { mutant, verdict: 'NOT MADE', note: fault ?? '' };
  const before = await baseline(copy, mutant.expect);
  if (before.status !== 'green') return { mutant, verdict: 'TEST NOT GREEN', note: before.note };
  const path = join(copy, mutant.file);
  const original = readFileSync(path, 'utf8');
  writeFileSync(path, made.source);
  try {
    const { status, note } = await runTest(copy, mutant.expect);
    if (status === 'red') return { mutant, verdict: 'caught', note };
    if (status === 'not loaded') return { mutant, verdict: 'NOT LOADED', note };
    return { mutant, verdict: 'SURVIVED', note: mutant.expect.file };
  } finally {
    writeFileSync(path, original);
  }
}

function line({ mutant, verdict, note, seconds }: Outcome): string {
  const what = `${mutant.name} (${basename(mutant.file)})`;
  return `${verdict.padEnd(14)} ${what.padEnd(64)} ${`${seconds.toFixed(1)} s`.padStart(7)}  ${note.slice(0, 100)}\n`;
}

async function main(): Promise<void> {
  const all = await collectMutants();
  const { only, root } = values;
  const chosen = all.filter(
    ({ name, file }) => only.length === 0 || only.some((text) => `${name} ${file}`.includes(text)),
  );
  if (values.list) {
    for (const { name, file, expect } of chosen) process.stdout.write(`${file}: ${name} -> ${expect.file}\n`);
    return;
  }
  if (chosen.length === 0) throw new Error('there is no such mutant');
  const waiting = [...chosen];
  const outcomes: Outcome[] = [];
  const copies: string[] = [];
  const removeCopies = (): void => {
    for (const copy of copies) rmSync(copy, { recursive: true, force: true });
  };
  process.once('SIGINT', () => {
    removeCopies();
    process.exit(130);
  });
  try {
    await Promise.all(
      Array.from({ length: Math.min(Number(values.jobs), chosen.length) }, async () => {
        const copy = copyProject(root);
        copies.push(copy);
        for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
          const began = performance.now();
          const judged = await judge(copy, mutant);
          const outcome = { ...judged, seconds: (performance.now() - began) / 1_000 };
          outcomes.push(outcome);
          process.stdout.write(line(outcome));
        }
      }),
    );
  } finally {
    removeCopies();
  }
  const bad = outcomes.filter(({ verdict }) => verdict !== 'caught');
  process.stdout.write(`\n${outcomes.length - bad.length} of ${outcomes.length} mutants were caught\n`);
  for (const outcome of bad) process.stdout.write(line(outcome));
  process.exitCode = bad.length === 0 ? 0 : 1;
}

await main();
