// /metrics in Prometheus' format, made when it is asked for from what the roles count anyway. Labels are bounded: nodes,
// dialects, codes and reasons of the tables; never a user, room or session.

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Queue } from '../queue/queue.js';
import type { CometStats } from '../rpc/services.js';
import type { Buckets } from '../store/buckets.js';
import { type Acceptor, LATENCY_BOUNDS_MS } from './accept.js';

export interface MetricSources {
  readonly acceptor: Acceptor;
  readonly queue: Queue;
  readonly buckets: Buckets;
  /** HTTP connections that were closed at once. */
  readonly connections: { readonly refused: number };
  /** Connections that were cut because a body took too long. */
  readonly slowBodies: { readonly cut: number };
  /** What the job of this process did, by name; undefined: none runs here. */
  readonly job?: (() => Readonly<Record<string, number>>) | undefined;
}

/** Metrics of one server. */
export class Metrics {
  readonly #sources: MetricSources;
  /** This process: CPU, memory, event loop, collections. */
  readonly #process = new Registry();

  constructor(sources: MetricSources) {
    this.#sources = sources;
    collectDefaultMetrics({ register: this.#process });
  }

  readonly contentType = this.#process.contentType;

  /** Lets go of what observes the process. */
  stop(): void {
    this.#process.clear();
  }

  async text(comets: Iterable<CometStats>): Promise<string> {
    const scrape = new Scrape();
    this.#push(scrape);
    this.#queue(scrape);
    this.#store(scrape);
    const { refused } = this.#sources.connections;
    scrape.counter('imgo_http_refused_connections_total', 'Connections closed at once: there were too many', refused);
    const { cut } = this.#sources.slowBodies;
    scrape.counter('imgo_http_slow_bodies_total', 'Connections closed because a body took too long', cut);
    for (const [event, count] of Object.entries(this.#sources.job?.() ?? {})) {
      scrape.counter('imgo_job_events_total', 'What the job did, by kind', count, { event: metricName(event) });
    }
    for (const stats of comets) comet(scrape, stats);
    const [own, other] = await Promise.all([scrape.registry.metrics(), this.#process.metrics()]);
    return `${own}${latencyText(this.#sources.acceptor)}\n${other}`;
  }

  #push(scrape: Scrape): void {
    const { accepted, refused } = this.#sources.acceptor.counters;
    for (const [target, count] of Object.entries(accepted)) {
      scrape.counter('imgo_push_accepted_total', 'Messages accepted', count, { target });
    }
    for (const [code, count] of Object.entries(refused)) {
      scrape.counter('imgo_push_refused_total', 'Messages refused, or unknown, by error code', count, { code });
    }
  }

  #queue(scrape: Scrape): void {
    const stats = this.#sources.queue.stats();
    scrape.gauge('imgo_queue_waiting', 'Messages accepted and not applied yet', stats.waiting);
    scrape.gauge('imgo_queue_waiting_bytes', 'Their bytes', stats.waitingBytes);
    scrape.gauge('imgo_queue_oldest_seconds', 'Age of the oldest of them', stats.oldestMs / 1_000);
    scrape.counter('imgo_queue_accepted_total', 'Messages that the queue took', stats.accepted);
    for (const [code, count] of Object.entries(stats.refused)) {
      scrape.counter('imgo_queue_refused_total', 'Messages that the queue refused', count, { code });
    }
    for (const [reason, count] of Object.entries(stats.dropped)) {
      scrape.counter('imgo_queue_dropped_total', 'Ephemeral messages dropped', count, { reason });
    }
  }

  #store(scrape: Scrape): void {
    const { writable, freeBytes, usedBytes, counters } = this.#sources.buckets.health();
    scrape.gauge('imgo_store_writable', '1 while messages can be kept', writable ? 1 : 0);
    scrape.gauge('imgo_store_used_bytes', 'Bytes that the store uses', usedBytes);
    if (freeBytes !== undefined) scrape.gauge('imgo_store_free_bytes', 'Bytes free for it', freeBytes);
    for (const [event, count] of Object.entries(counters)) {
      scrape.counter('imgo_store_events_total', 'What the store did, by kind', count, { event });
    }
  }
}

function comet(scrape: Scrape, stats: CometStats): void {
  const { node } = stats;
  scrape.gauge('imgo_comet_connections', 'Open connections', stats.connections, { node });
  for (const [dialect, count] of Object.entries(stats.byDialect)) {
    scrape.gauge('imgo_comet_sessions', 'Authenticated sessions', count, { node, dialect });
  }
  scrape.gauge('imgo_comet_topics', 'Rooms with members, and all', stats.topics.length, { node });
  scrape.gauge('imgo_comet_resident_memory_bytes', 'Resident memory', stats.rssBytes, { node });
  scrape.gauge('imgo_comet_loop_delay_p99_seconds', 'Event loop delay', stats.loopP99Ms / 1_000, { node });
  scrape.counter('imgo_comet_cpu_seconds_total', 'CPU time', stats.cpuSeconds, { node });
  for (const [name, count] of Object.entries(stats.counters)) {
    scrape.counter(`imgo_comet_${metricName(name)}_total`, `Counted by comets: ${name}`, count, { node });
  }
  for (const [reason, count] of Object.entries(stats.reasons)) {
    scrape.counter('imgo_comet_reasons_total', 'Drops and closes by reason', count, { node, reason });
  }
}

function metricName(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/[^a-zA-Z0-9_]/g, '_')
    .toLowerCase();
}

/** A histogram that was counted by hand: one array, no labels. */
function latencyText(acceptor: Acceptor): string {
  const name = 'imgo_push_accept_seconds';
  const lines = [`# HELP ${name} From a valid push to its acceptance`, `# TYPE ${name} histogram`];
  let sum = 0;
  for (const [index, bound] of LATENCY_BOUNDS_MS.entries()) {
    sum += acceptor.latency.counts[index] ?? 0;
    lines.push(`${name}_bucket{le="${bound / 1_000}"} ${sum}`);
  }
  sum += acceptor.latency.counts[LATENCY_BOUNDS_MS.length] ?? 0;
  lines.push(
    `${name}_bucket{le="+Inf"} ${sum}`,
    `${name}_sum ${acceptor.latency.sumMs / 1_000}`,
    `${name}_count ${sum}`,
  );
  return `${lines.join('\n')}\n`;
}

/** The metrics of one answer: made, filled, forgotten. */
class Scrape {
  readonly registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();

  counter(name: string, help: string, value: number, labels: Readonly<Record<string, string>> = {}): void {
    let metric = this.#counters.get(name);
    if (metric === undefined) {
      metric = new Counter({ name, help, labelNames: Object.keys(labels), registers: [this.registry] });
      this.#counters.set(name, metric);
    }
    metric.inc(labels, value);
  }

  gauge(name: string, help: string, value: number, labels: Readonly<Record<string, string>> = {}): void {
    let metric = this.#gauges.get(name);
    if (metric === undefined) {
      metric = new Gauge({ name, help, labelNames: Object.keys(labels), registers: [this.registry] });
      this.#gauges.set(name, metric);
    }
    metric.set(labels, value);
  }
}
