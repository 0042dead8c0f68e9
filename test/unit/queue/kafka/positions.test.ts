// Where a job starts to read.
import { expect, test } from 'vitest';
import { bucketsOf, partitionOf } from '../../../../src/server/queue/kafka/partitions.js';
import { startOf } from '../../../../src/server/queue/kafka/positions.js';
import { BUCKETS } from '../../../../src/server/store/buckets.js';

test.each([
  ['the store lost writes', { next: 5, committed: 9, low: 0, high: 20 }, 5],
  ['a job died before it had told the comets', { next: 9, committed: 5, low: 0, high: 20 }, 5],
  ['nothing was ever committed', { next: 9, committed: undefined, low: 0, high: 20 }, 0],
  ['the commits are gone, and so is what was applied long ago', { next: 9, committed: undefined, low: 7, high: 20 }, 7],
  ['all is applied and gone', { next: 9, committed: 9, low: 9, high: 9 }, 9],
  ['what was not applied is gone', { next: 6, committed: 9, low: 7, high: 20 }, 'lost'],
  ['the topic ends before the marks', { next: 21, committed: 9, low: 0, high: 20 }, 'truncated'],
  ['the topic ends before the commit', { next: 9, committed: 21, low: 0, high: 20 }, 'truncated'],
  ['a new topic', { next: 0, committed: undefined, low: 0, high: 0 }, 0],
])('%s', (_name, given, start) => {
  expect(startOf(given)).toBe(start);
});

test('every bucket is of one partition', () => {
  for (const partitions of [1, 3, 64, 1_024]) {
    const all = Array.from({ length: partitions }, (_, partition) => bucketsOf(partition, partitions));
    expect(all.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: BUCKETS }, (_, bucket) => bucket));
    for (const [partition, buckets] of all.entries()) {
      for (const bucket of buckets) expect(partitionOf(bucket, partitions)).toBe(partition);
    }
  }
});
