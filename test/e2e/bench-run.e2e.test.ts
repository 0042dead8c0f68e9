// Every mode, dialect and transport of a benchmark against real servers: what was accepted arrives, and the account says so.
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BenchResult } from '../../src/bench/figures.js';
import type { ServerAccess } from '../../src/bench/options.js';
import { runSmall as run } from '../harness/bench-run.js';
import { type RunningServer, startServer } from '../harness/server.js';

/** All that was offered was accepted, and came to everybody it was for, once and in order. */
function expectWhole(result: BenchResult, connections = 60): void {
  expect(result.cutShort).toBeNull();
  expect(result.connections).toMatchObject({ target: connections, open: connections, failed: {} });
  expect([result.accepted, result.refused, result.unknown]).toEqual([result.offered, 0, 0]);
  expect(result.delivered).toBe(result.expected);
  expect([result.completeness, result.lost, result.duplicates, result.outOfOrder]).toEqual([1, 0, 0, 0]);
  expect(result.audit).toEqual({
    byBoundaries: connections,
    byNumber: connections,
    byPayload: connections,
    foreign: 0,
  });
}

describe('against one server, that goes on', () => {
  let server: RunningServer;
  const ports = ['--http', '0', '--ws', '0', '--tcp', '0', '--goim', '0', '--legacy-http', '0'];

  beforeAll(async () => {
    server = await startServer(['--memory', ...ports, '--set', 'fanout.window=20ms']);
  });

  afterAll(async () => {
    await server.end('SIGTERM');
  });

  const own = (transport: 'tcp' | 'ws'): ServerAccess => {
    const { http, tcp, ws, pid } = server.ready;
    return { http, clients: [transport === 'tcp' ? `tcp://${tcp}` : ws], key: undefined, native: true, pid };
  };

  const original = (dialect: 'imgo' | 'goim', transport: 'tcp' | 'ws'): ServerAccess => {
    const { legacyHttp = '', tcp, ws, goim } = server.ready;
    const [raw, web] = dialect === 'goim' ? [goim, `ws://${goim}/sub`] : [tcp, ws];
    return {
      http: legacyHttp.startsWith('http') ? legacyHttp : `http://${legacyHttp}`,
      clients: [transport === 'tcp' ? `tcp://${raw}` : web],
      key: undefined,
      native: false,
      pid: undefined,
    };
  };

  const everywhere = (['imgo', 'goim', 'native'] as const).flatMap((dialect) =>
    (['tcp', 'ws'] as const).map((transport) => [dialect, transport] as const),
  );

  it.each(everywhere)('%s over %s: one room', async (dialect, transport) => {
    const result = await run({ dialect, transport }, own(transport));
    expectWhole(result);
    expect(result.expected).toBe(60 * 42);
    expect(result.latencyMs.max).toBeGreaterThan(0);
    expect(result.server.cpuSeconds).toBeGreaterThan(0);
    expect(result.server.flushes).toBeGreaterThan(0);
  });

  it.each(everywhere)('%s over %s: several rooms, larger messages', async (dialect, transport) => {
    const result = await run({ dialect, transport, rooms: 7, sizeBytes: 700 }, own(transport));
    expectWhole(result);
    expect(result.samples.at(-1)?.bytes).toBeGreaterThan(result.delivered * 700);
  });

  it.each(everywhere)('%s over %s: users', async (dialect, transport) => {
    const result = await run({ dialect, transport, mode: 'user', rate: 300 }, own(transport));
    expectWhole(result);
    expect(result.expected).toBe(result.accepted);
  });

  it.each(everywhere)('%s over %s: users, rooms and all together', async (dialect, transport) => {
    const result = await run({ dialect, transport, mode: 'mix', rooms: 3, rate: 200 }, own(transport));
    expectWhole(result);
    expect(result.expected).toBe(112 + 14 * 20 + 14 * 60);
  });

  it('all, with messages to warm up, paced connections, and connections that stop reading', async () => {
    const result = await run(
      { mode: 'all', warmupMs: 300, connectRate: 300, slow: 0.1, dialect: 'native' },
      own('tcp'),
    );
    expectWhole({ ...result, audit: { ...result.audit, byNumber: 60 } });
    expect(result.warmup).toMatchObject({ offered: 18, accepted: 18 });
    expect(result.offered).toBe(60);
    expect(result.excused).toEqual({ churned: 0, slow: 6, missed: 0, repeated: 0 });
    // Those that stop may have read some messages before they did.
    const measured = result.latencies.reduce((sum, [, count]) => sum + count, 0);
    expect(measured).toBeGreaterThanOrEqual(42 * 54);
    expect(measured).toBeLessThan(42 * 60);
    expect(result.notes.join('\n')).toMatch(/6 connections stopped reading/);
  });

  it('connections that leave and come back are told apart from those that stay', async () => {
    const result = await run({ churn: 0.4, durationMs: 1_500 }, own('tcp'));
    expect([result.lost, result.duplicates, result.outOfOrder]).toEqual([0, 0, 0]);
    expect(result.excused.churned).toBeGreaterThan(10);
    expect(result.excused.churned).toBeLessThanOrEqual(30);
    expect(result.excused.missed).toBe(result.expected - result.delivered + result.excused.repeated);
    expect(result.connections).toMatchObject({ open: 60, failed: {} });
  });

  it('connections alone: their rate, how long they take, and that they go on', async () => {
    const idle = await run({ mode: 'idle', durationMs: 300, transport: 'ws' }, own('ws'));
    expectWhole(idle);
    expect([idle.offered, idle.delivered]).toEqual([0, 0]);
    const connect = await run({ mode: 'connect', churn: 1, durationMs: 2_000, transport: 'ws' }, own('ws'));
    expect(connect.connections).toMatchObject({ target: 60, failed: {} });
    // Those that ended last may be on their way back.
    expect(connect.connections.open).toBeGreaterThan(30);
    expect(connect.connections.perSecond).toBeGreaterThan(0);
    expect(connect.excused.churned).toBeGreaterThan(20);
  });

  it('the API alone, as many calls as it takes', async () => {
    const result = await run({ mode: 'http', durationMs: 1_000, connections: 8 }, own('tcp'));
    expect(result.http).toMatchObject({ non2xx: 0, errors: 0 });
    expect(result.accepted).toBeGreaterThan(100);
    expect([result.accepted, result.connections.target]).toEqual([result.offered, 0]);
    expect(result.http?.requestsPerCpuSecond).toBeGreaterThan(0);
  });

  const originals = everywhere.flatMap(([dialect, transport]) =>
    dialect === 'native' ? [] : [[dialect, transport] as const],
  );

  it.each(originals)('%s over %s, through its own API', async (dialect, transport) => {
    const access = original(dialect, transport);
    for (const mode of ['room', 'user', 'all'] as const) {
      const result = await run({ dialect, transport, mode }, access);
      expectWhole(result);
      expect(result.notes.join('\n')).toMatch(/tells no place in the log/);
      expect(result.server.cpuSeconds).toBe(0);
    }
  });

  it('what refuses every connection is counted, and loses nothing', async () => {
    const result = await run({ connections: 5, durationMs: 100 }, { ...own('tcp'), clients: ['tcp://127.0.0.1:1'] });
    expect(result.connections).toMatchObject({ open: 0, failed: { ECONNREFUSED: 5 } });
    expect([result.expected, result.lost, result.completeness]).toEqual([0, 0, 1]);
    expect(result.assertions.find(({ metric }) => metric === 'connected')?.holds).toBe(false);
  });

  it('addresses are dialled in turn', async () => {
    const clients = [...own('tcp').clients, 'tcp://127.0.0.1:1'];
    const result = await run({ connections: 10, durationMs: 100 }, { ...own('tcp'), clients });
    expect(result.connections).toMatchObject({ open: 5, failed: { ECONNREFUSED: 5 } });
  });

  it('what speaks another protocol is found out', async () => {
    const result = await run(
      { connections: 5, durationMs: 100 },
      { ...own('tcp'), clients: [`tcp://${new URL(server.ready.http).host}`] },
    );
    expect(result.connections).toMatchObject({ open: 0, failed: { nonsense: 5 } });
  });
});

