// Connections that break while they are measured: native clients come back and resume, those of other dialects come back, and the
// account tells what became of every message.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { processTree } from '../../src/bench/machine.js';
import type { BenchOptions } from '../../src/bench/options.js';
import { runSmall as run } from '../harness/bench-run.js';
import { type RunningServer, startServer } from '../harness/server.js';

describe('against one server with workers, of which one is killed', () => {
  let server: RunningServer;

  beforeEach(async () => {
    const ports = ['--http', '0', '--ws', '0', '--tcp', '0'];
    server = await startServer(['--memory', ...ports, '--workers', '2', '--set', 'fanout.window=20ms']);
  });

  afterEach(async () => {
    await server.end('SIGTERM');
  });

  const disturbed = async (options: Partial<BenchOptions>, transport: 'tcp' | 'ws' = 'tcp') => {
    const { http, tcp, ws, pid } = server.ready;
    const access = { http, clients: [transport === 'tcp' ? `tcp://${tcp}` : ws], key: undefined, native: true, pid };
    let onIt = 0;
    const result = await run(
      { durationMs: 4_000, rate: 100, reconnect: true, transport, ...options },
      access,
      (_stop, { phase, phaseSeconds }) => {
        if (onIt > 0 || phase !== 'measure' || phaseSeconds < 1) return;
        const [worker] = processTree(pid).filter((one) => one !== pid);
        onIt = 1;
        process.kill(worker as number, 'SIGKILL');
      },
    );
    expect(onIt).toBe(1);
    expect(result.cutShort).toBeNull();
    const { breaks } = result;
    if (breaks === null) throw new Error('the run has no account of breaks');
    const broke = Object.values(breaks.causes).reduce((sum, times) => sum + times, 0);
    // The kernel spreads connections over the two.
    expect(breaks.connections).toBeGreaterThan(5);
    expect(breaks.connections).toBeLessThan(55);
    expect([broke, breaks.returned, breaks.away]).toEqual([breaks.connections, breaks.connections, 0]);
    expect(breaks.awayMs.p50).toBeGreaterThanOrEqual(250);
    expect(result.connections).toMatchObject({ target: 60, open: 60, failed: {} });
    expect([result.lost, result.duplicates, result.outOfOrder, breaks.lost]).toEqual([0, 0, 0, 0]);
    // One process of the server is another one than at the beginning.
    expect(result.server.bytesPerConnection).toBeNull();
    return { ...result, breaks };
  };

  it.each(['room', 'user', 'all', 'mix'] as const)('%s: native clients resume, and nothing is lost', async (mode) => {
    const rooms = mode === 'all' || mode === 'user' ? 1 : 3;
    const result = await disturbed({ mode, rooms, dialect: 'native' });
    expect([result.delivered, result.completeness]).toEqual([result.expected, 1]);
    expect(result.breaks).toMatchObject({ gapped: 0, missed: 0 });
    expect(result.breaks.resumed).toBeGreaterThan(0);
    expect([result.unknown, result.audit.byNumber]).toEqual([0, 60]);
    expect(result.assertions.every(({ holds }) => holds)).toBe(true);
    // What came late for that reason is in no latency.
    const measured = result.latencies.reduce((sum, [, count]) => sum + count, 0);
    expect(measured).toBe(result.delivered - result.breaks.resumed);
  });

  it('native clients over WebSocket resume, too', async () => {
    const result = await disturbed({ mode: 'mix', dialect: 'native' }, 'ws');
    expect([result.delivered, result.completeness]).toEqual([result.expected, 1]);
  });

  it.each(['tcp', 'ws'] as const)(
    "imgo's clients over %s miss what a room was sent meanwhile, no more",
    async (transport) => {
      const result = await disturbed({ mode: 'room', dialect: 'imgo' }, transport);
      const { breaks, expected, delivered } = result;
      expect(breaks.missed).toBe(expected - delivered);
      expect(breaks.missed).toBeGreaterThan(0);
      expect(breaks.gapped).toBe(0);
      expect(result.completeness).toBeCloseTo(delivered / expected, 9);
      expect(result.notes.join('\n')).toMatch(/connections that broke came back as clients of this dialect do/);
    },
  );

  it('where they are not to come back they are gone, and counted so', async () => {
    const { http, tcp, pid } = server.ready;
    const access = { http, clients: [`tcp://${tcp}`], key: undefined, native: true, pid };
    let killed = false;
    const result = await run({ durationMs: 2_500 }, access, (_stop, { phase, phaseSeconds }) => {
      if (killed || phase !== 'measure' || phaseSeconds < 1) return;
      killed = true;
      const [worker] = processTree(pid).filter((one) => one !== pid);
      process.kill(worker as number, 'SIGKILL');
    });
    expect(result.breaks).toBeNull();
    const failed = Object.values(result.connections.failed).reduce((sum, times) => sum + times, 0);
    expect(result.connections.open).toBe(60 - failed);
    expect([failed > 5, result.lost > 0]).toEqual([true, true]);
  });
});
