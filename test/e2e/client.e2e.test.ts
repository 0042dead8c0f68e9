// The client library against a real server process, killed, stopped and started again on the same data and ports.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type Client,
  type ClientHandlers,
  type ClientOptions,
  type Closed,
  connect,
  type Message,
  type Opened,
} from '../../src/client/index.js';
import { formatId, type RoomId } from '../../src/protocol/ids.js';
import type { Gap } from '../../src/protocol/native-json.js';
import { TestApi, until } from '../harness/api.js';
import { freePort } from '../harness/ports.js';
import { type RunningServer, startServer } from '../harness/server.js';

type Transport = 'tcp' | 'ws';
const TRANSPORTS: readonly Transport[] = ['tcp', 'ws'];

const folder = mkdtempSync(join(tmpdir(), 'imgo-client-'));
const env = { XDG_STATE_HOME: join(folder, 'state'), IMGO_DELIVERY__KEEP__MESSAGES: '20', IMGO_STORE__RESERVE: '1MiB' };
let args: readonly string[];
let server: RunningServer;
const api = new TestApi(() => server.ready.http);
let users = 0;
const aUser = (): string => String(++users);

/** A client that writes down everything it is told. */
class Recorder {
  readonly messages: Message[] = [];
  readonly gaps: Gap[] = [];
  readonly opened: Opened[] = [];
  readonly closed: Closed[] = [];
  readonly client: Client;

  constructor(transport: Transport, options: Omit<ClientOptions, 'url'>, handler?: ClientHandlers['message']) {
    const { tcp, ws } = server.ready;
    this.client = connect(
      { url: transport === 'tcp' ? `tcp://${tcp}` : ws, ...options },
      {
        message: (message) => {
          this.messages.push(message);
          return handler?.(message);
        },
        gap: (gap) => void this.gaps.push(gap),
        opened: (opened) => void this.opened.push(opened),
        closed: (closed) => void this.closed.push(closed),
      },
    );
    recorders.push(this);
  }

  get texts(): readonly string[] {
    return this.messages.map(({ payload }) => Buffer.from(payload).toString());
  }

  get ids(): readonly (string | undefined)[] {
    return this.messages.map(({ id }) => id && formatId(id));
  }

  isOpen(): Promise<void> {
    return until('an open connection', () => this.opened.length > 0);
  }

  has(count: number): Promise<void> {
    return until(`${count} messages`, () => this.messages.length >= count);
  }
}

const recorders: Recorder[] = [];

