// `imgo serve --nodes`: a small cluster of real processes on real Kafka and Redis. What is pushed arrives whichever of them
// holds the client and whichever dies; a node can be emptied; all are shown, and end together.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Client, connect } from '../../src/client/index.js';
import { TestApi, until } from '../harness/api.js';
import { LAUNCHER, type RunningServer, startServer } from '../harness/server.js';
import { sharedKafka, sharedRedis, uniquePrefix } from './shared.js';

interface Node {
  readonly node: string;
  readonly pid: number;
  readonly roles: readonly string[];
  readonly http?: string;
  readonly tcp?: string;
}

interface Traced {
  readonly steps: readonly {
    readonly node: string;
    readonly step: string;
    readonly partition?: number;
    readonly offset?: number;
  }[];
  readonly verdict: { readonly outcome: string };
}

const run = promisify(execFile);
const clients: Client[] = [];
const STARTER = 'test/harness/server-starter.ts';
let folder: string;
let settings: string[];
let env: Record<string, string>;
let server: RunningServer;
let nodes: readonly Node[];
const of = (role: string): readonly Node[] => nodes.filter(({ roles }) => roles.includes(role));
const api = new TestApi(() => of('logic')[0]?.http ?? '');
const other = new TestApi(() => of('logic')[1]?.http ?? '');

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'imgo-nodes-test-'));
  const name = uniquePrefix();
  const kafka = (await sharedKafka()).join(',');
  settings = ['--nodes', '2', '--kafka', kafka, '--redis', await sharedRedis()];
  for (const one of [`redis.prefix=${name}`, `queue.kafka.topic=${name}`, `queue.kafka.group=${name}`])
    settings.push('--set', one);
  settings.push('--set', 'queue.kafka.partitions=8', '--set', 'rooms.join=open');
  env = { XDG_STATE_HOME: join(folder, 'state'), IMGO_LISTEN__HTTP: '0', IMGO_LISTEN__WS: '0', IMGO_LISTEN__TCP: '0' };
  server = await startServer(settings, env);
  nodes = (server.ready as unknown as { nodes: readonly Node[] }).nodes;
});

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await server?.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

/** A command of the command line: what it printed, whatever its status. */
async function command(...args: readonly string[]): Promise<{ readonly stdout: string; readonly code: number }> {
  try {
    const { stdout } = await run(LAUNCHER, [...args, '--server', of('logic')[0]?.http ?? '']);
    return { stdout, code: 0 };
  } catch (error) {
    const { stdout, code } = error as { stdout: string; code: number };
    return { stdout, code };
  }
}

async function listen(user: string, comet: Node | undefined) {
  const got: string[] = [];
  const opened = Promise.withResolvers<void>();
  let times = 0;
  const token = await api.token(user);
  const client = connect(
    { url: `tcp://${comet?.tcp}`, token, device: 'phone' },
    {
      opened: () => {
        times++;
        opened.resolve();
      },
      message: ({ payload, redelivered }) => {
        const text = Buffer.from(payload).toString();
        if (!redelivered || !got.includes(text)) got.push(text);
      },
    },
  );
  clients.push(client);
  await opened.promise;
  return { got, times: () => times };
}

test('messages reach users, rooms and everybody on any comet, through any logic, in order', async () => {
  expect(nodes.map(({ roles }) => roles.join()).sort()).toEqual(['comet', 'comet', 'job', 'job', 'logic', 'logic']);
  const listening = [];
  for (let at = 0; at < 8; at++) listening.push(await listen(`u${at}`, of('comet')[at % 2]));
  for (let n = 0; n < 25; n++) {
    for (let at = 0; at < 8; at++) await (n % 2 === 0 ? api : other).push({ user: `u${at}` }, n);
  }
  await api.push({ all: true }, 'all');
  const expected = Array.from({ length: 25 }, (_, n) => String(n));
  for (const { got } of listening) {
    await until('all', () => got.length >= 26);
    expect(got.filter((one) => one !== '"all"')).toEqual(expected);
  }
});

