// `npm run test:brokers`: builds, and runs the tests that need real Kafka and Redis, or other programs of the system
// (*.broker.test.ts), which it brings where it can. Arguments go to vitest. Where one is missing it says which, and every
// file counts as skipped; with IMGO_BROKERS=required that is a failure.

import { globSync } from 'node:fs';
import { join } from 'node:path';
import { provision, TEMPLATE_PROGRAMS } from '../test/brokers/provision.ts';
import { build } from './build.mjs';
import { close, runVitest } from './vitest.mjs';

/** The campaign: whole clusters, whose brokers are slow enough when they have both cores. It runs alone. */
const ALONE = 'test/faults/faults.broker.test.ts';
/** Files that run one after another beside all others: most of them start Kafka for themselves. */
const BESIDE = [
  'test/brokers/queue-kafka-faults.broker.test.ts',
  'test/brokers/queue-kafka-jobs.broker.test.ts',
  'test/brokers/queue-kafka-start.broker.test.ts',
  'test/brokers/outages.broker.test.ts',
  'test/brokers/kafka.broker.test.ts',
];
const filters = process.argv.slice(2);
const counts = { passed: 0, failed: 0, skipped: 0 };

const missing = await provision(TEMPLATE_PROGRAMS);
if (missing.length === 0) {
  await build({ strict: true });
  const config = '--config=vitest.brokers.config.ts';
  if (filters.length > 0) await runVitest(counts, [config, ...filters]);
  else {
    const others = [ALONE, ...BESIDE].map((file) => `--exclude=${file}`);
    await Promise.all([
      runVitest(counts, [config, ...BESIDE], { lane: 0 }),
      runVitest(counts, [config, ...others], { aside: true, lane: 1 }),
    ]);
    await runVitest(counts, [config, ALONE]);
  }
} else {
  process.stdout.write(`Broker tests cannot run here. Missing:\n${missing.map((each) => `- ${each}\n`).join('')}`);
  if (process.env.IMGO_BROKERS === 'required') counts.failed += 1;
  else counts.skipped += globSync('test/**/*.broker.test.ts', { cwd: join(import.meta.dirname, '..') }).length;
}
close(counts);
