// Runs vitest and counts from its report, for the closing lines of `npm test` and `npm run test:brokers`.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/** Adds to counts what passed, failed and was skipped of the run with these arguments. */
export function runVitest(counts, ...args) {
  const folder = mkdtempSync(join(tmpdir(), 'imgo-test-'));
  try {
    const report = join(folder, 'report.json');
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    const all = [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args];
    const { status } = spawnSync(process.execPath, all, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
    const failedBefore = counts.failed;
    countTests(counts, report);
    // An unhandled error or a file that cannot be loaded fails the run without a failed test.
    if (status !== 0 && counts.failed === failedBefore) counts.failed += 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function countTests(counts, report) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(readFileSync(report, 'utf8'));
    counts.passed += numPassedTests;
    counts.failed += numFailedTests;
    counts.skipped += numPendingTests + numTodoTests;
  } catch (error) {
    process.stdout.write(`The report of the tests cannot be read: ${error.message}\n`);
    counts.failed += 1;
  }
}

/** Prints the closing line; the exit status says whether anything failed. */
export function close({ passed, failed, skipped }) {
  process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  process.exitCode = failed > 0 ? 1 : 0;
}
