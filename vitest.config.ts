// The test run: everything that needs nothing but Node. Broker tests (*.broker.test.ts) are a run of their own.
// Time limits are for what hangs: generous, because a shared machine may be ten times slower than a quiet one.

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/**/*.broker.test.ts', 'node_modules/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 10_000,
  },
});
