/** The texts of a run: its plan, its progress and its summary. */
import type { BenchResult, BenchSample } from './figures.js';
import type { Machine } from './machine.js';
import type { BenchPlan } from './plan.js';

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
export function progressLine(sample: BenchSample, before: BenchSample | undefined, plan: BenchPlan): string {
  const { phase, client, server } = sample;
  const failed = Object.entries(sample.failed).map(([reason, n]) => `${reason} ${n}`);
  const memory = `${gib(client.rssBytes + server.rssBytes)} GiB`;
  if (phase === 'connect') {
    const rate = sample.open - (before?.open ?? 0);
    return `CONNECT  ${count(sample.open)} / ${count(plan.connections)}  ${count(rate)}/s  ${failed.join('  ')}  ${memory}`;
  }
  const delivered = sample.delivered - (before?.delivered ?? 0);
  const cores = (now: number, then: number) => Math.max(0, now - then).toFixed(2);
  const used = `server ${cores(server.cpuSeconds, before?.server.cpuSeconds ?? 0)} core  client ${cores(client.cpuSeconds, before?.client.cpuSeconds ?? 0)} core`;
  const words = [
    `${phase.toUpperCase()}  ${Math.round(sample.phaseSeconds)} s`,
    `accepted ${sample.accepted} of ${sample.offered}`,
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
    `RESULT   connected ${count(connections.open)} of ${count(connections.target)} in ${connections.seconds.toFixed(1)} s${failed.join('')} · accepted ${result.accepted} of ${result.offered} · settled in ${result.seconds.settle.toFixed(1)} s`,
    `  integrity  ${count(result.delivered)} of ${count(result.expected)} · lost ${result.lost} · duplicate ${result.duplicates} (every connection, by frame boundaries) · disorder ${result.outOfOrder} (payloads of ${result.audit.byPayload})`,
    `  latency    p50 ${ms(latencyMs.p50)}  p90 ${ms(latencyMs.p90)}  p99 ${ms(latencyMs.p99)}  p99.9 ${ms(latencyMs.p999)}  max ${ms(latencyMs.max)}  from when due, not when sent`,
    `  server     ${server.cpuSeconds.toFixed(1)} cpu·s · ${(server.deliveriesPerCpuSecond / 1e6).toFixed(2)} M deliveries/cpu·s · ${count(server.flushesPerCpuSecond)} flushes/cpu·s · ${(server.bytesPerConnection / 1_024).toFixed(1)} KiB a session`,
    `  client     ${client.cpuSeconds.toFixed(1)} cpu·s · saturated: ${client.saturated.is ? client.saturated.reasons.join(', ') : 'no'}`,
    `  ${result.assertions.map(({ text, holds, shown }) => `${holds ? '✓' : '✗'} ${text}${holds ? '' : ` (${shown})`}`).join('  ')}`,
  ];
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function gib(bytes: number): string {
  return (bytes / 1024 ** 3).toFixed(1);
}
