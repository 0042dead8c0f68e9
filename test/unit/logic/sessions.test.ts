import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import type { NodeId, SessionId } from '../../../src/protocol/ids.js';
import { pause, systemClock } from '../../../src/server/clock.js';
import { logicDefaults } from '../../../src/server/logic/options.js';
import { createLogicService } from '../../../src/server/logic/sessions.js';
import type { OpenRequest } from '../../../src/server/rpc/services.js';
import { call, room, type Setup, setUp, user } from './setup.js';

let setup: Setup;
let base: string;

beforeEach(async () => {
  setup = await setUp();
  base = setup.http.addresses().http;
});
afterEach(async () => {
  await setup[Symbol.asyncDispose]();
});

async function token(body: object): Promise<{ id: string; token: string }> {
  const answer = await call(base, 'POST', '/v1/tokens', JSON.stringify(body));
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

/** What the comet asks for a session of this token. */
function asking(secret: string, incarnation: number): OpenRequest {
  return {
    credential: { kind: 'token', token: secret },
    comet: setup.comet.node,
    incarnation,
    seq: 100,
    dialect: 'native',
    transport: 'tcp',
    peer: '::1',
    device: undefined,
    cursor: undefined,
    rooms: undefined,
  };
}

async function refusal(opening: Promise<unknown>): Promise<string> {
  const error = await opening.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ImgoError);
  const { code, details } = error as ImgoError;
  return `${code}/${details['disconnect'] ?? ''}`;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await pause(systemClock, 2);
}

