// Clients that come with many others: who is refused is told when to come again, and who hung up is not opened for nobody.

import { expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import { encodeFrame, Op } from '../../../src/protocol/frame.js';
import { NATIVE_VER } from '../../../src/protocol/native.js';
import { encodeNativeAuth, parseDisconnect } from '../../../src/protocol/native-json.js';
import type { Logic } from '../../../src/server/logic/sessions.js';
import type { LogicService, OpenRequest } from '../../../src/server/rpc/services.js';
import { Live } from './live.js';

/** logic, with another way to open, and a way to call off. */
function withOpen(logic: Logic, open: LogicService['open'], callOff: (request: OpenRequest) => void): LogicService {
  return new Proxy<LogicService>(logic, {
    get(target, name) {
      if (name === 'open') return open;
      if (name === 'callOff') return callOff;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

async function auth(live: Live, user: string) {
  const client = await live.tcp();
  client.send(encodeFrame(NATIVE_VER, Op.AUTH, 1, encodeNativeAuth({ token: await live.token(user, 'phone') })));
  return client;
}

const reasonsOf = async (live: Live) => (await live.comet.service.stats()).reasons;

test('who cannot be let in now is told when to come again, as logic says', async () => {
  const again = { untouched: 1, againMinMs: 7_000, againMaxMs: 14_000 };
  await using live = await Live.start({
    between: (logic) =>
      withOpen(
        logic,
        async () => {
          throw new ImgoError('overloaded', { reason: 'sessions to be opened', ...again });
        },
        () => undefined,
      ),
  });
  const client = await auth(live, 'u');
  await client.end();
  expect(client.frames.map(({ op }) => op)).toEqual([Op.DISCONNECT]);
  expect(parseDisconnect(Buffer.from(client.frames[0]?.body ?? ''))).toMatchObject({
    code: 4009,
    reconnect: { minMs: 7_000, maxMs: 14_000 },
  });
  expect(await reasonsOf(live)).toMatchObject({ refused_open: 1, closed_unavailable: 1 });
});

test('an open whose client hangs up is called off; those that wait for others do not begin', async () => {
  const asked: OpenRequest[] = [];
  const calledOff: OpenRequest[] = [];
  const slow = Promise.withResolvers<void>();
  await using live = await Live.start({
    between: (logic) =>
      withOpen(
        logic,
        async (request) => {
          asked.push(request);
          await slow.promise;
          return logic.open(request);
        },
        (request) => void calledOff.push(request),
      ),
  });
  const clients = [];
  for (let at = 0; at < 70; at++) clients.push(await auth(live, `u${at}`));
  await expect.poll(() => asked.length).toBe(64);
  expect(asked[0]?.withinMs).toBeGreaterThan(0);
  expect(asked[0]?.withinMs).toBeLessThanOrEqual(5_000);
  clients[0]?.destroy();
  clients[69]?.destroy();
  await expect.poll(() => calledOff).toEqual([asked[0]]);
  await expect.poll(async () => (await live.comet.service.stats()).connections).toBe(68);
  slow.resolve();
  await Promise.all(clients.slice(1, 69).map((client) => client.next(Op.AUTH_REPLY)));
  expect(asked).toHaveLength(69);
  expect(await reasonsOf(live)).toMatchObject({ dropped_open: 1 });
});

test('clients that hang up in one instant are closed some a turn, and all of them', async () => {
  const HERD = 400;
  const atTurn: number[] = [];
  let turn = 0;
  let counting = true;
  const count = () => {
    turn++;
    if (counting) setImmediate(count);
  };
  const all = Promise.withResolvers<void>();
  const closed = (logic: Logic): LogicService['close'] => {
    return (handle, ...more) => {
      atTurn.push(turn);
      if (atTurn.length === HERD) all.resolve();
      return logic.close(handle, ...more);
    };
  };
  await using live = await Live.start({
    between: (logic) =>
      new Proxy<LogicService>(logic, {
        get(target, name) {
          if (name === 'close') return closed(logic);
          const value: unknown = Reflect.get(target, name);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }),
  });
  const clients = await Promise.all(
    Array.from({ length: HERD }, async (_, n) => live.native({ token: await live.token(`u${n}`) })),
  );
  setImmediate(count);
  for (const { socket } of clients) socket.end();
  await all.promise;
  counting = false;
  const each = Map.groupBy(atTurn, (one) => one);
  // 64 as they are read, and as many of those that wait.
  expect(Math.max(...[...each.values()].map(({ length }) => length))).toBeLessThanOrEqual(128);
  expect((await live.stats()).sessions).toBe(0);
});

test('a client that says something and hangs up gets the answer before its connection closes', async () => {
  await using live = await Live.start();
  const client = await live.native({ token: await live.token('u') });
  client.send(encodeFrame(NATIVE_VER, Op.HEARTBEAT, 9));
  client.socket.end();
  await client.end();
  expect(client.frames.at(-1)).toMatchObject({ op: Op.HEARTBEAT_REPLY, seq: 9 });
});
