// `npm test`: builds, checks, runs the tests. Failures are printed last, then one closing line with the counts of
// checks and tests together. Arguments go to vitest: `npm test -- test/unit` runs a part, without the checks.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from './build.mjs';
import { check } from './check.mjs';

const ROOT = join(import.meta.dirname, '..');
const filters = process.argv.slice(2);
const counts = { passed: 0, failed: 0, skipped: 0 };

try {
  await build({ strict: true });
  counts.passed += 1;
} catch (error) {
  counts.failed += 1;
  process.stdout.write(`\n✖ build\n${error.message}\n`);
}
if (counts.failed === 0) runTests();
if (filters.length === 0) {
  const { passed, failed } = await check();
  counts.passed += passed;
  counts.failed += failed.length;
}
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exitCode = counts.failed > 0 ? 1 : 0;

function runTests() {
  const folder = mkdtempSync(join(tmpdir(), 'imgo-test-'));
  try {
    const report = join(folder, 'report.json');
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    const args = [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...filters];
    const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
    const failedBefore = counts.failed;
    countTests(report);
    // An unhandled error or a file that cannot be loaded fails the run without a failed test.
    if (status !== 0 && counts.failed === failedBefore) counts.failed += 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function countTests(report) {
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