describe('open', () => {
  test('gives the user, the device and the position of the token', async () => {
    const made = await token({ user: 'u', device: 'phone', ttl: '1h' });
    const reply = await setup.open(made.token);
    expect(reply).toMatchObject({ user: 'u', device: 'phone', token: made.id, rooms: [], refusedRooms: [] });
    expect(reply.handle).toMatchObject({ device: 'phone', comet: 'c/1', dialect: 'native' });
    expect(reply.expiresAt).toBeGreaterThan(Date.now() + 3_500_000);
    expect(reply.start).toEqual({ epoch: 0, n: 0 });
  });

  test('refuses a token that is unknown, expired or revoked, and leaves no session behind', async () => {
    expect(await refusal(setup.open('nothing'))).toBe('token_refused/token_refused');
    const short = await token({ user: 'u', ttl: '1ms' });
    await pause(systemClock, 5);
    expect(await refusal(setup.open(short.token))).toBe('token_refused/token_expired');
    const gone = await token({ user: 'u' });
    await call(base, 'DELETE', `/v1/tokens/${gone.id}`);
    expect(await refusal(setup.open(gone.token))).toBe('token_refused/token_revoked');
    expect(await setup.buckets.sessionsOf([user('u')])).toEqual([[]]);
  });

  test('a token revoked between registering and checking opens nothing', async () => {
    const made = await token({ user: 'u' });
    const { buckets } = setup;
    const racing = createLogicService({
      ...setup,
      buckets: new Proxy(buckets, {
        get(target, name) {
          if (name !== 'register') {
            const value = Reflect.get(target, name);
            return typeof value === 'function' ? value.bind(target) : value;
          }
          return async (...args: Parameters<typeof buckets.register>) => {
            const result = await target.register(...args);
            await setup.credentials.revokeTokens({ id: made.id as never }, Date.now());
            return result;
          };
        },
      }),
      clock: systemClock,
      options: logicDefaults,
      cometFor: () => setup.comet,
    });
    const request = (await setup.open((await token({ user: 'other' })).token)).handle;
    const opening = racing.open(asking(made.token, request.incarnation));
    expect(await refusal(opening)).toBe('token_refused/token_revoked');
    expect(await buckets.sessionsOf([user('u')])).toEqual([[]]);
  });

  test('opens that wait for others begin no more when they are called off, or their time is over', async () => {
    const made = await token({ user: 'u' });
    const { incarnation } = (await setup.open((await token({ user: 'other' })).token)).handle;
    const slow = Promise.withResolvers<void>();
    let looked = 0;
    const credentials = Object.create(setup.credentials, {
      tokenByHash: {
        value: async (hash: string) => {
          looked++;
          await slow.promise;
          return setup.credentials.tokenByHash(hash);
        },
      },
    });
    const parts = { ...setup, credentials, clock: systemClock, options: logicDefaults, cometFor: () => setup.comet };
    const logic = createLogicService(parts);
    const comet = setup.comet.node;
    const open = (nonce: string, withinMs: number) =>
      logic.open({ ...asking(made.token, incarnation), nonce, withinMs });
    const first = Array.from({ length: 64 }, (_, at) => open(`first ${at}`, 60_000));
    const gone = refusal(open('gone', 60_000));
    const late = refusal(open('late', 1));
    const waiting = open('waiting', 60_000);
    logic.calledOff(comet, 'gone');
    logic.calledOff('c/2' as NodeId, 'waiting');
    expect(await gone).toBe('overloaded/');
    await pause(systemClock, 5);
    expect(looked).toBe(64);
    slow.resolve();
    await Promise.all([...first, waiting]);
    expect(await late).toBe('overloaded/');
    // Twice for each that was begun: before it is registered, and after.
    expect(looked).toBe(2 * 65);
  });

  test('a session that the store registered without answering in time is taken back', async () => {
    const made = await token({ user: 'u' });
    const { buckets } = setup;
    const late = createLogicService({
      ...setup,
      buckets: Object.create(buckets, {
        register: {
          value: async (...args: Parameters<typeof buckets.register>) => {
            await buckets.register(...args);
            throw new ImgoError('redis_unreachable', { address: 'somewhere', detail: 'no answer in time' });
          },
        },
        unregister: { value: buckets.unregister.bind(buckets) },
      }),
      clock: systemClock,
      options: logicDefaults,
      cometFor: () => setup.comet,
    });
    const { incarnation } = (await setup.open((await token({ user: 'other' })).token)).handle;
    const opening = late.open(asking(made.token, incarnation));
    expect(await refusal(opening)).toBe('redis_unreachable/');
    expect(await buckets.sessionsOf([user('u')])).toEqual([[]]);
  });

  test("goim's mid beside a token must be the token's user", async () => {
    const made = await token({ user: '7' });
    const as = (mid: string) =>
      setup.open(made.token, { credential: { kind: 'token', token: made.token, mid }, dialect: 'goim2' });
    expect((await as('7')).user).toBe('7');
    expect(await refusal(as('8'))).toBe('token_refused/token_refused');
    expect(await refusal(as('0'))).toBe('token_refused/token_refused');
  });

  test('a stated identity has no token and may join any room; mid 0 has no user', async () => {
    const reply = await setup.open('', {
      credential: { kind: 'stated', user: undefined, key: 'k' },
      dialect: 'goim2',
      rooms: [room('live://1')],
    });
    expect(reply).toMatchObject({ user: undefined, token: undefined, rooms: ['live://1'] });
    expect(reply.expiresAt).toBe(Number.POSITIVE_INFINITY);
    await setup.logic.authorizeJoin(reply.handle, room('live://2'));
  });

  test("a device of the token is the user's; one that the client names is its token's", async () => {
    const one = await token({ user: 'u' });
    const other = await token({ user: 'u' });
    const device = 'phone' as never;
    const a = await setup.open(one.token, { device });
    const b = await setup.open(other.token, { device });
    expect(a.device).toBe('phone');
    expect(a.handle.device).not.toBe(b.handle.device);
    const fixed = await token({ user: 'u', device: 'tablet' });
    const c = await setup.open(fixed.token, { device });
    expect([c.device, c.handle.device]).toEqual(['tablet', 'tablet']);
    expect(setup.comet.disconnected).toEqual([]);
  });

  test('a newer session of a device replaces the older one', async () => {
    const made = await token({ user: 'u', device: 'phone' });
    const first = await setup.open(made.token);
    await setup.open(made.token);
    expect(setup.comet.disconnected).toEqual([
      { target: { kind: 'session', session: first.session }, code: 'replaced' },
    ]);
  });

  test('above the cap the oldest goes, or the newest is refused', async () => {
    await using small = await setUp({ options: { sessionsPerUser: 2 } });
    const at = small.http.addresses().http;
    const { json } = await call(at, 'POST', '/v1/tokens', '{"user":"u"}');
    const first = await small.open(json.token);
    await small.open(json.token);
    await small.open(json.token);
    expect(small.comet.disconnected).toEqual([
      { target: { kind: 'session', session: first.session }, code: 'too_many_sessions' },
    ]);
    await using strict = await setUp({ options: { sessionsPerUser: 1, onTooMany: 'reject' } });
    const made = (await call(strict.http.addresses().http, 'POST', '/v1/tokens', '{"user":"u"}')).json;
    await strict.open(made.token);
    expect(await refusal(strict.open(made.token))).toBe('token_refused/too_many_sessions');
  });

  test('a comet that hangs delays the session that replaces its own only by a moment', async () => {
    const made = await token({ user: 'u', device: 'phone' });
    await setup.open(made.token);
    setup.comet.confirms = false;
    await setup.open(made.token);
    expect(setup.comet.disconnected[0]?.code).toBe('replaced');
  });
});

