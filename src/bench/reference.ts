/**
 * What this machine can do at all: the plan of a run, smaller, against bare sockets with no server code behind them. The clients are
 * the run's own; only the CPU of the bare server's processes is looked at. Of three rounds the median counts, so that a moment's
 * noise does not decide.
 */
import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { ImgoError } from '../protocol/errors.js';
import { Op } from '../protocol/frame.js';
import { turned } from './addresses.js';
import type { BareCounts } from './bare/messages.js';
import type { Played } from './bare/play.js';
import { BareServers } from './bare/servers.js';
import { type Expectation, messagesPerFlush, WINDOW_MS } from './expectation.js';
import type { BenchResult, Latencies, ReferenceResult } from './figures.js';
import { Fleet } from './fleet.js';
import { addUp, percentilesOf } from './latencies.js';
import { shares } from './layout.js';
import type { ReceiverSetup } from './messages.js';
import { now } from './now.js';
import type { BenchPlan } from './plan.js';
import { turnMs } from './turns.js';
import { authReplyBytes, pushBytes } from './wire/served.js';

/** How a run wrote to its connections, where that is known: the bare server does it alike. */
export interface Writing {
  /** Of all connections together. */
  readonly flushesPerSecond: number;
  readonly messagesPerFlush: number;
}

/** What was found, before it is compared with anything. */
export type Reference = Omit<ReferenceResult, 'ratios'>;

/** More would take longer than some seconds; processes become fewer in proportion, so that each holds as many as in the run. */
const MOST_CONNECTIONS = 20_000;
const ROUNDS = 3;
const CONNECT_MS = 20_000;
const WARM_MS = 300;
const SWEEP_MS = 800;
/** What is played: at least this long and so many windows, and the first of it is in no latency. */
const PLAY_MS = 1_500;
const PLAY_WINDOWS = 4;
const PLAY_WARM_SHARE = 0.25;
const MOST_PLAY_MS = 5_000;
/** What was written last is read, and told. */
const PLAY_TELL_MS = 400;
const REPORT_MS = 100;
/** Connections whose messages are looked at one by one. */
const SAMPLED = 1_000;
const LOOK_MS = 20;
const CLOSE_MS = 3_000;
const UNDER_WAY = 400;
const MOST_UNDER_WAY = 2_000;

/**
 * `writing`: as the run did it; undefined: as its plan expects. undefined: there is nothing to compare (no connections, or
 * it was aborted). @throws ImgoError internal: a process ended, or the bare server could not be reached
 */
export async function runReference(
  plan: BenchPlan,
  signal: AbortSignal,
  writing: Writing | undefined = expected(plan.expectation),
): Promise<Reference | undefined> {
  const smaller = smallerOf(plan, writing);
  if (smaller.connections === 0 || plan.mode === 'http') return undefined;
  const from = now();
  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS && !signal.aborted; round++) rounds.push(await oneRound(smaller, signal));
  const whole = rounds.filter(({ complete }) => complete);
  if (whole.length < ROUNDS) return undefined;
  const sum = (of: (round: Round) => number) => whole.reduce((total, round) => total + of(round), 0);
  const middle = (of: (round: Round) => number) => whole.map(of).sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0;
  const flushes = sum((round) => round.flushes);
  const latencies = addUp(whole.map((round) => round.latencies));
  return {
    connections: smaller.connections,
    seconds: (now() - from) / 1_000,
    flushes,
    flushBytes: flushes === 0 ? 0 : sum(({ bytes }) => bytes) / flushes,
    flushesPerCpuSecond: middle((round) => perCpuSecond(round.flushes, round.flushCpuSeconds)),
    deliveriesPerCpuSecond: middle((round) => perCpuSecond(round.messages, round.flushCpuSeconds)),
    connectsPerCpuSecond: middle((round) => perCpuSecond(round.connected, round.connectCpuSeconds)),
    latencyMs: latencies.length === 0 ? null : percentilesOf(latencies),
  };
}

