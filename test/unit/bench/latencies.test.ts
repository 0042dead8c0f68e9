// Percentiles are of all that was counted, wherever it was counted.
import { expect, test } from 'vitest';
import { addUp, percentile, percentilesOf } from '../../../src/bench/latencies.js';

test('percentiles are taken of all, by their counts', () => {
  const latencies = [
    [1, 50],
    [5, 49],
    [900, 1],
  ] as const;
  expect([0.5, 0.51, 0.99, 0.999, 1].map((share) => percentile(latencies, share))).toEqual([1, 5, 5, 900, 900]);
  expect(percentilesOf([])).toEqual({ p50: 0, p90: 0, p99: 0, p999: 0, max: 0 });
});

test('counts of several processes are one count, in order', () => {
  const parts = [
    [
      [3, 1],
      [10, 2],
    ],
    [
      [2, 5],
      [10, 1],
    ],
  ] as const;
  expect(addUp(parts)).toEqual([
    [2, 5],
    [3, 1],
    [10, 3],
  ]);
  expect(addUp([])).toEqual([]);
});
