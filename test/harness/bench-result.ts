// A result as a run would give it, made up: the shape of a long run of many connections on a small machine, from a seed.
// For tests of what is made of results, and to look at a report without an hour of waiting.
import type { BenchPhase, BenchResult, BenchSample, Latencies, ProcessFigures } from '../../src/bench/figures.js';
import { percentilesOf } from '../../src/bench/latencies.js';
import { madeUpMachine } from './bench-machine.js';
import { seededRandom } from './random.js';

export interface MadeUp {
  readonly seed?: number;
  readonly connections?: number;
  /** Of each side. */
  readonly processes?: number;
  readonly measureSeconds?: number;
  readonly rate?: number;
  /** All latencies times this. */
  readonly latency?: number;
  /** CPU of the server for the same work times this. */
  readonly cpu?: number;
  readonly saturated?: boolean;
}

const GIB = 2 ** 30;
const CONNECTS_A_SECOND = 14_900;
const WARMUP_SECONDS = 3;

export function madeUpResult(options: MadeUp = {}): BenchResult {
  const { seed = 7, connections = 1_000_000, processes = 56, measureSeconds = 300, rate = 40 } = options;
  const { latency = 1, cpu = 1, saturated = true } = options;
  const random = seededRandom(seed);
  const around = (value: number, share: number) => value * (1 + share * (random() + random() - 1));
  const samples: BenchSample[] = [];
  const cpuOf = { server: 40, client: 12, coordinator: 3 };
  const machine = { swappedBytes: 0, listenDrops: 0, retransmits: 0 };
  const counts = { open: 0, offered: 0, accepted: 0, delivered: 0, bytes: 0, flushes: 0, seconds: 0 };
  // A sweep writes to all; its length is what the flushes that a machine can do make of it.
  const sweepSeconds = Math.max(0.1, connections / 78_000);

  const tick = (phase: BenchPhase, phaseSeconds: number, work: Partial<typeof counts> = {}) => {
    counts.seconds += 1;
    for (const [name, more] of Object.entries(work)) counts[name as keyof typeof counts] += more;
    const busy = phase === 'measure' || phase === 'settle';
    cpuOf.server += around(busy || phase === 'connect' ? 0.98 * cpu : 0.1, 0.06);
    cpuOf.client += around(busy || phase === 'connect' ? 0.95 : 0.08, 0.06);
    cpuOf.coordinator += around(0.03, 0.3);
    const open = counts.open / connections;
    const mid = around(sweepSeconds * 520 * latency, 0.25);
    const latencyMs = { p50: mid, p90: mid * 1.8, p99: mid * 2, p999: mid * 2.07, max: mid * 2.1 };
    const group = (name: keyof typeof cpuOf, count: number, rssBytes: number) => ({
      processes: count,
      cpuSeconds: cpuOf[name],
      rssBytes: Math.round(rssBytes),
      loop: Math.min(1, around(busy ? 0.9 : 0.1, 0.1)),
      loopP99Ms: around(busy ? 31 : 4, 0.5),
    });
    samples.push({
      seconds: counts.seconds,
      phase,
      phaseSeconds,
      open: counts.open,
      failed: {},
      away: 0,
      broke: 0,
      offered: counts.offered,
      accepted: counts.accepted,
      refused: 0,
      unknown: 0,
      delivered: counts.delivered,
      bytes: counts.bytes,
      latencyMs: busy ? latencyMs : null,
      server: group('server', processes + 1, (0.9 + 3.4 * open) * GIB),
      client: group('client', processes, (0.7 + 1.6 * open) * GIB),
      coordinator: group('coordinator', 1, 0.14 * GIB),
      fanOut: {
        flushes: counts.flushes,
        deliveries: counts.delivered,
        windowMs: busy ? sweepSeconds * 1_000 : 100,
        sweepMs: busy ? around(sweepSeconds * 1_000, 0.15) : 0,
        ringBytes: busy ? around(900_000, 0.4) : 0,
        lagging: busy ? Math.round(around(40, 1)) : 0,
        gaps: 0,
        reasons: random() < 0.02 || counts.seconds > 90 ? { idle: 3, handshake: 12 } : {},
      },
      machine: {
        ...machine,
        idle: phase === 'warmup' ? 0.9 : around(0.02, 0.9),
        steal: around(0.004, 1),
        availableBytes: (22.1 - 11.2 * open) * GIB,
        tcpMemBytes: (0.1 + 1.9 * open) * GIB,
      },
    });
  };

  let connectSeconds = 0;
  while (counts.open < connections) {
    const more = Math.min(connections - counts.open, Math.round(around(CONNECTS_A_SECOND, 0.15)));
    tick('connect', ++connectSeconds, { open: more });
  }
  for (let second = 1; second <= WARMUP_SECONDS; second++) tick('warmup', second);
  let due = 0;
  let settleSeconds = 0;
  const frame = 26;
  for (let second = 1; second <= measureSeconds || due > 0; second++) {
    const offered = second <= measureSeconds ? rate : 0;
    due += offered * connections;
    const delivered = Math.min(
      due,
      Math.round(around(second === 1 ? connections * rate * 0.3 : connections * rate, 0.12)),
    );
    due -= delivered;
    const flushes = Math.round(around(Math.min(78_000, connections * 10), 0.05));
    const work = { offered, accepted: offered, delivered, bytes: delivered * frame, flushes };
    if (offered > 0) tick('measure', second, work);
    else tick('settle', ++settleSeconds, work);
  }

  const { offered, accepted, delivered, flushes } = counts;
  const latencies = madeUpLatencies(samples, delivered);
  const seconds = connectSeconds + WARMUP_SECONDS;
  const serverCpu = (samples.at(-1)?.server.cpuSeconds ?? 0) - (samples[seconds - 1]?.server.cpuSeconds ?? 0);
  const clientCpu = (samples.at(-1)?.client.cpuSeconds ?? 0) - (samples[seconds - 1]?.client.cpuSeconds ?? 0);
  const each = Math.floor(connections / processes);
  const receivers = Array.from({ length: processes }, (_, at) => each + (at < connections % processes ? 1 : 0));
  const reasons = [
    'the busiest client loop was 0.97 busy (limit 0.85)',
    'the machine was 2 % idle (limit 5 %) and the client used 48 % of its CPU',
  ];
  return {
    format: 1,
    command: `bench --conns ${connections} --rate ${rate} --duration ${measureSeconds}s --assert 'p99<50ms' --html bench.html`,
    at: '2026-11-24T16:40:00.000Z',
    plan: {
      mode: 'room',
      connections,
      rate,
      durationMs: measureSeconds * 1_000,
      rooms: 1,
      sizeBytes: frame,
      transport: 'tcp',
      dialect: 'imgo',
      store: 'memory',
      windowMs: undefined,
      seed,
      connectRate: 'auto',
      warmupMs: WARMUP_SECONDS * 1_000,
      settleMs: 60_000,
      slow: 0,
      churn: 0,
      workers: processes,
      perProcess: 18_000,
      addresses: 'auto',
      server: undefined,
      reconnect: false,
      settings: [],
      receivers,
      sources: Array.from({ length: Math.ceil(connections / 14_116) }, (_, at) => `127.0.1.${1 + at}`),
      needsBytes: 11.2 * GIB,
      needsFiles: 2 * connections + 2_000,
      backlog: 4_096,
      expectation: undefined,
    },
    cutShort: null,
    connections: {
      target: connections,
      open: connections,
      failed: {},
      seconds: connectSeconds,
      perSecond: connections / connectSeconds,
      perCpuSecond: 15_400,
      connectMs: { p50: 38, p90: 71, p99: 130, p999: 240, max: 1_040 },
    },
    offered,
    accepted,
    refused: 0,
    unknown: 0,
    delivered,
    expected: accepted * connections,
    completeness: delivered / (accepted * connections),
    lost: 0,
    duplicates: 0,
    outOfOrder: 0,
    gaps: 0,
    redelivered: 0,
    warmup: { offered: 0, accepted: 0, delivered: 0 },
    excused: { churned: 0, slow: 0, missed: 0, repeated: 0 },
    breaks: null,
    audit: { byBoundaries: connections, byNumber: connections, byPayload: 1_000, foreign: 0 },
    notes: ['Latencies are those of 1,000 connections, spread over all processes.'],
    latencyMs: percentilesOf(latencies),
    latencies,
    deliveredPerSecond: delivered / (measureSeconds + settleSeconds),
    seconds: { connect: connectSeconds, measure: measureSeconds, settle: settleSeconds, all: samples.length },
    server: {
      cpuSeconds: serverCpu,
      rssBytes: 4.3 * GIB,
      bytesPerConnection: 3.6 * 1_024,
      deliveriesPerCpuSecond: delivered / serverCpu,
      flushesPerCpuSecond: flushes / serverCpu,
      flushes,
      loopP99Ms: 31,
      cpuByRole: {},
    },
    client: {
      cpuSeconds: clientCpu,
      rssBytes: 2.3 * GIB,
      loopP99Ms: 44,
      sentLate: 0.001,
      saturated: { is: saturated, reasons: saturated ? reasons : [] },
    },
    calibration: { framesPerCpuSecond: 75e6, pacedWithinMs: 0.2 },
    reference: {
      connections: Math.min(connections, 10_000),
      seconds: 3,
      flushes: 240_000,
      flushBytes: 10_400,
      flushesPerCpuSecond: 82_000,
      deliveriesPerCpuSecond: 44e6,
      connectsPerCpuSecond: 21_300,
      latencyMs: { p50: 10_400, p90: 12_000, p99: 12_600, p999: 12_800, max: 13_000 },
      settleSeconds: null,
      ratios: { flushes: 0.93, deliveries: 0.91, connects: 0.72, p50: 1.07, p99: 1.06, settle: null },
    },
    http: null,
    assertions: [
      { text: 'lost==0', metric: 'lost', holds: true, value: 0, shown: '0', byDefault: true },
      { text: 'outOfOrder==0', metric: 'outOfOrder', holds: true, value: 0, shown: '0', byDefault: true },
      { text: 'connected==100%', metric: 'connected', holds: true, value: 1, shown: '100 %', byDefault: true },
      { text: 'p99<50ms', metric: 'p99', holds: false, value: 13_400, shown: '13.4 s', byDefault: false },
    ],
    samples,
    processes: madeUpProcesses(receivers, measureSeconds, random),
    versions: { imgo: '0.1.0', node: 'v24.21.0' },
    machine: madeUpMachine({ model: 'AMD EPYC 7B13', kernel: '6.18.5', availableBytes: 22.1 * GIB }),
  };
}

