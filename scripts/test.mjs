// `npm test`: builds, then checks and runs the tests, side by side, as most tests wait for processes most of the time. What
// checks found is printed last, then one closing line with the counts of checks and tests together. Arguments go to vitest: `npm test -- test/unit` runs a part, without the checks.

import { build } from './build.mjs';
import { check } from './check.mjs';
import { close, runVitest } from './vitest.mjs';

const filters = process.argv.slice(2);
const counts = { passed: 0, failed: 0, skipped: 0 };

try {
  await build({ strict: true });
  counts.passed += 1;
} catch (error) {
  counts.failed += 1;
  process.stdout.write(`\n✖ build\n${error.message}\n`);
}
const checking = filters.length === 0 ? check() : undefined;
if (counts.failed === 0) await runVitest(counts, filters);
if (checking !== undefined) {
  const { passed, failed, report } = await checking;
  process.stdout.write(report);
  counts.passed += passed;
  counts.failed += failed.length;
}
close(counts);
