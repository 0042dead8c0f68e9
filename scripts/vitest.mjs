// Runs vitest and counts from its report, for the closing lines of `npm test` and `npm run test:brokers`.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/**
 * Adds to counts what passed, failed and was skipped of the run with these arguments. `aside`: another one runs meanwhile, and
 * what this one prints comes in one piece when it has ended. `lane`: which part of the ports it takes.
 */
export async function runVitest(counts, args, { aside = false, lane } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'imgo-test-'));
  try {
    const report = join(folder, 'report.json');
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    const all = [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args];
    const printed = aside ? 'pipe' : 'inherit';
    const env = lane === undefined ? process.env : { ...process.env, IMGO_TEST_LANE: String(lane) };
    const child = spawn(process.execPath, all, { cwd: ROOT, env, stdio: ['ignore', printed, printed] });
    const output = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => output.push(chunk));
    const status = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    process.stdout.write(Buffer.concat(output));
    const found = countOf(report);
    // An unhandled error or a file that cannot be loaded fails the run without a failed test.
    if (status !== 0 && found.failed === 0) found.failed = 1;
    for (const name of Object.keys(found)) counts[name] += found[name];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function countOf(report) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(readFileSync(report, 'utf8'));
    return { passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests + numTodoTests };
  } catch (error) {
    process.stdout.write(`The report of the tests cannot be read: ${error.message}\n`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

/** Prints the closing line; the exit status says whether anything failed. */
export function close({ passed, failed, skipped }) {
  process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  process.exitCode = failed > 0 ? 1 : 0;
}