describe('against a server of its own', () => {
  it('keeps messages on disk when asked to, with the settings given', async () => {
    const result = await run({ store: 'lmdb', windowMs: 10, workers: 2, settings: ['limits.sessions_per_user=1'] });
    expectWhole(result);
    expect(result.samples.some(({ fanOut }) => fanOut.windowMs === 10)).toBe(true);
    expect(result.server.rssBytes).toBeGreaterThan(0);
  });

  it('a setting that does not exist is told before anything runs', async () => {
    await expect(run({ settings: ['fanout.windw=1'] })).rejects.toThrow(/windw/);
  });

  it('a server that dies ends the run with what there was, and says so', async () => {
    let killed = false;
    const result = await run({ durationMs: 30_000, connections: 20 }, undefined, (_stop, { phase, phaseSeconds }) => {
      if (killed || phase !== 'measure' || phaseSeconds < 1) return;
      killed = true;
      killOwnServer();
    });
    expect(result.cutShort).toMatch(/the server ended \(SIGKILL\)/);
    expect(result.accepted).toBeGreaterThan(10);
    expect(result.accepted).toBeLessThan(1_800);
    expect(result.connections.open).toBe(0);
  });

  it('an interrupted run gives the account of what there was', async () => {
    const result = await run({ durationMs: 30_000 }, undefined, (stop, { phase, phaseSeconds }) => {
      if (phase === 'measure' && phaseSeconds >= 1) stop.abort();
    });
    expect(result.cutShort).toBe('interrupted');
    expect(result.accepted).toBeGreaterThan(10);
    expect([result.lost, result.duplicates, result.outOfOrder, result.completeness]).toEqual([0, 0, 0, 1]);
  });
});

/** The server that a run of this process started: its child that serves. */
function killOwnServer(): void {
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
      if (parent === process.pid && command.includes('serve') && command.includes('error'))
        process.kill(Number(pid), 'SIGKILL');
    } catch {
      // Gone meanwhile.
    }
  }
}
