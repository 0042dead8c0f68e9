// A run without a terminal: one plain line a second, the same figures as in the view, in an order that can be searched.

import { count, percent, short, size, time } from '../../bench/numbers.js';
import type { BenchPlan } from '../../bench/plan.js';
import type { Moment } from './track.js';

/** The lines of a moment, without their ends. */
export function progressLines(moment: Moment, plan: BenchPlan): readonly string[] {
  return [[moment.phase.toUpperCase(), ...words(moment, plan)].join('  ')];
}

function words(moment: Moment, plan: BenchPlan): readonly string[] {
  const { phase, phaseSeconds, leftMs, latencyMs, server, client, machine } = moment;
  const errors = moment.errors.map(([reason, n]) => `${reason} ${count(n)}`);
  const marks = moment.marks.length === 0 ? [] : [`▲ ${moment.marks.join(', ')}`];
  const memory = size(server.rssBytes + client.rssBytes);
  if (phase === 'connect') {
    const left = leftMs === undefined ? [] : [`${time(leftMs)} left`];
    const open = `${count(moment.open)} / ${count(plan.connections)}`;
    return [open, `${short(moment.connectsPerSecond)}/s`, ...left, memory, ...errors, ...marks];
  }
  const took = `${Math.round(phaseSeconds)} s`;
  if (phase !== 'warmup' && phase !== 'measure' && phase !== 'settle') return [took, memory, ...errors, ...marks];
  const all = { warmup: plan.warmupMs, measure: plan.durationMs, settle: plan.settleMs }[phase];
  return [
    `${took} / ${phase === 'settle' ? 'at most ' : ''}${time(all)}`,
    `offered ${short(moment.offeredPerSecond)}/s`,
    `accepted ${short(moment.acceptedPerSecond)}/s`,
    `delivered ${short(moment.deliveredPerSecond)}/s`,
    ...(latencyMs === null ? [] : [`p50 ${time(latencyMs.p50)}`, `p99 ${time(latencyMs.p99)}`]),
    `server ${server.cores.toFixed(2)} core`,
    `client ${client.cores.toFixed(2)} core`,
    `idle ${percent(machine.idle)}`,
    memory,
    ...errors,
    ...marks,
  ];
}