test('all are shown, and well', async () => {
  await until('well', async () => (await command('status')).code === 0);
  const { stdout } = await command('nodes', '--json');
  const shown = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { node: string; report: object | null });
  expect(shown.map(({ node }) => node).sort()).toEqual(nodes.map(({ node }) => node).sort());
  expect(shown.every(({ report }) => report !== null)).toBe(true);
});

test('a message is traced through Kafka and Redis, whichever logic is asked', async () => {
  const { got } = await listen('traced', of('comet')[0]);
  const { stdout } = await command('push', '--user', 'traced', '1', '--trace', '--json');
  const [pushed, found] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>) as [{ log: string; id: string }, Traced];
  expect(got).toEqual(['1']);
  expect(found.verdict).toMatchObject({ outcome: 'acknowledged' });
  const where = (step: string) => found.steps.filter((one) => one.step === step).map(({ node }) => node);
  const named = (role: string) => of(role).map(({ node }) => node);
  expect(named('logic')).toEqual(expect.arrayContaining(where('accepted')));
  expect(where('accepted')).toHaveLength(1);
  for (const step of ['taken', 'applied', 'looked_up']) {
    expect(where(step), step).toHaveLength(1);
    expect(named('job')).toEqual(expect.arrayContaining(where(step)));
  }
  expect(where('acknowledged')).toEqual([of('comet')[0]?.node]);
  const taken = found.steps.find(({ step }) => step === 'taken');
  expect(`${taken?.offset}`).toBe(pushed.id.split('-')[1]);
  expect(taken?.partition).toBeLessThan(8);
  // Of one that nobody takes, what is known apart; and one that is not stored, by its mark.
  const ephemeral = await command('push', '--user', 'nobody', '1', '--ttl', '0', '--trace', '--json');
  expect(ephemeral.stdout).toContain('"reason":"ephemeral"');
});

test.each(['job', 'logic', 'comet'])('a %s that is killed is started again, and nothing is lost', async (role) => {
  const [victim] = of(role);
  const listening = [];
  for (let at = 0; at < 4; at++) listening.push(await listen(`${role}${at}`, of('comet')[at % 2]));
  const through = role === 'logic' ? other : api;
  process.kill(victim?.pid ?? 0, 'SIGKILL');
  for (let n = 0; n < 25; n++) for (let at = 0; at < 4; at++) await through.push({ user: `${role}${at}` }, n);
  const expected = Array.from({ length: 25 }, (_, n) => String(n));
  for (const { got } of listening) {
    await until('all', () => got.length >= 25);
    expect(got).toEqual(expected);
  }
  if (role !== 'comet') for (const { times } of listening) expect(times(), 'clients saw nothing').toBe(1);
  await until('well again', async () => (await command('status')).code === 0);
});

test('a comet is emptied; the command says how far it is', async () => {
  const [, comet] = of('comet');
  await listen('drained', comet);
  const { stdout, code } = await command('drain', comet?.node ?? '', '--rate', '1000');
  expect(code).toBe(0);
  expect(stdout.trim().split('\n').at(-1)).toBe('0');
  const state = async () =>
    (await command('nodes', '--json')).stdout.split('\n').find((line) => line.includes(`"${comet?.node}"`));
  await until('it says so', async () => (await state())?.includes('"state":"draining"') === true);
  expect((await command('drain', comet?.node ?? '', '--cancel')).code).toBe(0);
  await listen('again', comet);
});

test('all end with who started them', async () => {
  expect(await server.end('SIGTERM')).toBe(0);
});

test('also where that one is a script that is killed', async () => {
  const starter = spawn(process.execPath, ['--import', './scripts/typescript.mjs', STARTER, ...settings], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: starter.stdout }), 'line')) as [string];
  const started = JSON.parse(line) as { readonly pid: number; readonly nodes: readonly Node[] };
  const pids = [started.pid, ...started.nodes.map(({ pid }) => pid)];
  expect(pids.filter(isAlive)).toEqual(pids);
  starter.kill('SIGKILL');
  await until('all are gone', () => !pids.some(isAlive));
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