describe('rooms', () => {
  test("imgo's AUTH goes to the default room, or to the rooms of its token", async () => {
    const plain = await token({ user: 'u' });
    expect((await setup.open(plain.token, { dialect: 'imgo' })).rooms).toEqual(['1']);
    const listed = await token({ user: 'u', rooms: ['a', 'live*', 'b'] });
    expect((await setup.open(listed.token, { dialect: 'imgo' })).rooms).toEqual(['a', 'b']);
    expect((await setup.open(listed.token)).rooms).toEqual([]);
  });

  test('a token lists what may be joined: names and prefixes', async () => {
    const made = await token({ user: 'u', rooms: ['a', 'live*'] });
    const asked = ['a', 'live://1', 'b', 'a2'].map(room);
    const reply = await setup.open(made.token, { rooms: asked });
    expect(reply.rooms).toEqual(['a', 'live://1']);
    expect(reply.refusedRooms).toEqual([
      { room: 'b', code: 'join_refused' },
      { room: 'a2', code: 'join_refused' },
    ]);
    await setup.logic.authorizeJoin(reply.handle, room('live://9'));
    await expect(setup.logic.authorizeJoin(reply.handle, room('b'))).rejects.toMatchObject({ code: 'join_refused' });
  });

  test('a token without rooms joins nothing unless rooms are open; one with rooms only those', async () => {
    const none = await token({ user: 'u' });
    const closed = await setup.open(none.token, { rooms: [room('x')] });
    expect(closed.refusedRooms).toHaveLength(1);
    await using open = await setUp({ options: { roomsJoin: 'open' } });
    const at = open.http.addresses().http;
    const free = (await call(at, 'POST', '/v1/tokens', '{"user":"u"}')).json;
    expect((await open.open(free.token, { rooms: [room('x')] })).rooms).toEqual(['x']);
    const listed = (await call(at, 'POST', '/v1/tokens', '{"user":"u","rooms":["a"]}')).json;
    expect((await open.open(listed.token, { rooms: [room('x')] })).refusedRooms).toHaveLength(1);
  });

  test('a topic is registered before its head is read, and counted where it is', async () => {
    await call(base, 'POST', '/v1/push', '{"to":{"room":"r"},"message":1}');
    const { node, incarnation } = setup.lease;
    const head = await setup.logic.openTopic({ node, incarnation, seq: 1 }, 'room:r' as never);
    expect(head.n).toBe(1);
    setup.comet.rooms.set(room('r'), 5);
    expect(await setup.logic.presence(room('r'))).toBe(5);
    expect((await call(base, 'GET', '/v1/rooms')).json).toEqual({ items: [{ room: 'r', members: 5 }], next: null });
    const info = (await call(base, 'GET', '/v1/rooms/x?room=r')).json;
    expect(info).toMatchObject({ room: 'r', members: 5, nodes: [{ node: 'c/1', members: 5 }], log: { messages: 1 } });
    await setup.logic.closeTopic({ node, incarnation, seq: 2 }, 'room:r' as never);
    expect(await setup.logic.presence(room('r'))).toBe(0);
  });

  test('a room name with a slash may stand in the query', async () => {
    await call(base, 'POST', '/v1/push', '{"to":{"room":"live://1"},"message":{"a":1}}');
    for (const path of ['/v1/rooms/-/messages?room=live%3A%2F%2F1', '/v1/rooms/live%3A%2F%2F1/messages']) {
      expect((await call(base, 'GET', path)).json.items[0].message).toEqual({ a: 1 });
    }
    expect((await call(base, 'GET', '/v1/rooms?room=live%3A%2F%2F1')).json.room).toBe('live://1');
  });
});

