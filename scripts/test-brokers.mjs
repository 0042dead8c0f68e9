// `npm run test:brokers`: builds, and runs the tests that need real Kafka and Redis, or other programs of the system
// (*.broker.test.ts), which it brings where it can. Arguments go to vitest. Where one is missing it says which, and every
// file counts as skipped; with IMGO_BROKERS=required that is a failure.

import { globSync } from 'node:fs';
import { join } from 'node:path';
import { provision, TEMPLATE_PROGRAMS } from '../test/brokers/provision.ts';
import { build } from './build.mjs';
import { close, failure, runVitest, tryAgain } from './vitest.mjs';

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
const found = new Map();

const missing = await provision(TEMPLATE_PROGRAMS);
if (missing.length === 0) {
  await build({ strict: true });
  const config = '--config=vitest.brokers.config.ts';
  const keep = (results) => {
    for (const [part, result] of results) found.set(part, result);
  };
  if (filters.length > 0) keep(await runVitest([config, ...filters]));
  else {
    const others = [ALONE, ...BESIDE].map((file) => `--exclude=${file}`);
    const lanes = await Promise.all([runVitest([config, ...BESIDE]), runVitest([config, ...others], { aside: true })]);
    lanes.forEach(keep);
    keep(await runVitest([config, ALONE]));
    // What the campaign found stands, however busy the machine was.
    await tryAgain(found, [config], [ALONE]);
  }
} else {
  const why = `Broker tests cannot run here. Missing:\n${missing.map((each) => `- ${each}\n`).join('')}`;
  if (process.env.IMGO_BROKERS === 'required') found.set('provision', failure('provision', why));
  else {
    process.stdout.write(why);
    const files = globSync('test/**/*.broker.test.ts', { cwd: join(import.meta.dirname, '..') });
    found.set('broker tests', { passed: 0, skipped: files.length, failures: [] });
  }
}
close(found);
