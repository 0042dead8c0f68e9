/**
 * /metrics of one node: this process, its roles, and the workers that hold its connections; nothing of other nodes, so that a
 * Prometheus that scrapes every node counts nothing twice. It is made when it is asked for, from what the roles count anyway.
 */
import { type Clock, pause } from '../clock.js';
import type { JobCounters } from '../job/counters.js';
import type { QueueStats } from '../queue/queue.js';
import { type CometService, type CometStats, NUMBERS_ONLY } from '../rpc/services.js';
import type { StoreHealth } from '../store/buckets.js';
import type { AlertCount } from './alarm.js';
import { workerOf, writeComet } from './comet-metrics.js';
import { type Buckets, Exposition } from './exposition.js';
import { ProcessFigures } from './process-figures.js';
import type { TraceCounters, TraceSink } from './traces.js';

/** What a logic counts in its HTTP side. */
export interface PushFigures {
  readonly accepted: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number | undefined>>;
  readonly acceptance: Buckets;
  readonly refusedConnections: number;
  readonly slowBodies: number;
}

/** Where a node has its figures; undefined: it has no such role. */
export interface MetricSources {
  readonly clock: Clock;
  readonly about: { readonly version: string; readonly node: string; readonly roles: readonly string[] };
  /** Codes of what keeps it from its work. */
  readonly problems: () => readonly string[];
  readonly push: () => PushFigures | undefined;
  readonly queue: () => QueueStats | undefined;
  readonly store: () => StoreHealth | undefined;
  readonly job: () => JobCounters | undefined;
  /** Of this process, where they are sent somewhere. */
  readonly spans: () => TraceSink['counters'] | undefined;
  /** As a logic judges the whole server. */
  readonly alerts: () => readonly AlertCount[] | undefined;
  readonly traces: () => Readonly<TraceCounters>;
  /** Of this node: its own, or those of its workers. */
  readonly comets: () => readonly CometService[];
}

/** How long a worker may take to answer; one that does not is left out. */
const WORKER_MS = 1_000;

/** The metrics of one node. */
export class Metrics {
  readonly #sources: MetricSources;
  readonly #process: ProcessFigures;

  constructor(sources: MetricSources) {
    this.#sources = sources;
    this.#process = new ProcessFigures(sources.clock);
  }