describe('revocation', () => {
  test('is durable, closes the live sessions of the token and of no other, and says how many', async () => {
    const one = await token({ user: 'u' });
    const other = await token({ user: 'u' });
    await setup.open(one.token);
    await setup.open(other.token);
    const answer = await call(base, 'DELETE', `/v1/tokens/${one.id}`);
    expect(answer.json).toEqual({ revoked: [one.id], sessionsClosed: 1 });
    expect(setup.comet.disconnected).toEqual([{ target: { kind: 'token', token: one.id }, code: 'token_revoked' }]);
    expect((await call(base, 'GET', `/v1/tokens/${one.id}`)).json.state).toBe('revoked');
    expect((await call(base, 'GET', `/v1/tokens/${other.id}`)).json.state).toBe('valid');
  });

  test('of a user takes all tokens', async () => {
    const made = [await token({ user: 'u' }), await token({ user: 'u' }), await token({ user: 'v' })];
    const answer = await call(base, 'DELETE', '/v1/tokens?user=u');
    expect(answer.json.revoked.sort()).toEqual([made[0]?.id, made[1]?.id].sort());
  });

  test('is not confirmed before the comet has confirmed', async () => {
    const made = await token({ user: 'u' });
    await setup.open(made.token);
    let confirm: (closed: number) => void = () => undefined;
    setup.comet.disconnect = () => new Promise((resolve) => (confirm = resolve));
    let answered = false;
    const revoking = call(base, 'DELETE', `/v1/tokens/${made.id}`).finally(() => (answered = true));
    await until(async () => (await setup.credentials.tokenById(made.id as never))?.revokedAt !== undefined);
    await pause(systemClock, 120);
    expect(answered).toBe(false);
    await until(() => {
      confirm(1);
      return answered;
    });
    expect((await revoking).status).toBe(200);
  });

  test('is confirmed when the lease of a comet that is silent has run out', async () => {
    await using silent = await setUp({ leaseMs: 300 });
    const at = silent.http.addresses().http;
    const made = (await call(at, 'POST', '/v1/tokens', '{"user":"u"}')).json;
    await silent.open(made.token);
    silent.comet.confirms = false;
    const answer = await call(at, 'DELETE', `/v1/tokens/${made.id}`);
    expect([answer.status, answer.json.sessionsClosed]).toEqual([200, 0]);
  });

  test('of what was never made is 404, and a token pasted for an id is not repeated', async () => {
    const lost = await call(base, 'DELETE', '/v1/tokens/t_nothing');
    expect([lost.status, lost.json.code]).toEqual([404, 'token_not_found']);
    const made = await token({ user: 'u' });
    expect((await call(base, 'GET', `/v1/tokens/${made.token}`)).text).not.toContain(made.token);
  });

  test('a comet that asks is told which of its sessions must close', async () => {
    const [valid, revoked, expired] = [
      await token({ user: 'a' }),
      await token({ user: 'b' }),
      await token({ user: 'c', ttl: '1500ms' }),
    ];
    const replies = [
      await setup.open(valid.token),
      await setup.open(revoked.token),
      await setup.open(expired.token),
      await setup.open('', { credential: { kind: 'stated', user: user('d'), key: 'k' } }),
    ];
    await setup.credentials.revokeTokens({ id: revoked.id as never }, Date.now());
    await pause(systemClock, 1_600);
    const handles = replies.map((reply) => reply.handle);
    expect(await setup.logic.revalidate(handles)).toEqual([
      { session: replies[1]?.session, code: 'token_revoked' },
      { session: replies[2]?.session, code: 'token_expired' },
    ]);
    await call(base, 'DELETE', `/v1/sessions/${replies[0]?.session}`);
    expect((await setup.logic.revalidate(handles))[0]).toEqual({ session: replies[0]?.session, code: 'kicked' });
  });
});

