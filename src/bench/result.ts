/** What a run found: the object that `--json` prints, and the texts of its plan, its progress and its summary. */
import type { FleetAudit, FleetFigures } from './fleet.js';
import type { Machine } from './machine.js';
import type { BenchPlan } from './plan.js';

/** What is measured, as it goes. */
export interface BenchProgress {
  readonly phase: 'connect' | 'measure' | 'settle';
  /** Of the phase; 0 at its start. */
  readonly seconds: number;
  readonly offered: number;
  readonly accepted: number;
  readonly clients: FleetFigures;
  readonly server: { readonly cpuSeconds: number; readonly rssBytes: number };
}

export interface BenchResult {
  readonly plan: BenchPlan;
  readonly connections: {
    readonly target: number;
    readonly open: number;
    readonly failed: Readonly<Record<string, number>>;
    readonly seconds: number;
  };
  /** Messages that were due, that the server took, and that it refused or did not answer. */
  readonly offered: number;
  readonly accepted: number;
  readonly unknown: number;
  /** Of all connections together. */
  readonly delivered: number;
  /** Delivered of accepted times connections, 0 to 1. */
  readonly completeness: number;
  readonly lost: number;
  readonly duplicates: number;
  /** Of the sampled connections. */
  readonly outOfOrder: number;
  readonly sampled: number;
  /** Of the sampled connections, from when a message was due. */
  readonly latencyMs: Readonly<Record<'p50' | 'p90' | 'p99' | 'p999' | 'max', number>>;
  readonly measureSeconds: number;
  readonly settleSeconds: number;
  readonly server: {
    readonly cpuSeconds: number;
    readonly rssBytes: number;
    readonly bytesPerConnection: number;
    readonly deliveriesPerCpuSecond: number;
    readonly flushesPerCpuSecond: number;
  };
  readonly client: {
    readonly cpuSeconds: number;
    readonly rssBytes: number;
    readonly saturated: { readonly is: boolean; readonly reasons: readonly string[] };
  };
  readonly assertions: readonly { readonly text: string; readonly holds: boolean; readonly value: string }[];
  readonly versions: { readonly imgo: string; readonly node: string };
  readonly machine: Machine;
}

/** The value below which a share of all latencies lies; [ms, count] in order. */
export function percentile(latencies: FleetAudit['latencies'], share: number): number {
  let all = 0;
  for (const [, count] of latencies) all += count;
  let seen = 0;
  for (const [ms, count] of latencies) {
    seen += count;
    if (seen >= all * share) return ms;
  }
  return 0;
}

/** What the plan says before the first socket. */
export function planLines(plan: BenchPlan, machine: Machine): readonly string[] {
  const { connections, rate, durationMs, workers, receivers, sources, needsBytes, needsFiles } = plan;
  return [
    `PLAN  room · ${count(connections)} tcp connections · ${rate} msg/s for ${durationMs / 1_000} s · memory store`,
    `  server   ${workers} ${workers === 1 ? 'process' : 'worker processes'}     client  ${receivers.length} × ${count(receivers[0] ?? 0)}`,
    `  ports    ${sources.length} loopback ${sources.length === 1 ? 'address' : 'addresses'}`,
    `  needs    ${gib(needsBytes)} of ${gib(machine.availableBytes)} GiB free · ${count(needsFiles)} files · ${workers + receivers.length} processes`,
  ];
}

/** One line of a run that goes on. */
export function progressLine(progress: BenchProgress, before: BenchProgress | undefined, plan: BenchPlan): string {
  const { phase, clients, server, seconds } = progress;
  const failed = Object.entries(clients.failed).map(([reason, n]) => `${reason} ${n}`);
  const memory = `${gib(clients.rssBytes + server.rssBytes)} GiB`;
  if (phase === 'connect') {
    const rate = clients.open - (before?.clients.open ?? 0);
    return `CONNECT  ${count(clients.open)} / ${count(plan.connections)}  ${count(rate)}/s  ${failed.join('  ')}  ${memory}`;
  }
  const delivered = clients.received - (before?.clients.received ?? 0);
  const cores = (now: number, then: number) => Math.max(0, now - then).toFixed(2);
  const used = `server ${cores(server.cpuSeconds, before?.server.cpuSeconds ?? 0)} core  client ${cores(clients.cpuSeconds, before?.clients.cpuSeconds ?? 0)} core`;
  const words = [
    `${phase.toUpperCase()}  ${Math.round(seconds)} s`,
    `accepted ${progress.accepted} of ${progress.offered}`,
  ];
  return [...words, `delivered ${count(delivered)}/s`, used, ...failed, memory].join('  ');
}

/** The summary. */
export function resultLines(result: BenchResult): readonly string[] {
  const { connections, latencyMs, server, client } = result;
  const failed = Object.entries(connections.failed).map(([reason, n]) => ` · ${reason} ${count(n)}`);
  const ms = (value: number) => (value >= 1_000 ? `${(value / 1_000).toFixed(1)} s` : `${value} ms`);
  const head = client.saturated.is ? [`▲ the harness was at its limit: ${client.saturated.reasons.join(', ')}`] : [];
  return [
    ...head,
    `RESULT   connected ${count(connections.open)} of ${count(connections.target)} in ${connections.seconds.toFixed(1)} s${failed.join('')} · accepted ${result.accepted} of ${result.offered} · settled in ${result.settleSeconds.toFixed(1)} s`,
    `  integrity  ${count(result.delivered)} of ${count(result.accepted * connections.open)} · lost ${result.lost} · duplicate ${result.duplicates} (every connection, by frame boundaries) · disorder ${result.outOfOrder} (payloads of ${result.sampled})`,
    `  latency    p50 ${ms(latencyMs.p50)}  p90 ${ms(latencyMs.p90)}  p99 ${ms(latencyMs.p99)}  p99.9 ${ms(latencyMs.p999)}  max ${ms(latencyMs.max)}  from when due, not when sent`,
    `  server     ${server.cpuSeconds.toFixed(1)} cpu·s · ${(server.deliveriesPerCpuSecond / 1e6).toFixed(2)} M deliveries/cpu·s · ${count(server.flushesPerCpuSecond)} flushes/cpu·s · ${(server.bytesPerConnection / 1_024).toFixed(1)} KiB a session`,
    `  client     ${client.cpuSeconds.toFixed(1)} cpu·s · saturated: ${client.saturated.is ? client.saturated.reasons.join(', ') : 'no'}`,
    `  ${result.assertions.map(({ text, holds, value }) => `${holds ? '✓' : '✗'} ${text}${holds ? '' : ` (${value})`}`).join('  ')}`,
  ];
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function gib(bytes: number): string {
  return (bytes / 1024 ** 3).toFixed(1);
}
