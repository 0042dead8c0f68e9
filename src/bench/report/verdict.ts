/** What a run comes to, in words that its summary and its report share: was it held, can it be trusted, what does it say. */
import { exitStatus } from '../assertions.js';
import type { BenchResult } from '../figures.js';
import { count, counted, short, time } from '../numbers.js';
import type { BenchPlan } from '../plan.js';

export interface Verdict {
  readonly kind: 'held' | 'failed' | 'untrusted' | 'cut';
  /** One sentence. */
  readonly words: string;
}

export function verdictOf(result: BenchResult): Verdict {
  const { assertions, cutShort, client } = result;
  const failed = assertions.filter(({ holds }) => !holds);
  const all = counted(assertions.length, 'assertion', 'assertions');
  if (failed.length > 0) return { kind: 'failed', words: `${count(failed.length)} of ${all} failed.` };
  if (cutShort !== null) return { kind: 'cut', words: 'Cut short: the figures are of what there was until then.' };
  const held = assertions.length === 1 ? 'The assertion holds' : `All ${all} hold`;
  if (exitStatus(result) !== 0) return { kind: 'untrusted', words: `${held}, but the harness was the bottleneck.` };
  const limits = client.saturated.is ? ' The harness was at its limit, which none of them depends on.' : '';
  return { kind: 'held', words: `${held}.${limits}` };
}

/** What was in the way, and which figures hold nevertheless. */
export function limitOf({ client }: BenchResult): string {
  if (!client.saturated.is) return 'none was met: every figure holds.';
  return 'the machine and its clients, not the server. Good: integrity, memory, work per cpu·s. Not good: latency, rate.';
}

/** `room · 1,000,000 tcp connections · 40 msg/s for 60 s`: what was asked for. */
export function titleOf(plan: BenchPlan): string {
  const { mode, connections, transport, dialect, durationMs, rooms, churn, slow } = plan;
  const spoken = dialect === 'imgo' ? transport : `${transport} ${dialect}`;
  const parts = [
    rooms > 1 && (mode === 'room' || mode === 'mix') ? `${mode} × ${count(rooms)}` : mode,
    mode === 'http'
      ? `${counted(connections, 'connection', 'connections')} in a closed loop`
      : counted(connections, `${spoken} connection`, `${spoken} connections`),
    hasMessages(plan) ? `${short(plan.rate)} msg/s for ${time(durationMs)}` : `for ${time(durationMs)}`,
  ];
  if (churn > 0) parts.push(`${Number((churn * 100).toFixed(2))} % a second come and go`);
  if (slow > 0) parts.push(`${Number((slow * 100).toFixed(2))} % do not read`);
  return parts.join(' · ');
}

/** Messages are offered at a rate. */
export function hasMessages({ mode }: BenchPlan): boolean {
  return mode === 'room' || mode === 'user' || mode === 'all' || mode === 'mix';
}

/** How the audit was done, as one clause. */
export function auditOf({ audit }: BenchResult): string {
  const ways = [
    [audit.byBoundaries, 'by frame boundaries'],
    [audit.byNumber, 'by the number of each message'],
    [audit.byPayload, 'by whole payloads'],
  ] as const;
  const done = ways.filter(([connections]) => connections > 0);
  if (done.length === 0) return 'no connection was audited';
  const [[first, how], ...others] = done as [(typeof ways)[number], ...(typeof ways)[number][]];
  const rest = others.map(([connections, by]) => `${count(connections)} ${by}`);
  return [`${counted(first, 'connection', 'connections')} ${how}`, ...rest].join(', ');
}

/** Counts by reason, the largest first. */
export function byReason(counts: Readonly<Record<string, number>>): readonly (readonly [string, number])[] {
  return Object.entries(counts)
    .filter(([, times]) => times > 0)
    .sort(([a, x], [b, y]) => y - x || a.localeCompare(b));
}

/** Messages a second that were offered and accepted while it was measured; those to warm up left out. */
export function pushRates({ offered, accepted, warmup, seconds }: BenchResult): {
  readonly offered: number;
  readonly accepted: number;
} {
  const measured = Math.max(seconds.measure, 1e-3);
  return { offered: (offered - warmup.offered) / measured, accepted: (accepted - warmup.accepted) / measured };
}