describe('presence and kick', () => {
  test('sessions of a user are shown, and closed', async () => {
    const made = await token({ user: 'u' });
    const reply = await setup.open(made.token);
    const { json } = await call(base, 'GET', '/v1/users/u/sessions');
    expect(json.items).toMatchObject([{ session: reply.session, user: 'u', token: made.id, node: 'c/1', state: null }]);
    expect((await call(base, 'GET', '/v1/sessions?limit=1')).json.next).toBe(reply.session);
    expect((await call(base, 'GET', '/v1/sessions?node=none')).json.code).toBe('node_not_found');
    const kicked = await call(base, 'DELETE', '/v1/users/u/sessions');
    expect(kicked.json).toEqual({ closed: 1 });
    expect(setup.comet.disconnected.at(-1)).toEqual({ target: { kind: 'user', user: 'u' }, code: 'kicked' });
  });

  test('a comet that was away learns who was kicked, also from a logic that started since', async () => {
    const [one, all, other] = [await token({ user: 'a' }), await token({ user: 'b' }), await token({ user: 'c' })];
    const replies = [await setup.open(one.token), await setup.open(all.token), await setup.open(other.token)];
    await call(base, 'DELETE', `/v1/sessions/${replies[0]?.session}`);
    await call(base, 'DELETE', '/v1/users/b/sessions');
    const { comet, credentials } = setup;
    const parts = { ...setup, credentials, clock: systemClock, options: logicDefaults, cometFor: () => comet };
    const next = createLogicService(parts);
    expect(await next.revalidate(replies.map(({ handle }) => handle))).toEqual([
      { session: replies[0]?.session, code: 'kicked' },
      { session: replies[1]?.session, code: 'kicked' },
    ]);
  });

  test('a session that nobody has is 404', async () => {
    setup.comet.disconnect = async () => 0;
    const kick = await call(base, 'DELETE', '/v1/sessions/s_nothing');
    expect([kick.status, kick.json.code]).toEqual([404, 'session_not_found']);
    const shown = await call(base, 'GET', '/v1/sessions/s_nothing');
    expect([shown.status, shown.json.code]).toEqual([404, 'session_not_found']);
  });

  test('a closed session is gone, and a late registration does not bring it back', async () => {
    const made = await token({ user: 'u' });
    const reply = await setup.open(made.token);
    await setup.logic.close(reply.handle, reply.start, true);
    await setup.logic.reregister([{ ...reply.handle, seq: reply.handle.seq - 1 }]);
    expect(await setup.buckets.sessionsOf([user('u')])).toEqual([[]]);
  });

  test('after a fence sessions are registered again under the new incarnation', async () => {
    const made = await token({ user: 'u' });
    const reply = await setup.open(made.token);
    const handle = { ...reply.handle, incarnation: reply.handle.incarnation + 1, seq: reply.handle.seq + 1 };
    await setup.logic.reregister([handle]);
    expect(await setup.buckets.sessionsOf([user('u')])).toMatchObject([
      [{ session: reply.session, incarnation: handle.incarnation }],
    ]);
  });
});

