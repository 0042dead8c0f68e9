// `npm test`: builds, checks, runs the tests. Failures are printed last, then one closing line with the counts of
// checks and tests together. Arguments go to vitest: `npm test -- test/unit` runs a part, without the checks.

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
if (counts.failed === 0) runVitest(counts, ...filters);
if (filters.length === 0) {
  const { passed, failed } = await check();
  counts.passed += passed;
  counts.failed += failed.length;
}
close(counts);
