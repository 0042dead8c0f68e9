// `imgo bench` as it is typed: a small run against a server of its own, and what it says.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { LAUNCHER } from '../harness/server.js';

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function bench(...args: readonly string[]): Promise<Ran> {
  const child = spawn(LAUNCHER, ['bench', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, stdout, stderr })));
}

it('delivers every message to every connection, in order, and says so as one object', async () => {
  const { status, stdout, stderr } = await bench(...'-c 300 -d 2s --warmup 0 --per-process 100 --json'.split(' '));
  expect(stderr).toContain('PLAN  room · 300 tcp connections · 40 msg/s for 2 s');
  expect(stderr).toContain('client  3 × 100');
  const result = JSON.parse(stdout);
  expect(result.connections).toMatchObject({ target: 300, open: 300, failed: {} });
  expect([result.offered, result.accepted, result.unknown]).toEqual([80, 80, 0]);
  expect([result.delivered, result.completeness]).toEqual([300 * 80, 1]);
  expect([result.lost, result.duplicates, result.outOfOrder]).toEqual([0, 0, 0]);
  expect(result.audit.byPayload).toBe(300);
  expect(result.plan).toMatchObject({ workers: 3, receivers: [100, 100, 100] });
  expect(result.assertions.every(({ holds }: { holds: boolean }) => holds)).toBe(true);
  expect([0, 98]).toContain(status);
});

it('is cut short by Ctrl-C with the account of what there was', async () => {
  const child = spawn(LAUNCHER, ['bench', '-c', '50', '-d', '60s', '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      if (/MEASURE\s+[1-9]/.test(chunk.toString())) resolve();
    });
  });
  child.kill('SIGINT');
  expect(await closed).toBe(130);
  const result = JSON.parse(stdout);
  expect(result.accepted).toBeGreaterThan(0);
  expect(result.accepted).toBeLessThan(2_400);
  expect([result.lost, result.duplicates, result.outOfOrder]).toEqual([0, 0, 0]);
});

it.each<[readonly NodeJS.Signals[], number | null]>([
  [['SIGINT', 'SIGTERM'], 130],
  [['SIGKILL'], null],
])('ends at once after %j, and leaves no server behind', async (signals, status) => {
  const child = spawn(LAUNCHER, ['bench', '-c', '20', '-d', '60s', '--warmup', '0'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const closed = new Promise<number | null>((resolve) => child.on('exit', resolve));
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      if (/MEASURE\s+[1-9]/.test(chunk.toString())) resolve();
    });
  });
  const pids = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ').map(Number);
  expect(pids.length).toBeGreaterThan(1);
  for (const signal of signals) child.kill(signal);
  expect(await closed).toBe(status);
  await vi.waitFor(() => expect(pids.filter(isAlive)).toEqual([]), { timeout: 30_000, interval: 50 });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

it('says what it cannot do before it starts anything', async () => {
  const { status, stderr, stdout } = await bench('--conns', '100000000');
  expect([status, stdout]).toEqual([5, '']);
  expect(stderr).toContain('bench_too_big · 5');
  expect((await bench('--conns', '0')).status).toBe(2);
  expect((await bench('--server', 'http://127.0.0.1:1')).status).toBe(3);
  const dry = await bench('--dry-run', '-c', '1234', '--json');
  expect([dry.status, JSON.parse(dry.stdout).plan.connections]).toEqual([0, 1234]);
});