describe('?wait', () => {
  const pushTo = (to: object, query: string) =>
    call(base, 'POST', `/v1/push${query}`, JSON.stringify({ to, message: 1 }));

  test('nobody online answers at once, and says until when it is kept', async () => {
    const { json } = await pushTo({ user: 'nobody' }, '?wait=30s');
    expect(json.delivery).toMatchObject({ online: 0, delivered: 0 });
    expect(Date.parse(json.delivery.keptUntil)).toBeGreaterThan(Date.now() + 6 * 86_400_000);
  });

  test('answers when every session has taken it', async () => {
    const made = await token({ user: 'u' });
    const sessions = [await setup.open(made.token), await setup.open(made.token)];
    const waiting = pushTo({ user: 'u' }, '?wait=30s');
    await until(() => setup.comet.notified.length > 0);
    const id = setup.comet.notified[0]?.id as never;
    for (const { handle } of sessions) await setup.logic.report([{ handle, upTo: id, acknowledge: true }]);
    expect((await waiting).json.delivery).toMatchObject({ online: 2, delivered: 2 });
  });

  test('a position that only moved is no delivery, and time runs out', async () => {
    const made = await token({ user: 'u' });
    const { handle } = await setup.open(made.token);
    const waiting = pushTo({ user: 'u' }, '?wait=600ms');
    await until(() => setup.comet.notified.length > 0);
    await setup.logic.report([{ handle, upTo: setup.comet.notified[0]?.id as never, acknowledge: false }]);
    expect((await waiting).json.delivery).toMatchObject({ online: 1, delivered: 0 });
  });

  test('what a session has taken and not reported yet is asked of its comet; what it has not taken is waited for', async () => {
    const made = await token({ user: 'u' });
    const { session } = await setup.open(made.token);
    const first = pushTo({ user: 'u' }, '?wait=30s');
    await until(() => setup.comet.notified.length === 1);
    const second = pushTo({ user: 'u' }, '?wait=600ms');
    await until(() => setup.comet.notified.length === 2);
    setup.comet.positions.set(session, setup.comet.notified[0]?.id as never);
    expect((await first).json.delivery).toMatchObject({ online: 1, delivered: 1 });
    expect((await second).json.delivery).toMatchObject({ online: 1, delivered: 0 });
  });

  test('what was taken before is not waited for: the same key again', async () => {
    const made = await token({ user: 'u' });
    const { handle } = await setup.open(made.token);
    const body = '{"to":{"user":"u"},"message":1,"idempotencyKey":"k"}';
    await call(base, 'POST', '/v1/push', body);
    await until(() => setup.comet.notified.length > 0);
    await setup.logic.report([{ handle, upTo: setup.comet.notified[0]?.id as never, acknowledge: true }]);
    const again = await call(base, 'POST', '/v1/push?wait=30s', body);
    expect(again.json.delivery).toMatchObject({ online: 1, delivered: 1 });
  });

  test('a session that ends is not waited for any more', async () => {
    const made = await token({ user: 'u' });
    const { handle, start } = await setup.open(made.token);
    const waiting = pushTo({ user: 'u' }, '?wait=30s');
    await until(() => setup.comet.notified.length > 0);
    await setup.logic.close(handle, start, false);
    expect((await waiting).json.delivery).toMatchObject({ online: 1, delivered: 0 });
  });

  test('a server that stops answers at once', async () => {
    const made = await token({ user: 'u' });
    await setup.open(made.token);
    const waiting = pushTo({ user: 'u' }, '?wait=60s');
    await until(() => setup.comet.notified.length > 0);
    await setup.http.stop();
    expect((await waiting).json.delivery).toMatchObject({ online: 1, delivered: 0 });
  });

  test('several users are waited for together', async () => {
    const made = await token({ user: 'u' });
    const { handle } = await setup.open(made.token);
    const waiting = pushTo({ users: ['u', 'away'] }, '?wait=30s');
    await until(() => setup.comet.notified.some((note) => note.log === 'user:u'));
    const note = setup.comet.notified.find(({ log }) => log === 'user:u');
    await setup.logic.report([{ handle, upTo: note?.id as never, acknowledge: true }]);
    expect((await waiting).json.delivery).toMatchObject({ online: 1, delivered: 1 });
  });

  test.each([
    [{ room: 'r' }, '?wait=5s'],
    [{ all: true }, '?wait=5s'],
    [{ user: 'u' }, '?wait=5x'],
    [{ user: 'u' }, '?wait=1h'],
  ])('is refused: %o %s', async (to, query) => {
    const answer = await pushTo(to, query);
    expect([answer.status, answer.json.code]).toEqual([400, 'invalid_request']);
  });
});

test('a comet that has no link counts as gone once its lease is', async () => {
  const stranger = await setup.registry.join({
    node: 'c/2' as NodeId,
    roles: ['comet'],
    address: 'x',
    version: '0',
    since: 0,
  });
  setup.comet.disconnect = async () => 0;
  const kicking = call(base, 'DELETE', `/v1/sessions/${'s_abc' as SessionId}`);
  await pause(systemClock, 60);
  await setup.registry.leave(stranger);
  expect((await kicking).status).toBe(404);
});