/** A thousand points of what the seconds had, as if a thousandth of the connections were the sample. */
function madeUpLatencies(samples: readonly BenchSample[], delivered: number): Latencies {
  const counts = new Map<number, number>();
  const seconds = samples.flatMap(({ latencyMs }) => (latencyMs === null ? [] : [latencyMs]));
  const share = Math.max(1, Math.round(delivered / 1_000 / Math.max(1, seconds.length * 1_000)));
  for (const { p50, max } of seconds) {
    for (let part = 1; part <= 1_000; part++) {
      const at = part <= 500 ? (p50 * part) / 500 : p50 + ((max - p50) * (part - 500)) / 500;
      const ms = Math.max(1, Math.round(at));
      counts.set(ms, (counts.get(ms) ?? 0) + share);
    }
  }
  return [...counts].sort(([a], [b]) => a - b);
}

function madeUpProcesses(
  receivers: readonly number[],
  seconds: number,
  random: () => number,
): readonly ProcessFigures[] {
  const rounded = (value: number, digits: number) => Number(value.toFixed(digits));
  return (['server', 'client'] as const).flatMap((side) =>
    receivers.map((connections, at) => {
      // Turns: each process has its part of a sweep.
      const phase = random() * 13;
      const share = (second: number) => 0.5 + 0.5 * Math.sin(((second + phase) / 13) * 2 * Math.PI);
      const cpu = Array.from({ length: seconds }, (_, second) => rounded((share(second) * 2) / receivers.length, 4));
      const loop = Array.from({ length: seconds }, (_, second) =>
        side === 'client'
          ? rounded(share(second) * 0.9 + random() * 0.07, 3)
          : rounded(2 + share(second) * 28 + random() * 6, 1),
      );
      return { side, name: `${side === 'server' ? 'comet' : 'receiver'} ${at + 1}`, connections, cpu, loop };
    }),
  );
}
