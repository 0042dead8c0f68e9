/**
 * One round of bare sockets: servers that do nothing but write, the run's own clients, and what that took. A sample writes for
 * a second as the run did, then plays some of its messages; a whole one plays them all, to as many connections.
 */
import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { ImgoError } from '../../protocol/errors.js';
import { Op } from '../../protocol/frame.js';
import { turned } from '../addresses.js';
import { WINDOW_MS } from '../expectation.js';
import type { Latencies } from '../figures.js';
import { Fleet } from '../fleet.js';
import { lookAtMachine } from '../machine.js';
import type { ReceiverSetup } from '../messages.js';
import { now } from '../now.js';
import type { BenchPlan } from '../plan.js';
import { turnMs } from '../turns.js';
import { authReplyBytes, pushBytes } from '../wire/served.js';
import type { BareCounts } from './messages.js';
import type { Played } from './play.js';
import { BareServers } from './servers.js';

/** How a run wrote to its connections, where that is known: the bare server does it alike. */
export interface Writing {
  /** Of all connections together. */
  readonly flushesPerSecond: number;
  readonly messagesPerFlush: number;
}

/** A plan as bare sockets run it. */
export interface Sized {
  readonly plan: BenchPlan;
  readonly connections: number;
  readonly servers: number;
  readonly receivers: readonly number[];
  readonly writing: Writing | undefined;
  /** All of the plan's messages are played, and it is waited for the last. */
  readonly whole: boolean;
}

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
/** Bare servers write as long as the kernel takes it. With less of the machine's memory left the round is given up. */
const LEAST_MEMORY = 0.05;
const MEMORY_LOOK_MS = 500;
const UNDER_WAY = 400;
const MOST_UNDER_WAY = 2_000;

/** What it took. */
export interface Round {
  readonly connected: number;
  readonly connectCpuSeconds: number;
  readonly flushes: number;
  readonly messages: number;
  readonly bytes: number;
  readonly flushCpuSeconds: number;
  readonly latencies: Latencies;
  /** From the last message until the last client had said that it has it, as a run measures it; 0 of a sample. */
  readonly settleSeconds: number;
}

/** @throws ImgoError internal: a process ended, the connections were not taken, or memory ran short */
export async function oneRound(sized: Sized, signal: AbortSignal): Promise<Round> {
  const { plan, connections, receivers, whole } = sized;
  const servers = new BareServers(sized.servers);
  const died = Promise.withResolvers<never>();
  died.promise.catch(() => undefined);
  const fail = (detail: string) => died.reject(new ImgoError('internal', { detail }));
  const fleet = new Fleet(receivers, fail);
  const watch = setInterval(() => {
    const { availableBytes, memoryBytes } = lookAtMachine();
    if (availableBytes < memoryBytes * LEAST_MEMORY) fail('they left the machine without memory');
  }, MEMORY_LOOK_MS);
  try {
    const port = await servers.listen(plan.transport, authReplyBytes(plan));
    fleet.setUp((first, count, at) => setupFor(sized, port, first, count, at));
    await Promise.race([fleet.report(), died.promise]);
    const idle = await servers.counts();
    fleet.tell({ do: 'dial' });
    await Promise.race([settled(fleet, connections, signal), died.promise]);
    const connected = await servers.counts();
    const swept = whole ? undefined : await sweeps(sized, servers, connected, signal);
    const { latencies, settleSeconds } = await Promise.race([played(sized, servers, fleet, signal), died.promise]);
    const [before, after] = swept ?? [connected, await servers.counts()];
    return {
      connected: fleet.figures().open,
      connectCpuSeconds: connected.cpuSeconds - idle.cpuSeconds,
      flushes: after.flushes - before.flushes,
      messages: after.messages - before.messages,
      bytes: after.bytes - before.bytes,
      flushCpuSeconds: after.cpuSeconds - before.cpuSeconds,
      latencies,
      settleSeconds,
    };
  } finally {
    clearInterval(watch);
    fleet.end();
    await closed(servers);
    await servers.end();
  }
}

