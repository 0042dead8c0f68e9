// What nodes say, added up: counts by name, what all logics took, what waits for all jobs.

import type { Queue, QueueStats } from '../queue/queue.js';
import type { NodeReport } from '../rpc/services.js';
import type { AcceptCounters } from './accept.js';

/** Counts by name, of all of them. */
export function sumOf(parts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const part of parts) {
    for (const [name, count] of Object.entries(part)) total[name] = (total[name] ?? 0) + count;
  }
  return total;
}

/** The sum of all counts. */
export function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** What all logics took; what this one did where none reports. */
export function pushedOver(
  { counters }: { readonly counters: AcceptCounters },
  reports: readonly NodeReport[],
): { readonly accepted: Record<string, number>; readonly refused: Record<string, number> } {
  const all = reports.flatMap((report) => report.push ?? []);
  const said = all.length === 0 ? [counters as Pick<NonNullable<NodeReport['push']>, 'accepted' | 'refused'>] : all;
  return { accepted: sumOf(said.map(({ accepted }) => accepted)), refused: sumOf(said.map(({ refused }) => refused)) };
}

/** What waits for any job: each sees its part. */
export function waitingOver(queue: Pick<Queue, 'stats'>, reports: readonly NodeReport[]): QueueStats {
  const all = reports.flatMap((report) => report.queue ?? []);
  if (all.length === 0) return queue.stats();
  const lags = all.flatMap(({ lag }) => lag ?? []);
  return {
    waiting: all.reduce((sum, one) => sum + one.waiting, 0),
    waitingBytes: all.reduce((sum, one) => sum + one.waitingBytes, 0),
    oldestMs: Math.max(...all.map(({ oldestMs }) => oldestMs)),
    accepted: all.reduce((sum, one) => sum + one.accepted, 0),
    refused: sumOf(all.map(({ refused }) => refused)),
    dropped: sumOf(all.map(({ dropped }) => dropped)),
    ...(lags.length === 0 ? {} : { lag: lags.reduce((sum, lag) => sum + lag, 0) }),
    counters: sumOf(all.map(({ counters }) => counters ?? {})),
  };
}
