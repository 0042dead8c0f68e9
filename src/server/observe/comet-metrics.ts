// The figures of a comet as metrics. What it counts has plain names of its own (comet/counters.ts, comet/fan-out.ts); each
// stands here once, and a test finds any that does not.

import type { CometStats } from '../rpc/services.js';
import type { Exposition } from './exposition.js';
import { LATENCY_BOUNDS_MS } from './latency.js';
import type { MetricName } from './metric-table.js';

type Target = readonly [MetricName, Readonly<Record<string, string>>?];

/** Counters by the name that a comet gives them. */
export const COUNTERS: Readonly<Record<string, Target>> = {
  accepted: ['imgo_comet_accepted_total'],
  opened: ['imgo_comet_opened_total'],
  deliveries: ['imgo_comet_deliveries_total', { to: 'user' }],
  topics_deliveries: ['imgo_comet_deliveries_total', { to: 'room' }],
  ephemeral: ['imgo_comet_deliveries_total', { to: 'user_ephemeral' }],
  redelivered: ['imgo_comet_redelivered_total'],
  flushes: ['imgo_comet_writes_total'],
  topics_flushes: ['imgo_comet_room_writes_total'],
  bytes_out: ['imgo_comet_sent_bytes_total'],
  topics_bytes: ['imgo_comet_room_sent_bytes_total'],
  bytes_in: ['imgo_comet_received_bytes_total'],
  frames_in: ['imgo_comet_frames_received_total'],
  heartbeats: ['imgo_comet_heartbeats_total'],
  acks: ['imgo_comet_acknowledgements_total'],
  joins: ['imgo_comet_joins_total'],
  holds: ['imgo_comet_holds_total'],
  notifications: ['imgo_comet_notifications_total'],
  notified_again: ['imgo_comet_notified_again_total', { to: 'user' }],
  topics_duplicates: ['imgo_comet_notified_again_total', { to: 'room' }],
  gaps: ['imgo_comet_gaps_total', { in: 'session' }],
  topics_gaps_log: ['imgo_comet_gaps_total', { in: 'room' }],
  gaps_untold: ['imgo_comet_gaps_untold_total', { in: 'session' }],
  topics_gaps_untold: ['imgo_comet_gaps_untold_total', { in: 'room' }],
  topics_gaps_lag: ['imgo_comet_lag_gaps_total'],
  filtered: ['imgo_comet_filtered_total', { to: 'user' }],
  topics_filtered: ['imgo_comet_filtered_total', { to: 'room' }],
  reads: ['imgo_comet_log_reads_total', { of: 'user' }],
  topics_reads: ['imgo_comet_log_reads_total', { of: 'room' }],
  read_failures: ['imgo_comet_log_read_failures_total', { of: 'user' }],
  topics_read_errors: ['imgo_comet_log_read_failures_total', { of: 'room' }],
  read_behind: ['imgo_comet_reads_behind_total'],
  topics_holes: ['imgo_comet_holes_total'],
  topics_sweeps: ['imgo_comet_sweeps_total'],
  fences: ['imgo_comet_fences_total'],
  resyncs: ['imgo_comet_resyncs_total'],
  topics_lag_disconnects: ['imgo_comet_lag_disconnects_total'],
  topics_ephemeral_dropped: ['imgo_comet_dropped_total', { reason: 'ephemeral_room_catch_up' }],
  pins_evicted: ['imgo_comet_pins_evicted_total'],
  recovered_evicted: ['imgo_comet_recovered_evicted_total'],
};

/** Reasons by what they begin with; the rest is the label. */
export const REASONS: Readonly<Record<string, MetricName>> = {
  closed: 'imgo_comet_closed_total',
  refused: 'imgo_comet_refused_total',
  dropped: 'imgo_comet_dropped_total',
  ignored: 'imgo_comet_ignored_total',
  failed: 'imgo_comet_failures_total',
  fault: 'imgo_comet_faults_total',
};

/** Which worker a comet is; 0: the process itself. */
export function workerOf({ node }: Pick<CometStats, 'node'>): string {
  return node.split('/')[1] ?? '0';
}

/** One comet: of this process (worker 0), or of a worker. */
export function writeComet(to: Exposition, stats: CometStats): void {
  const worker = workerOf(stats);
  const labels = { worker };
  to.add('imgo_comet_connections', stats.connections, labels);
  for (const [kind, count] of Object.entries(stats.byDialect)) {
    const [dialect = '', transport = ''] = kind.split('-');
    to.add('imgo_comet_sessions', count, { worker, dialect, transport });
  }
  to.add('imgo_comet_draining', stats.draining ? 1 : 0, labels);
  to.add('imgo_comet_rooms', stats.topicCount, labels);
  to.add('imgo_comet_members', stats.sums?.members, labels);
  to.add('imgo_comet_lagging_members', stats.sums?.lagging, labels);
  to.add('imgo_comet_ring_bytes', stats.sums?.ringBytes, labels);
  const sweepMs = stats.sums?.slowestSweepMs;
  to.add('imgo_comet_slowest_sweep_seconds', sweepMs === undefined ? undefined : sweepMs / 1_000, labels);
  to.add('imgo_comet_resident_memory_bytes', stats.rssBytes, labels);
  to.add('imgo_comet_cpu_seconds_total', stats.cpuSeconds, labels);
  to.add('imgo_comet_eventloop_delay_p99_seconds', stats.loopP99Ms / 1_000, labels);
  to.add('imgo_comet_open_fds', stats.process?.descriptors.used || undefined, labels);
  to.add('imgo_comet_max_fds', stats.process?.descriptors.limit || Number.POSITIVE_INFINITY, labels);
  to.add('imgo_comet_max_connections', stats.capacity?.most, labels);
  to.add('imgo_comet_lagging_sessions', stats.lagging, labels);
  if (stats.took !== undefined) {
    const { counts, sumMs } = stats.took;
    const bounds = LATENCY_BOUNDS_MS.map((ms) => ms / 1_000);
    to.histogram('imgo_comet_delivery_duration_seconds', { bounds, counts, sumSeconds: sumMs / 1_000 }, labels);
  }
  for (const [name, [metric, more]] of Object.entries(COUNTERS)) {
    to.add(metric, stats.counters[name], { worker, ...more });
  }
  for (const [reason, count] of Object.entries(stats.reasons)) {
    const at = reason.indexOf('_');
    const metric = REASONS[reason.slice(0, at)];
    if (metric !== undefined) to.add(metric, count, { worker, reason: reason.slice(at + 1) });
  }
}
