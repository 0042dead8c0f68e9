// The test run: everything that needs nothing but Node. Broker tests (*.broker.test.ts) are a run of their own.
// Time limits are for what hangs: generous, because a shared machine may be ten times slower than a quiet one.

import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes longest goes first, so that at the end no long file runs alone: benchmarks and campaigns, then what starts processes. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => LONG.findIndex((pattern) => pattern.test(moduleId));
    const ordered = await super.sort(files);
    return ordered.sort((a, b) => rank(a) - rank(b));
  }
}

const LONG = [
  /\/test\/e2e\/bench-(run|breaks)/,
  /\/test\/(hostile|docs|crash|simulation)\/.*/,
  /\.e2e\.test\.ts$/,
  /./,
];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/**/*.broker.test.ts', 'node_modules/**'],
    pool: 'forks',
    // More than cores: most of them wait for processes most of the time.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 10_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