  /** The answer to one scrape. */
  async text(): Promise<string> {
    const { about, problems, push, queue, store, job, spans, alerts, traces, comets } = this.#sources;
    const stats = await Promise.all(comets().map((comet) => this.#ask(comet)));
    const to = new Exposition();
    const { version, node } = about;
    to.add('imgo_build_info', 1, { version, node_version: process.version, node, roles: about.roles.join(',') });
    const found = [...new Set(problems())];
    to.add('imgo_ready', found.length === 0 ? 1 : 0);
    for (const code of found) to.add('imgo_problem', 1, { code });
    this.#process.write(to);
    writePush(to, push());
    writeQueue(to, queue());
    writeStore(to, store());
    writeTraces(to, traces());
    writeJob(to, job());
    writeSpans(to, spans(), '0');
    for (const { code, severity, count } of alerts() ?? []) to.add('imgo_alert', count, { code, severity });
    for (const one of stats) {
      if (one === undefined) continue;
      writeComet(to, one);
      // Of this process they are told already.
      if (workerOf(one) !== '0') writeSpans(to, one.spans, workerOf(one));
    }
    return to.text();
  }

  /** Lets go of what observes the process. */
  stop(): void {
    this.#process.stop();
  }

  async #ask(comet: CometService): Promise<CometStats | undefined> {
    const answered = new AbortController();
    const answer = comet.stats({ ...NUMBERS_ONLY, sums: true }).catch(() => undefined);
    const first = await Promise.race([answer, pause(this.#sources.clock, WORKER_MS, answered.signal)]);
    answered.abort();
    return first ?? undefined;
  }
}

function writeSpans(to: Exposition, counters: TraceSink['counters'] | undefined, worker: string): void {
  if (counters === undefined) return;
  to.add('imgo_spans_exported_total', counters.exported, { worker });
  for (const [reason, count] of Object.entries(counters.dropped)) {
    to.add('imgo_spans_dropped_total', count, { worker, reason });
  }
}

function writePush(to: Exposition, figures: PushFigures | undefined): void {
  if (figures === undefined) return;
  for (const [target, count] of Object.entries(figures.accepted)) to.add('imgo_push_accepted_total', count, { target });
  for (const [code, count] of Object.entries(figures.refused)) to.add('imgo_push_refused_total', count, { code });
  to.histogram('imgo_push_accept_duration_seconds', figures.acceptance);
  to.add('imgo_http_refused_connections_total', figures.refusedConnections);
  to.add('imgo_http_slow_bodies_total', figures.slowBodies);
}

function writeQueue(to: Exposition, stats: QueueStats | undefined): void {
  if (stats === undefined) return;
  to.add('imgo_queue_waiting_messages', stats.waiting);
  to.add('imgo_queue_waiting_bytes', stats.waitingBytes);
  to.add('imgo_queue_oldest_age_seconds', stats.oldestMs / 1_000);
  to.add('imgo_queue_lag_messages', stats.lag);
  to.add('imgo_queue_accepted_total', stats.accepted);
  for (const [code, count] of Object.entries(stats.refused)) to.add('imgo_queue_refused_total', count, { code });
  for (const [reason, count] of Object.entries(stats.dropped)) to.add('imgo_queue_dropped_total', count, { reason });
  for (const [event, count] of Object.entries(stats.counters ?? {}))
    to.add('imgo_queue_events_total', count, { event });
}

function writeStore(to: Exposition, health: StoreHealth | undefined): void {
  if (health === undefined) return;
  to.add('imgo_store_writable', health.writable ? 1 : 0);
  to.add('imgo_store_used_bytes', health.usedBytes);
  to.add('imgo_store_free_bytes', health.freeBytes);
  for (const [event, count] of Object.entries(health.counters)) to.add('imgo_store_events_total', count, { event });
}

function writeTraces(to: Exposition, { marked, expired, evicted, stepsDropped }: Readonly<TraceCounters>): void {
  to.add('imgo_trace_messages_total', marked);
  to.add('imgo_trace_forgotten_total', expired, { reason: 'age' });
  to.add('imgo_trace_forgotten_total', evicted, { reason: 'bytes' });
  to.add('imgo_trace_forgotten_total', stepsDropped, { reason: 'steps' });
}

function writeJob(to: Exposition, counters: JobCounters | undefined): void {
  if (counters === undefined) return;
  const outcomes = {
    appended: counters.appended,
    repeated: counters.repeated,
    not_appended: counters.notAppended,
    gone: counters.gone,
    poison: counters.poison,
  };
  for (const [outcome, count] of Object.entries(outcomes)) to.add('imgo_job_records_total', count, { outcome });
  to.add('imgo_job_ephemeral_total', counters.ephemeral);
  to.add('imgo_job_ephemeral_lost_total', counters.ephemeralStale, { reason: 'stale' });
  to.add('imgo_job_ephemeral_lost_total', counters.ephemeralFailed, { reason: 'failed' });
  to.add('imgo_job_apply_failures_total', counters.applyFailures);
  to.add('imgo_job_store_behind_total', counters.behind);
  to.add('imgo_job_notifications_total', counters.notifications);
  to.add('imgo_job_frames_total', counters.frames, { state: 'sent' });
  to.add('imgo_job_frames_total', counters.acknowledged, { state: 'acknowledged' });
  to.add('imgo_job_frames_total', counters.resyncDropped, { state: 'backlog' });
  to.add('imgo_job_resyncs_total', counters.resyncUnacknowledged);
  to.add('imgo_job_comets_expired_total', counters.cometsExpired);
}
