// `imgo serve --workers N`: processes on the same ports behind one store. Whichever of them a client is on, it gets what is
// pushed; one that dies takes nothing with it but its connections.
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Client, connect } from '../../src/client/index.js';
import type { RoomId } from '../../src/protocol/ids.js';
import { TestApi, until } from '../harness/api.js';
import { call } from '../harness/pusher.js';
import { type RunningServer, startServer } from '../harness/server.js';
import { workersBelow } from '../harness/workers.js';

const WORKERS = 3;
const CLIENTS = 24;

let folder: string;
let server: RunningServer;
const api = new TestApi(() => server.ready.http);
const clients: Client[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'imgo-workers-test-'));
  const ports = ['--http', '0', '--ws', '0', '--tcp', '0'];
  server = await startServer([...ports, '--data', join(folder, 'data'), '--workers', String(WORKERS)], {
    XDG_STATE_HOME: join(folder, 'state'),
    TMPDIR: folder,
    IMGO_STORE__RESERVE: '1MiB',
    IMGO_ROOMS__JOIN: 'open',
  });
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await server.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

const workers = () => workersBelow(folder);

interface NodeLine {
  readonly node: string;
  readonly incarnation: number;
  readonly state: string;
  readonly comet?: { readonly sessions: number };
}

async function nodes(): Promise<readonly NodeLine[]> {
  const { body } = await call(`${server.ready.http}/v1/nodes`, 'GET', undefined);
  return (JSON.parse(body) as { items: NodeLine[] }).items;
}

/** What each client got, and clients of all users on both transports. */
async function connectAll(): Promise<readonly string[][]> {
  const got: string[][] = [];
  const opened = new Set<number>();
  for (let at = 0; at < CLIENTS; at++) {
    const messages: string[] = [];
    got.push(messages);
    const { tcp, ws } = server.ready;
    clients.push(
      connect(
        {
          url: at % 2 === 0 ? `tcp://${tcp}` : ws,
          token: await api.token(`u${at}`),
          device: 'phone',
          rooms: ['r' as RoomId],
        },
        {
          message: ({ payload, redelivered }) => {
            const text = Buffer.from(payload).toString();
            // What may come again says so; what does not say so counts, also when it came before.
            if (!redelivered || !messages.includes(text)) messages.push(text);
          },
          opened: () => void opened.add(at),
        },
      ),
    );
  }
  await until('all sessions', () => opened.size === CLIENTS);
  return got;
}

describe('workers', () => {
  it('shares its ports among its own processes alone', async () => {
    const { port } = new URL(`tcp://${server.ready.tcp}`);
    for (const workers of ['1', '2']) {
      const another = startServer(['--http', '0', '--ws', '0', '--tcp', port, '--memory', '--workers', workers]);
      await expect(another).rejects.toThrow('port_in_use');
    }
  });

  it('share the ports; pushes to users, a room and everybody reach every client, whichever holds it', async () => {
    expect(workers().length).toBe(WORKERS);
    const got = await connectAll();
    const held = (await nodes()).map(({ comet }) => comet?.sessions ?? 0);
    expect(held.length).toBe(WORKERS);
    expect(held.reduce((sum, one) => sum + one, 0)).toBe(CLIENTS);
    for (let at = 0; at < CLIENTS; at++) await api.push({ user: `u${at}` }, 'mine');
    await api.push({ room: 'r' }, 'room');
    await api.push({ all: true }, 'all');
    for (const messages of got) {
      await until('three messages', () => messages.length >= 3);
      expect([...messages].sort()).toEqual(['"all"', '"mine"', '"room"']);
    }
    const { body } = await call(`${server.ready.http}/v1/rooms/r`, 'GET', undefined);
    expect((JSON.parse(body) as { members: number }).members).toBe(CLIENTS);
  });

  it('that dies by SIGKILL is started again; what was pushed meanwhile reaches those who come back', async () => {
    const got = await connectAll();
    const before = await nodes();
    const [victim] = workers() as [number];
    process.kill(victim, 'SIGKILL');
    const expected = new Map<number, string[]>();
    for (let n = 0; n < 100; n++) {
      const at = n % CLIENTS;
      await api.push({ user: `u${at}` }, n);
      expected.set(at, [...(expected.get(at) ?? []), String(n)]);
    }
    await until('another process', () => workers().length === WORKERS && !workers().includes(victim));
    for (const [at, messages] of expected) {
      await until(`all messages of u${at}`, () => messages.every((one) => got[at]?.includes(one) === true));
      expect(got[at]?.filter((one) => messages.includes(one))).toEqual(messages);
    }
    await until('all nodes', async () => (await nodes()).filter(({ state }) => state === 'ok').length === WORKERS);
    const after = await nodes();
    const older = new Map(before.map(({ node, incarnation }) => [node, incarnation]));
    const renewed = after.filter(({ node, incarnation, state }) => state === 'ok' && incarnation !== older.get(node));
    expect(renewed.length, 'one has a new incarnation').toBe(1);
    expect(server.stderr()).toContain('a worker ended; it is started again');
  });

  it('that hangs is replaced, and its clients come back to another', async () => {
    const got = await connectAll();
    const [victim] = workers() as [number];
    process.kill(victim, 'SIGSTOP');
    await until('another process', () => workers().length === WORKERS && !workers().includes(victim));
    for (let at = 0; at < CLIENTS; at++) await api.push({ user: `u${at}` }, 'after');
    for (const messages of got) await until('a message', () => messages.includes('"after"'));
  });

  it('stay when the terminal that started them hangs up', async () => {
    const got = await connectAll();
    const before = workers();
    for (const pid of before) process.kill(pid, 'SIGHUP');
    for (let at = 0; at < CLIENTS; at++) await api.push({ user: `u${at}` }, 'still there');
    for (const messages of got) await until('a message', () => messages.includes('"still there"'));
    expect(workers()).toEqual(before);
  });

  it('end with their parent when it stops', async () => {
    await connectAll();
    expect(await server.end('SIGTERM')).toBe(0);
    expect(workers()).toEqual([]);
  });

  it('take nobody new when their parent was killed, and end when their lease has', async () => {
    await connectAll();
    expect(await server.end('SIGKILL')).toBe('SIGKILL');
    const port = Number(server.ready.tcp.split(':')[1]);
    await until(
      'refused connections',
      () =>
        new Promise((resolve) => {
          const socket = dial(port, '127.0.0.1');
          socket.once('connect', () => resolve(false)).once('error', () => resolve(true));
          socket.once('connect', () => socket.destroy());
        }),
    );
    await until('no process', () => workers().length === 0);
  });
});
