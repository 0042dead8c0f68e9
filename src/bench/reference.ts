/**
 * What this machine can do at all: the plan of a run against bare sockets with no server code behind them. The clients are the
 * run's own; only the CPU of the bare server's processes is looked at. A sample is smaller, and of its three rounds the median
 * counts, so that a moment's noise does not decide; the whole is as large and as long as the run, once.
 */
import { isPlayed, oneRound, type Round, type Sized, type Writing } from './bare/round.js';
import { type Expectation, messagesPerFlush } from './expectation.js';
import type { BenchResult, ReferenceResult } from './figures.js';
import { addUp, percentilesOf } from './latencies.js';
import { shares } from './layout.js';
import { now } from './now.js';
import type { BenchPlan } from './plan.js';

/** What was found, before it is compared with anything. */
export type Reference = Omit<ReferenceResult, 'ratios'>;

/** How much of the plan bare sockets do. */
export type ReferenceExtent = 'sample' | 'whole';

/** Of a sample: more would take longer than some seconds; processes become fewer in proportion, so that each holds as many as in the run. */
const MOST_CONNECTIONS = 20_000;
const SAMPLE_ROUNDS = 3;

/**
 * `writing`: as the run did it; undefined: as its plan expects. undefined: there is nothing to compare (no connections, or
 * it was aborted). @throws ImgoError internal: a process ended, or the bare server could not be reached
 */
export async function runReference(
  plan: BenchPlan,
  signal: AbortSignal,
  writing: Writing | undefined = expected(plan.expectation),
  extent: ReferenceExtent = 'sample',
): Promise<Reference | undefined> {
  const sized = sizedFor(plan, writing, extent);
  if (sized.connections === 0 || plan.mode === 'http') return undefined;
  const from = now();
  const wanted = sized.whole ? 1 : SAMPLE_ROUNDS;
  const rounds: Round[] = [];
  while (rounds.length < wanted && !signal.aborted) rounds.push(await oneRound(sized, signal));
  if (signal.aborted) return undefined;
  const sum = (of: (round: Round) => number) => rounds.reduce((total, round) => total + of(round), 0);
  const middle = (of: (round: Round) => number) => rounds.map(of).sort((a, b) => a - b)[Math.floor(wanted / 2)] ?? 0;
  const flushes = sum((round) => round.flushes);
  const latencies = addUp(rounds.map((round) => round.latencies));
  return {
    connections: sized.connections,
    seconds: (now() - from) / 1_000,
    flushes,
    flushBytes: flushes === 0 ? 0 : sum(({ bytes }) => bytes) / flushes,
    flushesPerCpuSecond: middle((round) => perCpuSecond(round.flushes, round.flushCpuSeconds)),
    deliveriesPerCpuSecond: middle((round) => perCpuSecond(round.messages, round.flushCpuSeconds)),
    connectsPerCpuSecond: middle((round) => perCpuSecond(round.connected, round.connectCpuSeconds)),
    latencyMs: latencies.length === 0 ? null : percentilesOf(latencies),
    settleSeconds: sized.whole ? sum((round) => round.settleSeconds) : null,
  };
}

/** A run with bare sockets beside it, written to as the run did. Without them it stays as it is, and says why. */
export async function withReference(
  result: BenchResult,
  signal: AbortSignal,
  extent: ReferenceExtent,
): Promise<BenchResult> {
  const { delivered, warmup, seconds, server, plan } = result;
  const writing: Writing | undefined =
    server.flushes === 0
      ? expected(plan.expectation)
      : {
          flushesPerSecond: server.flushes / Math.max(1e-3, seconds.measure + seconds.settle),
          messagesPerFlush: (delivered - warmup.delivered) / server.flushes,
        };
  try {
    const reference = await runReference(plan, signal, writing, extent);
    if (reference === undefined) return result;
    return { ...result, reference: { ...reference, ratios: ratiosOf(reference, result) } };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { ...result, notes: [...result.notes, `bare sockets could not be measured: ${why}`] };
  }
}

/** The run's figures to the bare ones. null: one of the two does not have it. */
export function ratiosOf(
  reference: Reference,
  {
    server,
    connections,
    latencyMs,
    seconds,
  }: Pick<BenchResult, 'server' | 'connections' | 'latencyMs'> & { readonly seconds: { readonly settle: number } },
): ReferenceResult['ratios'] {
  const bareMs = reference.latencyMs ?? { p50: 0, p99: 0 };
  const ratio = (ours: number, bare: number) => (ours > 0 && bare > 0 ? ours / bare : null);
  return {
    flushes: ratio(server.flushesPerCpuSecond, reference.flushesPerCpuSecond),
    deliveries: ratio(server.deliveriesPerCpuSecond, reference.deliveriesPerCpuSecond),
    connects: ratio(connections.perCpuSecond, reference.connectsPerCpuSecond),
    p50: ratio(latencyMs.p50, bareMs.p50),
    p99: ratio(latencyMs.p99, bareMs.p99),
    settle: ratio(seconds.settle, reference.settleSeconds ?? 0),
  };
}

function expected(expectation: Expectation | undefined): Writing | undefined {
  if (expectation === undefined) return undefined;
  const { wanted, possible } = expectation;
  return { flushesPerSecond: Math.min(wanted, possible), messagesPerFlush: messagesPerFlush(expectation) };
}

function perCpuSecond(done: number, cpuSeconds: number): number {
  return cpuSeconds > 0 ? done / cpuSeconds : 0;
}

function sizedFor(plan: BenchPlan, writing: Writing | undefined, extent: ReferenceExtent): Sized {
  const processes = plan.workers === 0 ? plan.receivers.length : plan.workers;
  // Of a server that is not the run's own nobody knows how many processes it has: as many as there are clients.
  const all = { plan, connections: plan.connections, servers: processes, receivers: plan.receivers, writing };
  const whole = { ...all, whole: true };
  if (extent === 'whole' && isPlayed(whole)) return whole;
  const connections = Math.min(plan.connections, MOST_CONNECTIONS);
  const share = connections / Math.max(1, plan.connections);
  const fewer = (count: number) => Math.max(1, Math.ceil(count * share));
  return {
    plan,
    connections,
    servers: fewer(processes),
    receivers: shares(connections, fewer(plan.receivers.length)),
    writing: writing === undefined ? undefined : { ...writing, flushesPerSecond: writing.flushesPerSecond * share },
    whole: false,
  };
}
