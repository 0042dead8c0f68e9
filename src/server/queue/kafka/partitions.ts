// Which partition carries which buckets: bucket modulo the number of partitions, which is fixed when the topic is made.
// Passed to the broker explicitly; no client's own partitioner has a say.

import { BUCKETS } from '../../store/buckets.js';

export function partitionOf(bucket: number, partitions: number): number {
  return bucket % partitions;
}

/** In ascending order. */
export function bucketsOf(partition: number, partitions: number): readonly number[] {
  const buckets: number[] = [];
  for (let bucket = partition; bucket < BUCKETS; bucket += partitions) buckets.push(bucket);
  return buckets;
}
