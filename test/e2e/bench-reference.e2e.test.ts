// The bare server: the run's own receivers take what it writes, in every dialect and over either transport; what the clients can
// do alone is found without any server.
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it, test } from 'vitest';
import { lookAtMachine } from '../../src/bench/machine.js';
import type { BenchOptions } from '../../src/bench/options.js';
import { type BenchPlan, planRun } from '../../src/bench/plan.js';
import { ratiosOf } from '../../src/bench/reference.js';
import { pushBytes } from '../../src/bench/wire/served.js';
import { SMALL_RUN } from '../harness/bench-options.js';

/** As they are built: they start processes of their own from there. */
const { runReference } = await import(new URL('../../dist/bench/reference.js', import.meta.url).href);
const { calibrate } = await import(new URL('../../dist/bench/calibrate.js', import.meta.url).href);

const ASKED: BenchOptions = { ...SMALL_RUN, rate: 100, durationMs: 1_000, workers: 2 };
const planned = (options: Partial<BenchOptions> = {}): BenchPlan => planRun({ ...ASKED, ...options }, lookAtMachine());
const never = new AbortController().signal;

/** Processes of ours that run this script. */
function running(script: string): number {
  return readdirSync('/proc').filter((pid) => {
    try {
      const [, parent] = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
      return Number(parent) === process.pid && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(script);
    } catch {
      return false;
    }
  }).length;
}

test.each([
  ['imgo', 'tcp', 1],
  ['imgo', 'ws', 2],
  ['goim', 'tcp', 2],
  ['goim', 'ws', 2],
  ['native', 'tcp', 2],
  ['native', 'ws', 1],
] as const)('%s over %s: connected, flushed, counted; %i rooms', async (dialect, transport, rooms) => {
  const plan = planned({ dialect, transport, rooms });
  const reference = await runReference(plan, never, { flushesPerSecond: 3_000, messagesPerFlush: 4 });
  expect(reference.connections).toBe(60);
  expect(reference.flushes).toBeGreaterThan(0);
  expect(reference.flushBytes).toBe(4 * pushBytes(plan, 1).length);
  expect(reference.flushesPerCpuSecond).toBeGreaterThan(0);
  expect(reference.deliveriesPerCpuSecond).toBeCloseTo(4 * reference.flushesPerCpuSecond, 3);
  expect(reference.connectsPerCpuSecond).toBeGreaterThan(0);
  // Where not all get all messages there is nothing to compare latencies with.
  if (rooms > 1) expect(reference.latencyMs).toBeNull();
  else expect(reference.latencyMs.p50).toBeGreaterThan(0);
  await expect.poll(() => [running('bare/server.js'), running('receivers.js')]).toEqual([0, 0]);
});

it('plays the whole run when asked to: each message to every connection', async () => {
  const plan = planned({ dialect: 'imgo', transport: 'tcp', rooms: 1, warmupMs: 200, durationMs: 1_000 });
  const reference = await runReference(plan, never, undefined, 'whole');
  const messages = 1.2 * plan.rate;
  expect(reference.connections).toBe(plan.connections);
  expect(reference.deliveriesPerCpuSecond / reference.flushesPerCpuSecond).toBeCloseTo(
    (messages * plan.connections) / reference.flushes,
    3,
  );
  expect(reference.flushBytes * reference.flushes).toBe(
    plan.connections *
      Array.from({ length: messages }, (_, at) => pushBytes(plan, at + 1).length).reduce((a, b) => a + b),
  );
  expect(reference.latencyMs.p50).toBeGreaterThan(0);
  expect(reference.settleSeconds).toBeGreaterThan(0);
});

it('takes a sample where the whole cannot be played: not all get all messages', async () => {
  const reference = await runReference(planned({ mode: 'user' }), never, undefined, 'whole');
  expect(reference.settleSeconds).toBeNull();
});

it('pushes nothing where the plan pushes nothing, and is left out where it connects nobody', async () => {
  const idle = await runReference(planned({ mode: 'idle' }), never);
  expect([idle.flushes, idle.flushBytes, idle.flushesPerCpuSecond]).toEqual([0, 0, 0]);
  expect(idle.connectsPerCpuSecond).toBeGreaterThan(0);
  expect(await runReference(planned({ mode: 'http' }), never)).toBeUndefined();
});

it('gives up when the run is cut short, and leaves no process behind', async () => {
  const controller = new AbortController();
  const found = runReference(planned(), controller.signal);
  setTimeout(() => controller.abort(), 300);
  expect(await found).toBeUndefined();
  await expect.poll(() => [running('bare/server.js'), running('receivers.js')]).toEqual([0, 0]);
});

it('ratios are of what both have', () => {
  const bare = { connections: 1, seconds: 1, flushes: 1, flushBytes: 1 };
  const reference = {
    ...bare,
    flushesPerCpuSecond: 100,
    deliveriesPerCpuSecond: 0,
    connectsPerCpuSecond: 50,
    latencyMs: null,
    settleSeconds: null,
  };
  const server = { cpuSeconds: 1, rssBytes: 1, bytesPerConnection: 1, flushes: 1, loopP99Ms: 0, cpuByRole: {} };
  const connections = { target: 1, open: 1, failed: {}, seconds: 1, perSecond: 1 };
  const connectMs = { p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
  const result = {
    server: { ...server, flushesPerCpuSecond: 80, deliveriesPerCpuSecond: 10 },
    connections: { ...connections, perCpuSecond: 0, connectMs },
    latencyMs: { ...connectMs, p50: 60, p99: 130 },
    seconds: { settle: 0.3 },
  };
  const known = { flushes: 0.8, deliveries: null, connects: null, settle: null };
  expect(ratiosOf(reference, result)).toEqual({ ...known, p50: null, p99: null });
  const latencyMs = { ...connectMs, p50: 50, p99: 104 };
  expect(ratiosOf({ ...reference, latencyMs }, result)).toEqual({ ...known, p50: 1.2, p99: 1.25 });
  expect(ratiosOf({ ...reference, settleSeconds: 0.2 }, result).settle).toBeCloseTo(1.5);
});

test.each(['tcp', 'ws'] as const)('what clients can count over %s, and how exactly they send', async (transport) => {
  const found = await calibrate(planned({ transport }));
  expect(found.framesPerCpuSecond).toBeGreaterThan(0);
  expect(found.pacedWithinMs).toBeGreaterThanOrEqual(0);
  expect(Number.isFinite(found.framesPerCpuSecond) && Number.isFinite(found.pacedWithinMs)).toBe(true);
});
