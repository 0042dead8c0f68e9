// The run of broker tests: real Kafka and Redis on loopback, which `npm run test:brokers` sees to. Forks, because a broker
// ends with the thread that started it. One file at a time, because a cluster of JVMs is all that two cores can bear
// (scripts/test-brokers.mjs has two at a time run, where one needs Redis or a Kafka that is there). Time
// limits are for what hangs, as in vitest.config.ts.

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.broker.test.ts'],
    globalSetup: ['test/brokers/global.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 10_000,
    // Joining a group and a broker's death take seconds.
    expect: { poll: { timeout: 60_000 } },
  },
});
