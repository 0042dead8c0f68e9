// Runs vitest and reads its report, for the closing lines of `npm test` and `npm run test:brokers`.
//
// What was found is a map: of a part (a test file by its path, or a check), how many passed, failed and were skipped, and
// each failure as { name, why }.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
/** What failed of more files than these is no accident of a busy machine. */
const TRIED_AGAIN = 4;
/** Of a failure that is long, these lines of its beginning, and as many of its end. */
const TOLD = 25;

/**
 * What the run with these arguments found. `aside`: another one runs meanwhile, and what this one prints comes in one piece
 * when it has ended.
 */
export async function runVitest(args, { aside = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'imgo-test-'));
  try {
    const report = join(folder, 'report.json');
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    const all = [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args];
    const printed = aside ? 'pipe' : 'inherit';
    const child = spawn(process.execPath, all, { cwd: ROOT, stdio: ['ignore', printed, printed] });
    const output = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => output.push(chunk));
    const status = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    process.stdout.write(Buffer.concat(output));
    const found = foundIn(report);
    // An unhandled error fails the run without a failed test.
    if (status !== 0 && !failed(found)) found.set('vitest', failure('vitest', 'An error outside tests: see above.'));
    return found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Runs the files of what failed once more, nothing beside them, because tests that share a busy machine can make each other
 * late. What fails again has failed; what passes now is told, too. `never`: files to take at their word.
 */
export async function tryAgain(found, args, never = []) {
  const files = [...found].filter(([, { failures }]) => failures.length > 0).map(([file]) => file);
  const told = files.some((file) => !file.includes('.test.') || never.includes(file));
  if (files.length === 0 || files.length > TRIED_AGAIN || told) return;
  process.stdout.write(`\nOnce more, alone: ${files.join(' ')}\n`);
  const again = await runVitest([...args, ...files]);
  for (const [file, result] of again) {
    const before = found.get(file)?.failures ?? [];
    for (const { name, why } of result.failures.length === 0 ? before : []) {
      process.stdout.write(`\nFailed beside other tests, passed alone: ${name}\n${shortened(why)}\n`);
    }
    found.set(file, result);
  }
}

function foundIn(report) {
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
    return new Map(testResults.map((each) => [relative(ROOT, each.name), resultOf(each)]));
  } catch (error) {
    return new Map([['vitest', failure('the report of the tests', error.message)]]);
  }
}

function resultOf({ name, status, message, assertionResults }) {
  const file = relative(ROOT, name);
  const having = (...states) => assertionResults.filter((each) => states.includes(each.status));
  const failures = having('failed').map(({ fullName, failureMessages }) => ({
    name: `${file} > ${fullName}`,
    why: failureMessages.join('\n'),
  }));
  // A file that cannot be loaded, or whose set-up fails, has no failed test.
  if (status === 'failed' && failures.length === 0) failures.push({ name: file, why: message });
  return { passed: having('passed').length, skipped: having('pending', 'skipped', 'todo').length, failures };
}

/** A part that found one failure and nothing else. */
export function failure(name, why) {
  return { passed: 0, skipped: 0, failures: [{ name, why }] };
}

export function failed(found) {
  return [...found.values()].some(({ failures }) => failures.length > 0);
}

/** Prints what failed, then the closing line; the exit status says whether anything failed. */
export function close(found) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const { passed, skipped, failures } of found.values()) {
    for (const { name, why } of failures) process.stdout.write(`\n✖ ${name}\n${shortened(why)}\n`);
    total.passed += passed;
    total.failed += failures.length;
    total.skipped += skipped;
  }
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}

function shortened(text) {
  const lines = text.trim().split('\n');
  return lines.length <= 2 * TOLD ? lines.join('\n') : [...lines.slice(0, TOLD), '…', ...lines.slice(-TOLD)].join('\n');
}
