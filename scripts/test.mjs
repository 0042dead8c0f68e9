// `npm test`: builds, then checks and runs the tests, side by side, as most tests wait for processes most of the time. What
// failed is printed last, then one closing line with the counts of checks and tests together. Arguments go to vitest: `npm test -- test/unit` runs a part, without the checks.

import { build } from './build.mjs';
import { check } from './check.mjs';
import { close, failure, runVitest, tryAgain } from './vitest.mjs';

const filters = process.argv.slice(2);
const found = new Map();

try {
  await build({ strict: true });
  found.set('build', { passed: 1, skipped: 0, failures: [] });
} catch (error) {
  found.set('build', failure('build', error.message));
}
const checking = filters.length === 0 ? check() : undefined;
if (found.get('build').passed === 1) {
  const tested = await runVitest(filters);
  await checking;
  await tryAgain(tested, []);
  for (const [part, result] of tested) found.set(part, result);
}
if (checking !== undefined) found.set('check', await checking);
close(found);