/** Counts before and after a time of sweeps; without any, the same twice. */
async function sweeps(
  { plan, connections, writing }: Sized,
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

/** What clients saw of the messages that were played. */
interface Seen {
  readonly latencies: Latencies;
  readonly settleSeconds: number;
}

/**
 * How late the run's messages come where nothing but sockets is between: in the run's own sweeps, at its own rate. Only where all
 * connections get all messages, and as many as in the run; none otherwise.
 */
async function played(sized: Sized, servers: BareServers, fleet: Fleet, signal: AbortSignal): Promise<Seen> {
  const { plan, connections, writing, whole } = sized;
  if (!isPlayed(sized) || signal.aborted) return { latencies: [], settleSeconds: 0 };
  const { rate } = plan;
  const everyMs = 1_000 / rate;
  // Where the run's own sweeps took longer than its window, more of them would be more than the clients can read.
  const sweepMs = whole ? (writing?.messagesPerFlush ?? 0) * everyMs : 0;
  const windowMs = Math.max(plan.windowMs ?? WINDOW_MS, sweepMs);
  const sampleMs = Math.min(MOST_PLAY_MS, Math.max(PLAY_MS, PLAY_WINDOWS * windowMs));
  const lasting = whole ? plan.warmupMs + plan.durationMs : sampleMs;
  const all = Math.max(1, Math.round(lasting / everyMs));
  const warm = whole ? plan.warmupMs / lasting : PLAY_WARM_SHARE;
  const startedAt = now() + REPORT_MS;
  fleet.takeLatencies();
  const { received } = fleet.figures();
  fleet.tell({ do: 'schedule', startedAt, everyMs, firstMeasured: Math.ceil(all * warm) });
  const order: Played = { served: plan, startedAt, everyMs, all, windowMs };
  servers.tell({ do: 'play', played: order });
  await pause(REPORT_MS + lasting, undefined, { signal }).catch(() => undefined);
  const offeredAt = now();
  if (whole) await allReceived(fleet, received + all * connections, plan.settleMs, signal);
  else await pause(windowMs + PLAY_TELL_MS, undefined, { signal }).catch(() => undefined);
  servers.tell({ do: 'rest' });
  await fleet.report();
  return { latencies: fleet.takeLatencies(), settleSeconds: whole ? (now() - offeredAt) / 1_000 : 0 };
}

/** Whether a plan's messages can be played to its bare sockets: it is known when they are written, and all go to everybody. */
export function isPlayed({ plan, connections }: Sized): boolean {
  const known = plan.server === undefined || plan.windowMs !== undefined;
  const alike = connections === plan.connections && audience(plan, connections) === connections;
  return known && alike && plan.mode !== 'idle' && plan.mode !== 'connect';
}

/** @throws ImgoError internal: not all of it came in time */
async function allReceived(fleet: Fleet, deliveries: number, withinMs: number, signal: AbortSignal): Promise<void> {
  const until = now() + withinMs;
  while (fleet.figures().received < deliveries && !signal.aborted) {
    if (now() > until) throw new ImgoError('internal', { detail: 'the bare sockets did not settle in time' });
    await pause(LOOK_MS);
  }
}

/** Connections that one message is for. */
function audience({ mode, rooms }: BenchPlan, connections: number): number {
  if (mode === 'user') return 1;
  return mode === 'room' ? Math.ceil(connections / rooms) : connections;
}

function setupFor(
  { plan, connections, receivers }: Sized,
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

/** Resolves when all are connected; gives up when none was for a while. */
async function settled(fleet: Fleet, connections: number, signal: AbortSignal): Promise<void> {
  let until = now() + CONNECT_MS;
  for (let before = 0; before < connections && !signal.aborted; await pause(LOOK_MS)) {
    const { settled: open } = fleet.figures();
    if (open > before) until = now() + CONNECT_MS;
    else if (now() > until) throw new ImgoError('internal', { detail: 'the bare server did not take the connections' });
    before = open;
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