/** A run with bare sockets beside it, written to as the run did. Without them it stays as it is, and says why. */
export async function withReference(result: BenchResult, signal: AbortSignal): Promise<BenchResult> {
  const { delivered, warmup, seconds, server, plan } = result;
  const writing: Writing | undefined =
    server.flushes === 0
      ? expected(plan.expectation)
      : {
          flushesPerSecond: server.flushes / Math.max(1e-3, seconds.measure + seconds.settle),
          messagesPerFlush: (delivered - warmup.delivered) / server.flushes,
        };
  try {
    const reference = await runReference(plan, signal, writing);
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
  { server, connections, latencyMs }: Pick<BenchResult, 'server' | 'connections' | 'latencyMs'>,
): ReferenceResult['ratios'] {
  const bareMs = reference.latencyMs ?? { p50: 0, p99: 0 };
  const ratio = (ours: number, bare: number) => (ours > 0 && bare > 0 ? ours / bare : null);
  return {
    flushes: ratio(server.flushesPerCpuSecond, reference.flushesPerCpuSecond),
    deliveries: ratio(server.deliveriesPerCpuSecond, reference.deliveriesPerCpuSecond),
    connects: ratio(connections.perCpuSecond, reference.connectsPerCpuSecond),
    p50: ratio(latencyMs.p50, bareMs.p50),
    p99: ratio(latencyMs.p99, bareMs.p99),
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

/** The plan as it is run here. */
interface Smaller {
  readonly plan: BenchPlan;
  readonly connections: number;
  readonly servers: number;
  readonly receivers: readonly number[];
  readonly writing: Writing | undefined;
}

function smallerOf(plan: BenchPlan, writing: Writing | undefined): Smaller {
  const connections = Math.min(plan.connections, MOST_CONNECTIONS);
  const share = connections / Math.max(1, plan.connections);
  const fewer = (processes: number) => Math.max(1, Math.ceil(processes * share));
  return {
    plan,
    connections,
    // Of a server that is not the run's own nobody knows how many processes it has: as many as there are clients.
    servers: fewer(plan.workers === 0 ? plan.receivers.length : plan.workers),
    receivers: shares(connections, fewer(plan.receivers.length)),
    writing: writing === undefined ? undefined : { ...writing, flushesPerSecond: writing.flushesPerSecond * share },
  };
}

interface Round {
  readonly complete: boolean;
  readonly connected: number;
  readonly connectCpuSeconds: number;
  readonly flushes: number;
  readonly messages: number;
  readonly bytes: number;
  readonly flushCpuSeconds: number;
  readonly latencies: Latencies;
}

async function oneRound(smaller: Smaller, signal: AbortSignal): Promise<Round> {
  const { plan, connections, receivers } = smaller;
  const servers = new BareServers(smaller.servers);
  const died = Promise.withResolvers<never>();
  died.promise.catch(() => undefined);
  const fleet = new Fleet(receivers, (detail) => died.reject(new ImgoError('internal', { detail })));
  try {
    const port = await servers.listen(plan.transport, authReplyBytes(plan));
    fleet.setUp((first, count, at) => setupFor(smaller, port, first, count, at));
    await Promise.race([fleet.report(), died.promise]);
    const idle = await servers.counts();
    fleet.tell({ do: 'dial' });
    await Promise.race([settled(fleet, connections, signal), died.promise]);
    const connected = await servers.counts();
    const [before, after] = await sweeps(smaller, servers, connected, signal);
    const latencies = await played(smaller, servers, fleet, signal);
    return {
      complete: !signal.aborted,
      connected: fleet.figures().open,
      connectCpuSeconds: connected.cpuSeconds - idle.cpuSeconds,
      flushes: after.flushes - before.flushes,
      messages: after.messages - before.messages,
      bytes: after.bytes - before.bytes,
      flushCpuSeconds: after.cpuSeconds - before.cpuSeconds,
      latencies,
    };
  } finally {
    fleet.end();
    await closed(servers);
    await servers.end();
  }
}

/** Counts before and after a time of sweeps; without any, the same twice. */
async function sweeps(
  { plan, connections, writing }: Smaller,
  servers: BareServers,
  connected: BareCounts,
  signal: AbortSignal,
): Promise<readonly [BareCounts, BareCounts]> {
  if (writing === undefined || writing.flushesPerSecond === 0 || signal.aborted) return [connected, connected];
  const rate = writing.flushesPerSecond / servers.size;
  const sockets = Math.max(1, Math.ceil(audience(plan, connections) / servers.size), Math.ceil(rate / 1_000));
  const push = pushBytes(plan, 1);
  const everyMs = (sockets / rate) * 1_000;
  servers.tell({ do: 'sweep', push, each: Math.max(1, writing.messagesPerFlush), sockets, everyMs });
  await pause(WARM_MS);
  const before = await servers.counts();
  await pause(SWEEP_MS);
  const after = await servers.counts();
  servers.tell({ do: 'rest' });
  return [before, after];
}

/**
 * How late the run's messages come where nothing but sockets is between: in the run's own sweeps, at its own rate. Only where all
 * connections get all messages, and as many as in the run; none otherwise.
 */
async function played(smaller: Smaller, servers: BareServers, fleet: Fleet, signal: AbortSignal): Promise<Latencies> {
  const { plan, connections } = smaller;
  const known = plan.server === undefined || plan.windowMs !== undefined;
  const alike = connections === plan.connections && audience(plan, connections) === connections;
  if (!known || !alike || plan.mode === 'idle' || plan.mode === 'connect' || signal.aborted) return [];
  const { windowMs = WINDOW_MS, rate } = plan;
  const everyMs = 1_000 / rate;
  const lasting = Math.min(MOST_PLAY_MS, Math.max(PLAY_MS, PLAY_WINDOWS * windowMs));
  const all = Math.max(1, Math.round(lasting / everyMs));
  const startedAt = now() + REPORT_MS;
  fleet.takeLatencies();
  fleet.tell({ do: 'schedule', startedAt, everyMs, firstMeasured: Math.ceil(all * PLAY_WARM_SHARE) });
  const order: Played = { served: plan, startedAt, everyMs, all, windowMs };
  servers.tell({ do: 'play', played: order });
  await pause(REPORT_MS + lasting + windowMs + PLAY_TELL_MS, undefined, { signal }).catch(() => undefined);
  servers.tell({ do: 'rest' });
  await fleet.report();
  return fleet.takeLatencies();
}

/** Connections that one message is for. */
function audience({ mode, rooms }: BenchPlan, connections: number): number {
  if (mode === 'user') return 1;
  return mode === 'room' ? Math.ceil(connections / rooms) : connections;
}

function setupFor(
  { plan, connections, receivers }: Smaller,
  port: number,
  first: number,
  count: number,
  at: number,
): ReceiverSetup {
  return {
    mode: 'all',
    seed: plan.seed,
    connections,
    rooms: 1,
    dialect: plan.dialect,
    transport: plan.transport,
    host: '127.0.0.1',
    port,
    path: '/sub',
    addresses: [],
    first,
    count,
    userBase: 0,
    sizeBytes: plan.sizeBytes,
    pushOp: Op.PUSH,
    tellsPlace: false,
    ordered: false,
    namesRoom: false,
    sources: turned(plan.sources, at),
    sampleEvery: Math.max(1, Math.floor(connections / SAMPLED)),
    dialsPerSecond: undefined,
    underWay: Math.max(1, Math.floor(UNDER_WAY / receivers.length)),
    mostUnderWay: Math.max(2, Math.floor(MOST_UNDER_WAY / receivers.length)),
    churn: 0,
    slow: 0,
    reconnect: false,
    reportMs: REPORT_MS,
    turnMs: turnMs(receivers.length, availableParallelism()),
  };
}

async function settled(fleet: Fleet, connections: number, signal: AbortSignal): Promise<void> {
  const until = now() + CONNECT_MS;
  while (fleet.figures().settled < connections && !signal.aborted) {
    if (now() > until) throw new ImgoError('internal', { detail: 'the bare server did not take the connections' });
    await pause(LOOK_MS);
  }
}

/** So that the next round does not begin beside the end of this one. */
async function closed(servers: BareServers): Promise<void> {
  const until = now() + CLOSE_MS;
  try {
    while ((await servers.counts()).connections > 0 && now() < until) await pause(LOOK_MS);
  } catch {
    // One of them is gone already, and was told of.
  }
}
