// Operating a server from the command line: sessions, rooms and nodes by page and filter, sending clients away, emptying a
// worker and calling that off; what does not exist is said.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, connect } from '../../src/client/index.js';
import type { RoomId } from '../../src/protocol/ids.js';
import { TestApi, until } from '../harness/api.js';
import { call } from '../harness/pusher.js';
import { LAUNCHER, type RunningServer, startServer } from '../harness/server.js';

const folder = mkdtempSync(join(tmpdir(), 'imgo-operate-'));
const env = { XDG_STATE_HOME: join(folder, 'state'), IMGO_ROOMS__JOIN: 'open', IMGO_STORE__RESERVE: '1MiB' };
const COUNT = 12;
let server: RunningServer;
const clients: Client[] = [];
const api = new TestApi(() => server.ready.http);

interface Running {
  readonly child: ChildProcess;
  stdout: string;
  stderr: string;
  readonly ended: Promise<number | null>;
}

function start(...args: readonly string[]): Running {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(LAUNCHER, [...args, '--server', server.ready.http], {
    env: { PATH, HOME, LANG: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const running = { child, stdout: '', stderr: '', ended: once(child, 'close').then(([status]) => status as number) };
  child.stdout.on('data', (chunk: Buffer) => {
    running.stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    running.stderr += chunk.toString();
  });
  return running;
}

async function imgo(...args: readonly string[]) {
  const running = start(...args);
  const status = await running.ended;
  const objects = running.stdout.split('\n').filter((line) => line.startsWith('{'));
  return { ...running, status, objects: objects.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

async function joining(user: string, room: string): Promise<{ readonly id: string; readonly opened: () => number }> {
  const made = await call(`${server.ready.http}/v1/tokens`, 'POST', JSON.stringify({ user, ttl: '1d' }));
  const { id, token } = JSON.parse(made.body) as { id: string; token: string };
  let opened = 0;
  const rooms = [room as RoomId];
  const client = connect(
    { url: `tcp://${server.ready.tcp}`, token, rooms },
    { opened: () => void opened++, message: () => undefined },
  );
  clients.push(client);
  await until(`${user} is connected`, () => opened > 0);
  return { id, opened: () => opened };
}

beforeAll(async () => {
  const ports = ['--http', '0', '--tcp', '0', '--ws', '0'];
  server = await startServer(
    ['--memory', ...ports, '--workers', '2', '--set', 'drain.reconnect=1s,1s', '--set', 'observe.payloads=allowed'],
    env,
  );
  for (let at = 0; at < COUNT; at++) await joining(`u${at}`, at % 3 === 0 ? 'live://a' : 'other');
});

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await server.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

/** All pages, by the cursor that each names on stderr. */
async function paged(...args: readonly string[]): Promise<readonly Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  let cursor: string | undefined;
  do {
    const more = cursor === undefined ? [] : ['--cursor', cursor];
    const { status, objects, stderr } = await imgo(...args, ...more, '--json');
    expect(status, stderr).toBe(0);
    found.push(...objects);
    cursor = /--cursor (\S+)/.exec(stderr)?.[1];
  } while (cursor !== undefined);
  return found;
}

describe('sessions', () => {
  test('are listed page by page, each once, also by node and by room', async () => {
    const all = await paged('sessions', '--limit', '5');
    const users = (list: readonly Record<string, unknown>[]) => list.map(({ user }) => user).sort();
    expect(users(all)).toEqual(Array.from({ length: COUNT }, (_, at) => `u${at}`).sort());
    expect(users(await paged('sessions', '--room', 'live://a', '--limit', '3'))).toEqual(['u0', 'u3', 'u6', 'u9']);
    const nodes = [...new Set(all.map(({ node }) => String(node)))];
    const byNode = await Promise.all(nodes.map((node) => paged('sessions', '--node', node, '--limit', '4')));
    expect(users(byNode.flat())).toEqual(users(all));
    for (const [at, list] of byNode.entries())
      expect(new Set(list.map(({ node }) => node))).toEqual(new Set([nodes[at]]));
  });

  test('of who is not there are said not to be', async () => {
    expect((await imgo('sessions', '--user', 'nobody')).stderr).toBe('That user has no sessions.\n');
    expect((await imgo('sessions', '--room', 'nowhere')).stderr).toBe('Nobody is in that room.\n');
    const node = await imgo('sessions', '--node', 'n9');
    expect([node.status, node.stderr]).toEqual([5, expect.stringContaining('node_not_found · 5')]);
  });
});

describe('rooms and nodes', () => {
  test('are listed by prefix, page and role', async () => {
    expect(await paged('rooms', '--limit', '1')).toEqual([
      { room: 'live://a', members: 4 },
      { room: 'other', members: COUNT - 4 },
    ]);
    expect(await paged('rooms', '--prefix', 'live://')).toEqual([{ room: 'live://a', members: 4 }]);
    expect(await paged('rooms', '--prefix', 'other')).toEqual([{ room: 'other', members: COUNT - 4 }]);
    expect((await imgo('rooms', '--prefix', 'x')).stderr).toBe('No rooms.\n');
    const nodes = await paged('nodes', '--role', 'comet');
    expect(nodes).toHaveLength(2);
    expect(await paged('nodes', String(nodes[0]?.['node']))).toHaveLength(1);
    const none = await imgo('nodes', 'n9');
    expect([none.status, none.stderr]).toEqual([5, expect.stringContaining('node_unknown · 5')]);
  });
});

describe('kick', () => {
  test('closes the sessions of a token and no other; the token stays good', async () => {
    const mine = await joining('kicked', 'other');
    const { stdout, status } = await imgo('kick', '--token', mine.id);
    expect([status, stdout]).toEqual([0, '1\n']);
    expect((await imgo('sessions', '--user', 'u0', '--json')).objects).toHaveLength(1);
    const none = await imgo('kick', '--user', 'nobody');
    expect([none.status, none.stdout]).toEqual([0, '0\n']);
    expect(none.stderr).toBe('That user has no sessions: nothing was closed.\n');
    const unknown = await imgo('kick', '--token', 't_nothing');
    expect([unknown.status, unknown.stderr]).toEqual([5, expect.stringContaining('token_not_found · 5')]);
    expect((await imgo('kick', '--token', 'a', '--user', 'b')).status).toBe(2);
  });
});

describe('push --dry-run', () => {
  test('names the sessions and nodes of users, and counts those of rooms and of all', async () => {
    const users = await imgo('push', '--user', 'u0', '--user', 'nobody', '1', '--dry-run', '--json');
    expect(users.objects[0]).toMatchObject({
      counts: { targets: 2, online: 1, sessions: 1, nodes: 1, kept: 2 },
      targets: [
        { log: 'user:u0', sessions: [{ dialect: 'native tcp' }] },
        { log: 'user:nobody', sessions: [] },
      ],
    });
    const room = await imgo('push', '--room', 'live://a', '1', '--dry-run', '--json');
    expect(room.objects[0]).toMatchObject({ counts: { sessions: 4 } });
    const all = await imgo('push', '--all', '1', '--dry-run', '--json');
    expect(all.objects[0]).toMatchObject({ counts: { nodes: 2 } });
    expect((await api.kept('u0')).head).toBe('0-0');
  });
});

describe('msg --payload', () => {
  test.each(['{"message":12345678901234567890,"base64":"not it"}', '"plain"'])(
    'shows %s as it was pushed',
    async (body) => {
      const { stdout: id } = await imgo('push', '--user', 'says', body);
      const { status, stdout } = await imgo('msg', `user:says@${id.trim()}`, '--payload');
      expect([status, stdout.split('\n').at(-3)]).toEqual([0, `  ${body}`]);
    },
  );
});

describe('drain', () => {
  test('shows how far it is, and Ctrl-C calls it off and says so', async () => {
    const all = await paged('sessions');
    const node = String(all[0]?.['node']);
    const count = all.filter((one) => one['node'] === node).length;
    const running = start('drain', node, '--rate', '1');
    await until('it has begun', () => running.stdout.includes('\n'));
    running.child.kill('SIGINT');
    expect(await running.ended).toBe(130);
    expect(Number(running.stdout.split('\n')[0])).toBeGreaterThanOrEqual(count - 1);
    expect(running.stderr).toContain('The drain is called off.\n');
    expect(running.stderr).toMatch(new RegExp(`^${node} takes connections again; it has \\d+\\.$`, 'm'));
    expect((await imgo('nodes', '--state', 'draining')).stdout).toBe('');
    const unknown = await imgo('drain', 'n9');
    expect([unknown.status, unknown.stderr]).toEqual([5, expect.stringContaining('node_not_found · 5')]);
  });

  test('to the end: none is left, and they are at the other worker', async () => {
    const node = String((await paged('sessions'))[0]?.['node']);
    const { status, stdout } = await imgo('drain', node, '--rate', '1000/s');
    expect([status, stdout.trim().split('\n').at(-1)]).toEqual([0, '0']);
    await until('all are elsewhere', async () => (await paged('sessions')).length >= COUNT);
    expect(await paged('sessions', '--node', node)).toEqual([]);
    expect((await paged('nodes', '--state', 'draining')).map((one) => one['node'])).toEqual([node]);
  });
});
