// Where a partition begins and ends, what the group has committed, and where reading starts.

import type { Admin } from 'kafkajs';

export interface Ends {
  /** The first offset that is there. */
  readonly low: number;
  /** The offset that the next record gets. */
  readonly high: number;
}

/** By partition. */
export async function readEnds(admin: Admin, topic: string): Promise<ReadonlyMap<number, Ends>> {
  const offsets = await admin.fetchTopicOffsets(topic);
  return new Map(offsets.map(({ partition, low, high }) => [partition, { low: Number(low), high: Number(high) }]));
}

export interface Committed {
  readonly offset: number;
  readonly metadata: string | undefined;
}

/** By partition; those without a commit are missing. */
export async function readCommitted(
  admin: Admin,
  group: string,
  topic: string,
): Promise<ReadonlyMap<number, Committed>> {
  const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
  const committed = new Map<number, Committed>();
  for (const { partition, offset, metadata } of found?.partitions ?? []) {
    // Below 0 is none: also what a client writes that wants to begin anew.
    if (Number(offset) >= 0) committed.set(partition, { offset: Number(offset), metadata: metadata ?? undefined });
  }
  return committed;
}

/**
 * Where reading starts: `next` is the offset after the lowest mark of the partition's buckets. `lost`: Kafka deleted what
 * was never applied. `truncated`: the topic ends before what was applied or committed.
 */
export function startOf(given: Ends & { readonly next: number; readonly committed: number | undefined }) {
  const { next, committed = 0, low, high } = given;
  if (next > high || committed > high) return 'truncated';
  if (next < low) return 'lost';
  // What lies before the first record was applied: nobody can be told of it any more, but by reading its log.
  return Math.max(low, Math.min(next, committed));
}
