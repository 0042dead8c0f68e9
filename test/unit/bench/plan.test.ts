// What a run will use is said before it starts, and nothing is rounded away.
import { expect, test } from 'vitest';
import type { Machine } from '../../../src/bench/machine.js';
import type { BenchOptions } from '../../../src/bench/options.js';
import { planRun } from '../../../src/bench/plan.js';
import { ImgoError } from '../../../src/protocol/errors.js';

const machine: Machine = {
  cores: 2,
  model: 'm',
  kernel: '6',
  memoryBytes: 24 * 1024 ** 3,
  availableBytes: 23 * 1024 ** 3,
  descriptors: 20_000,
  sourcePorts: 28_232,
  files: 2_466_183,
};
const asked: BenchOptions = {
  mode: 'room',
  connections: 1_000_000,
  rate: 40,
  durationMs: 60_000,
  rooms: 1,
  sizeBytes: 26,
  transport: 'tcp',
  dialect: 'imgo',
  store: 'memory',
  windowMs: undefined,
  seed: 1,
  connectRate: 'auto',
  warmupMs: 3_000,
  settleMs: 60_000,
  slow: 0,
  churn: 0,
  workers: 'auto',
  perProcess: 18_000,
  addresses: 'auto',
  server: undefined,
  settings: [],
};

test.each([1, 7, 999, 17_999, 18_001, 100_003, 1_000_000])('%i connections are all of them', (connections) => {
  const plan = planRun({ ...asked, connections }, machine);
  expect(plan.receivers.reduce((sum, one) => sum + one, 0)).toBe(connections);
  expect(Math.max(...plan.receivers)).toBeLessThanOrEqual(18_000);
  expect(Math.max(...plan.receivers) - Math.min(...plan.receivers)).toBeLessThanOrEqual(1);
  expect(plan.sources.length * 2_000).toBeGreaterThanOrEqual(connections);
  expect(new Set(plan.sources).size).toBe(plan.sources.length);
  expect(plan.workers).toBe(plan.receivers.length);
});

test('a machine that cannot is told, with the limit in the way and how far it goes', () => {
  const tries: [Partial<BenchOptions>, Partial<Machine>, string][] = [
    [{}, { availableBytes: 4 * 1024 ** 3 }, 'memory'],
    [{}, { files: 100_000 }, 'open files (fs.file-max)'],
    [{ workers: 1 }, {}, 'descriptors of a server process (LimitNOFILE)'],
  ];
  for (const [options, here, limit] of tries) {
    const given = { ...machine, ...here };
    try {
      planRun({ ...asked, ...options }, given);
      expect.fail('it was planned');
    } catch (error) {
      expect(error).toBeInstanceOf(ImgoError);
      const { code, details, exit } = error as ImgoError;
      expect([code, details.limit, exit]).toEqual(['bench_too_big', limit, 5]);
      const holds = Number(details.holds);
      expect(holds).toBeGreaterThan(0);
      expect(planRun({ ...asked, ...options, connections: holds }, given).connections).toBe(holds);
    }
  }
});