beforeAll(async () => {
  const [http, tcp, ws] = [await freePort(), await freePort(), await freePort()];
  args = ['--data', join(folder, 'data'), '--http', `${http}`, '--tcp', `${tcp}`, '--ws', `${ws}`];
  server = await startServer(args, env);
});
afterEach(async () => {
  await Promise.all(recorders.splice(0).map(({ client }) => client.close()));
});
afterAll(async () => {
  await server.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

async function restart(signal: NodeJS.Signals): Promise<void> {
  await server.end(signal);
  server = await startServer(args, env);
}

describe.each(TRANSPORTS)('over %s', (transport) => {
  it('messages arrive in order, and what the handler took moves the cursor on the server', async () => {
    const user = aUser();
    const recorder = new Recorder(transport, { token: await api.token(user), device: 'phone' });
    await recorder.isOpen();
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.push(await api.push({ user }, { n }));
    await recorder.has(5);
    expect(recorder.texts).toEqual([0, 1, 2, 3, 4].map((n) => `{"n":${n}}`));
    expect(recorder.ids).toEqual(ids);
    expect(recorder.messages.every(({ redelivered, log }) => !redelivered && log === `user:${user}`)).toBe(true);
    await until('the cursor', async () => {
      const [device] = (await api.kept(user)).devices.filter((one) => one.device.endsWith('phone'));
      return device?.cursor === ids.at(-1);
    });
  });

  it('what was pushed while the server was down or the client away arrives once, after a SIGKILL too', async () => {
    const user = aUser();
    const recorder = new Recorder(transport, { token: await api.token(user, { device: 'phone' }) });
    await recorder.isOpen();
    const before = await api.push({ user }, 'before');
    await recorder.has(1);
    await restart('SIGKILL');
    const after = [await api.push({ user }, 'after 1'), await api.push({ user }, 'after 2')];
    await recorder.has(3);
    await until('a second connection', () => recorder.opened.length >= 2);
    expect(recorder.opened.at(-1)?.again).toBe(true);
    const last = await api.push({ user }, 'last');
    await recorder.has(4);
    expect(recorder.ids).toEqual([before, ...after, last]);
  });

  it('what was not acknowledged comes again, flagged', async () => {
    const user = aUser();
    const token = await api.token(user, { device: 'phone' });
    const recorder = new Recorder(transport, { token, ack: 'none' });
    await recorder.isOpen();
    const ids = [await api.push({ user }, 1), await api.push({ user }, 2)];
    await recorder.has(2);
    const [first] = recorder.messages;
    if (first?.id === undefined) throw new Error('no id');
    recorder.client.acknowledge(first.id);
    await until('the cursor', async () => (await api.kept(user)).devices.some(({ cursor }) => cursor === ids[0]));
    await restart('SIGKILL');
    await recorder.has(3);
    expect(recorder.ids).toEqual([...ids, ids[1]]);
    expect(recorder.messages.map(({ redelivered }) => redelivered)).toEqual([false, false, true]);
  });

  it('is told a gap for what is kept no more', async () => {
    const user = aUser();
    const token = await api.token(user, { device: 'phone' });
    const first = new Recorder(transport, { token });
    await first.isOpen();
    await first.client.close();
    const ids: string[] = [];
    for (let n = 0; n < 30; n++) ids.push(await api.push({ user }, n));
    const again = new Recorder(transport, { token });
    await again.has(20);
    expect(again.ids).toEqual(ids.slice(10));
    expect(again.gaps.map(({ log, upTo }) => [log, formatId(upTo)])).toEqual([[`user:${user}`, ids[9]]]);
  });

  it('joins a room from its head, reads back with since, counts who is there, leaves', async () => {
    const room = `hall-${transport}` as RoomId;
    const token = await api.token(aUser(), { rooms: ['hall-*'] });
    const [one, other] = [new Recorder(transport, { token }), new Recorder(transport, { token })];
    await Promise.all([one.isOpen(), other.isOpen()]);
    const early = await api.push({ room }, 'early');
    expect(await one.client.join(room)).toMatchObject({ recovered: true });
    expect(await one.client.presence(room)).toBe(1);
    const ids = [await api.push({ room }, 'a'), await api.push({ room }, 'b')];
    await one.has(2);
    expect(one.ids).toEqual(ids);
    const [a] = one.messages;
    expect(a?.log).toBe(`room:${room}`);
    expect(await other.client.join(room, a?.id)).toMatchObject({ recovered: true });
    await other.has(1);
    expect(await one.client.presence(room)).toBe(2);
    await one.client.leave(room);
    expect(await other.client.presence(room)).toBe(1);
    const last = await api.push({ room }, 'c');
    await other.has(2);
    expect(other.ids).toEqual([ids[1], last]);
    expect(one.ids).toEqual(ids);
    expect(early).not.toBe(ids[0]);
    expect(await one.client.join('elsewhere' as RoomId)).toEqual({ room: 'elsewhere', error: 'join_refused' });
  });

  it('resumes rooms and broadcasts where it was, also those of which it never had a message', async () => {
    const room = `quiet-${transport}` as RoomId;
    const recorder = new Recorder(transport, { token: await api.token(aUser(), { rooms: [room] }), rooms: [room] });
    await recorder.isOpen();
    await restart('SIGKILL');
    const ids = [await api.push({ room }, 'to the room'), await api.push({ all: true }, 'to all')];
    await recorder.has(2);
    expect(recorder.ids.toSorted()).toEqual(ids.toSorted());
    await restart('SIGTERM');
    const more = [await api.push({ room }, 'again'), await api.push({ all: true }, 'again')];
    await recorder.has(4);
    expect(recorder.ids.slice(2).toSorted()).toEqual(more.toSorted());
    expect(recorder.gaps).toEqual([]);
  });

  it('stays away when a newer session of the device replaced it, comes back after a shutdown', async () => {
    const token = await api.token(aUser(), { device: 'phone' });
    const older = new Recorder(transport, { token });
    await older.isOpen();
    const newer = new Recorder(transport, { token });
    await newer.isOpen();
    expect(await older.client.ended).toMatchObject({ code: 4104, retryInMs: undefined });
    await restart('SIGTERM');
    await until('the second connection', () => newer.opened.length >= 2);
    expect(newer.closed[0]?.code).toBe(4000);
    expect(newer.closed[0]?.retryInMs).toBeGreaterThanOrEqual(1_000);
    expect(older.opened.length).toBe(1);
  });

  it('ends with the reason when the token is refused', async () => {
    const recorder = new Recorder(transport, { token: 'nobody knows this token' });
    expect(await recorder.client.ended).toMatchObject({ code: 4100, retryInMs: undefined });
  });

  it('a message whose handler threw comes again until it is taken', async () => {
    const user = aUser();
    let failures = 2;
    const recorder = new Recorder(transport, { token: await api.token(user, { device: 'phone' }) }, () => {
      if (failures-- > 0) throw new Error('not now');
    });
    await recorder.isOpen();
    const ids = [await api.push({ user }, 1), await api.push({ user }, 2)];
    await until('both taken', async () => (await api.kept(user)).devices.some(({ cursor }) => cursor === ids[1]));
    expect(recorder.ids).toEqual([ids[0], ids[0], ids[0], ids[1]]);
    expect(recorder.messages.map(({ redelivered }) => redelivered).slice(1, 3)).toEqual([true, true]);
  });

  it('a handler slower than its messages gets them all, in order', async () => {
    const user = aUser();
    const options = { token: await api.token(user, { device: 'phone' }), maxPendingBytes: 20_000 };
    let busy = 0;
    const recorder = new Recorder(transport, options, async () => {
      busy++;
      expect(busy).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 20));
      busy--;
    });
    await recorder.isOpen();
    const ids: string[] = [];
    for (let n = 0; n < 20; n++) ids.push(await api.push({ user }, 'x'.repeat(10_000)));
    await until('all', () => new Set(recorder.ids).size >= 20);
    const firsts = recorder.ids.filter((id, index) => recorder.ids.indexOf(id) === index);
    expect(firsts).toEqual(ids);
    const again = recorder.messages.filter((_message, index) => recorder.ids.indexOf(recorder.ids[index]) < index);
    expect(again.every(({ redelivered }) => redelivered)).toBe(true);
    expect(recorder.gaps).toEqual([]);
  });
});

describe('a client of a legacy dialect', () => {
  it.each([
    ['imgo', 'tcp'],
    ['imgo', 'ws'],
    ['goim1', 'tcp'],
    ['goim1', 'ws'],
    ['goim2', 'tcp'],
    ['goim2', 'ws'],
  ] as const)('%s over %s gets what waits for it, then what is pushed', async (dialect, transport) => {
    const user = aUser();
    const token = await api.token(user);
    await api.push({ user }, { waits: true });
    const goim = { mid: user, accepts: [4, 5, 1000] };
    const recorder = new Recorder(transport, { token, dialect, goim });
    await recorder.isOpen();
    await recorder.has(1);
    await api.push({ user }, { now: [1, '二', null] });
    await recorder.has(2);
    expect(recorder.texts).toEqual(['{"waits":true}', '{"now":[1,"二",null]}']);
  });
});
