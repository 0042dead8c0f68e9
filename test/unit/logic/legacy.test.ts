import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { call, kept, room, type Setup, setUp, user } from './setup.js';

let setup: Setup;
let base: string;
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

beforeEach(async () => {
  setup = await setUp({
    http: { goimNodes: () => ({ domain: 'push.example', tcpPort: 3101, wsPort: 3102, wssPort: 0 }) },
  });
  base = setup.http.addresses().http;
});
afterEach(async () => {
  await setup[Symbol.asyncDispose]();
});

const post = (path: string, body?: string | Uint8Array, headers: Record<string, string> = FORM) =>
  call(base, 'POST', path, body, headers);

describe("imgo's API", () => {
  test('push: a form content type over a JSON body, delivered as it came', async () => {
    const answer = await post('/1/push?uid=9007199254740993', '{ "id" : 9007199254740993 }');
    expect([answer.status, answer.text]).toEqual([200, '{"ret":1}']);
    expect(await kept(setup, 'user:9007199254740993')).toEqual(['{ "id" : 9007199254740993 }']);
  });

  test('pushs, push/room and push/all', async () => {
    expect((await post('/1/pushs', '{"u":[1,2,2],"m":{"test":1}}')).json).toEqual({ ret: 1 });
    expect(await kept(setup, 'user:2')).toEqual(['{"test":1}']);
    expect((await post('/1/push/room?rid=1&ensure=1', '{"r":1}')).json).toEqual({ ret: 1 });
    expect(await kept(setup, 'room:1')).toEqual(['{"r":1}']);
    expect((await post('/1/push/all', '{"all":1}')).json).toEqual({ ret: 1 });
    expect(await kept(setup, 'all')).toEqual(['{"all":1}']);
  });

  test.each([
    ['/1/push', '{}', 65_534],
    ['/1/push?uid=abc', '{}', 65_534],
    ['/1/push?uid=1.5', '{}', 65_534],
    ['/1/push?uid=01', '{}', 65_534],
    ['/1/push?uid=1', '', 65_534],
    ['/1/push?uid=1', 'x'.repeat(66_000), 65_534],
    ['/1/push?uid=1', 'x'.repeat(1_100_000), 65_534],
    ['/1/push/room?rid=', '{}', 65_534],
    ['/1/pushs', '{"u":1,"m":{}}', 65_535],
    ['/1/pushs', 'nonsense', 65_535],
    ['/1/pushs', '{"u":[],"m":{}}', 65_534],
    ['/1/server/del?server=x', '', 65_534],
    ['/1/server/del?server=77', '', 1_001],
    ['/1/server/del?server=1', '', 65_534],
  ])('case %#: %s is refused in its own words', async (path, body, ret) => {
    const answer = await post(path, body === '' ? undefined : body);
    expect([answer.status, answer.json]).toEqual([200, { ret }]);
  });

  test.each([
    ['GET', '/1/push?uid=1'],
    ['PUT', '/1/push/all'],
    ['POST', '/1/count?type=room'],
    ['POST', '/1/msg/get'],
    ['GET', '/goim/push/mids'],
    ['POST', '/goim/online/total'],
  ])('a wrong method is 405: %s %s', async (method, path) => {
    const answer = await call(base, method, path);
    expect([answer.status, answer.text]).toEqual([405, 'Method Not Allowed\n']);
  });

  test('count: rooms with decimal names, and servers', async () => {
    setup.comet.rooms.set(room('1'), 2);
    setup.comet.rooms.set(room('9007199254740993'), 1);
    setup.comet.rooms.set(room('live://1'), 5);
    const rooms = await call(base, 'GET', '/1/count?type=room');
    expect(rooms.text).toBe('{"ret":1,"data":[{"RoomId":1,"Count":2},{"RoomId":9007199254740993,"Count":1}]}');
    const servers = await call(base, 'GET', '/1/count?type=server');
    expect(servers.text).toBe('{"ret":1,"data":[{"Server":1,"Count":2}]}');
    expect((await call(base, 'GET', '/1/count?type=x')).json).toEqual({ ret: 65_534 });
  });

  test('a dead server is dropped, a live one is not', async () => {
    const { json } = await call(base, 'POST', '/v1/tokens', '{"user":"u"}');
    await setup.open(json.token);
    await setup.registry.leave(setup.lease);
    expect((await post('/1/server/del?server=1')).json).toEqual({ ret: 1 });
    expect(await setup.buckets.sessionsOf([user('u')])).toEqual([[]]);
  });

  describe('admin/token/new', () => {
    const chosen = 'a-token-that-i-chose';

    test('takes a form, JSON and the query alike', async () => {
      expect((await post('/1/admin/token/new', `uid=1&token=${chosen}&expire=60`)).json).toEqual({ ret: 1 });
      expect((await setup.open(chosen, { dialect: 'imgo' })).user).toBe('1');
      const json = `{"uid":9007199254740993,"token":"${chosen}-2","expire":0}`;
      expect((await post('/1/admin/token/new', json)).json).toEqual({ ret: 1 });
      const reply = await setup.open(`${chosen}-2`);
      expect(reply.user).toBe('9007199254740993');
      expect(reply.expiresAt).toBeGreaterThan(Date.now() + 29 * 86_400_000);
      expect((await post(`/1/admin/token/new?uid=3&token=${chosen}-3`)).json).toEqual({ ret: 1 });
    });

    test('the same user and token renew it; another user gets nothing', async () => {
      await post('/1/admin/token/new', `uid=1&token=${chosen}&expire=60`);
      const before = await setup.open(chosen);
      await post('/1/admin/token/new', `uid=1&token=${chosen}&expire=600`);
      const after = await setup.open(chosen);
      expect(after.token).toBe(before.token);
      expect(after.expiresAt).toBeGreaterThan(before.expiresAt + 500_000);
      expect((await post('/1/admin/token/new', `uid=2&token=${chosen}`)).json).toEqual({ ret: 65_534 });
    });

    test.each(['uid=1&token=short', 'uid=x&token=0123456789abcdef', 'uid=1', 'uid=1&token=0123456789abcdef&expire=-1'])(
      '%s is refused',
      async (body) => {
        expect((await post('/1/admin/token/new', body)).json).toEqual({ ret: 65_534 });
      },
    );

    test('short tokens only where they are allowed', async () => {
      await using weak = await setUp({ options: { weakTokens: true } });
      const at = weak.http.addresses().http;
      expect((await call(at, 'POST', '/1/admin/token/new', 'uid=5&token=5')).json).toEqual({ ret: 1 });
      expect((await weak.open('5', { dialect: 'imgo' })).rooms).toEqual(['1']);
    });
  });

  describe('msg/get', () => {
    const token = '0123456789abcdef';

    beforeEach(async () => {
      await post('/1/admin/token/new', `uid=1&token=${token}`);
    });

    test('gives the newest twenty that were not taken, with ids that grow, and takes nothing', async () => {
      for (let index = 0; index < 25; index++) await post('/1/push?uid=1', `{"n": ${index}}`);
      const first = await call(base, 'GET', `/1/msg/get?uid=1&token=${token}&mid=0`);
      expect(first.text.startsWith('{"ret":0,"data":{"msgs":[{"msg":{"n": 5},"mid":')).toBe(true);
      const { msgs } = first.json.data;
      expect(msgs).toHaveLength(20);
      const mids = msgs.map((entry: { mid: number }) => entry.mid);
      expect([...mids].sort((a, b) => a - b)).toEqual(mids);
      expect(new Set(mids).size).toBe(20);
      const later = await call(base, 'GET', `/1/msg/get?uid=1&token=${token}&mid=${mids[17]}`);
      expect(later.json.data.msgs).toEqual(msgs.slice(18));
      expect(await kept(setup, 'user:1')).toHaveLength(25);
    });

    test('what was acknowledged is not given', async () => {
      for (let index = 0; index < 3; index++) await post('/1/push?uid=1', `{"n":${index}}`);
      const { handle } = await setup.open(token, { dialect: 'imgo' });
      const log = await setup.buckets.log('user:1' as never);
      await setup.logic.report([
        { handle, upTo: { epoch: log?.head.epoch ?? 0, n: (log?.head.n ?? 0) - 1 }, acknowledge: true },
      ]);
      const { json } = await call(base, 'GET', `/1/msg/get?uid=1&token=${token}&mid=0`);
      expect(json.data.msgs.map((entry: { msg: unknown }) => entry.msg)).toEqual([{ n: 2 }]);
    });

    test('a message that is no JSON is a string', async () => {
      await post('/1/push?uid=1', 'plain "text"');
      const { json } = await call(base, 'GET', `/1/msg/get?uid=1&token=${token}`);
      expect(json.data.msgs[0].msg).toBe('plain "text"');
    });

    test('nothing kept is an empty list', async () => {
      const answer = await call(base, 'GET', `/1/msg/get?uid=1&token=${token}&mid=0`);
      expect(answer.text).toBe('{"ret":0,"data":{"msgs":[]}}');
    });

    test('a callback gets it as a call, and only a name is one', async () => {
      const answer = await call(base, 'GET', `/1/msg/get?uid=1&token=${token}&cb=jQuery.cb_1`);
      expect(answer.text).toBe('jQuery.cb_1({"ret":0,"data":{"msgs":[]}})');
      expect(answer.headers.get('content-type')).toMatch(/^application\/javascript/);
      for (const cb of ['alert(1)//', 'a b', '1a', '', 'a..b', '<script>']) {
        const bad = await call(base, 'GET', `/1/msg/get?uid=1&token=${token}&cb=${encodeURIComponent(cb)}`);
        expect(bad.text).toBe('{"ret":65534}');
      }
    });

    test.each([
      [`uid=1&token=wrong`, 65_533],
      [`uid=2&token=${token}`, 65_533],
      [`uid=1`, 65_533],
      [`uid=x&token=${token}`, 65_534],
      [`uid=1&token=${token}&mid=x`, 65_534],
    ])('%s is refused', async (query, ret) => {
      expect((await call(base, 'GET', `/1/msg/get?${query}`)).json).toEqual({ ret });
    });
  });
});

describe("goim's API", () => {
  test('push/mids, push/room and push/all keep the operation', async () => {
    const done = { code: 0, message: '' };
    expect((await post('/goim/push/mids?operation=1000&mids=1&mids=2', '{"a":1}')).json).toEqual(done);
    expect((await post('/goim/push/room?operation=1000&type=live&room=1000', 'text')).json).toEqual(done);
    expect((await post('/goim/push/all?operation=4&speed=100', '{}')).json).toEqual(done);
    const read = await setup.buckets.read('user:2' as never, { epoch: 0, n: 0 }, { entries: 9, bytes: 9_999 });
    expect(read.items[0]).toMatchObject({ entry: { operation: 1_000 } });
    expect(await kept(setup, 'room:live://1000')).toEqual(['text']);
  });

  test.each([
    '/goim/push/mids?operation=1000',
    '/goim/push/mids?mids=1',
    '/goim/push/mids?operation=7&mids=1',
    '/goim/push/mids?operation=999&mids=1',
    '/goim/push/mids?operation=5&mids=0',
    '/goim/push/mids?operation=5&mids=x',
    '/goim/push/room?operation=5&room=1',
    '/goim/push/room?operation=5&type=live',
    '/goim/push/keys?operation=5',
    '/goim/push/all',
  ])('%s is a bad request', async (path) => {
    const answer = await post(path, '{}');
    expect(answer.status).toBe(200);
    expect(answer.json.code).toBe(-400);
    expect(answer.json.message).toBeTypeOf('string');
  });

  test('push/keys reaches the live connections of those keys, and nothing is kept', async () => {
    const stated = (key: string, mid: string | undefined) =>
      setup.open('', {
        credential: { kind: 'stated', user: mid === undefined ? undefined : user(mid), key },
        dialect: 'goim2',
      });
    const one = await stated('key-1', '1');
    await stated('key-2', '1');
    const nobody = await stated('key-3', undefined);
    const answer = await post('/goim/push/keys?operation=1000&keys=key-1&keys=key-3&keys=lost', 'hello');
    expect(answer.json).toEqual({ code: 0, message: '' });
    const told = setup.comet.notified.map((note) => [note.session, note.ephemeral, note.operation]);
    expect(told).toEqual([
      [one.session, true, 1_000],
      [nobody.session, true, 1_000],
    ]);
    expect(await kept(setup, 'user:1')).toEqual([]);
  });

  test('who is online', async () => {
    setup.comet.rooms.set(room('live://1'), 2);
    setup.comet.rooms.set(room('live://2'), 7);
    setup.comet.rooms.set(room('test://3'), 9);
    const { node, incarnation } = setup.lease;
    await setup.logic.openTopic({ node, incarnation, seq: 1 }, 'room:live://1' as never);
    const top = await call(base, 'GET', '/goim/online/top?type=live&limit=1');
    expect(top.json).toEqual({ code: 0, message: '', data: [{ room_id: '2', count: 7 }] });
    const rooms = await call(base, 'GET', '/goim/online/room?type=live&rooms=1&rooms=9');
    expect(rooms.json.data).toEqual({ '1': 2, '9': 0 });
    const total = await call(base, 'GET', '/goim/online/total');
    expect(total.json.data).toEqual({ ip_count: 0, conn_count: 3 });
    expect((await call(base, 'GET', '/goim/online/top?type=live')).json.code).toBe(-400);
    expect((await call(base, 'GET', '/goim/online/room?type=live')).json.code).toBe(-400);
  });

  test('where to connect', async () => {
    const { json } = await call(base, 'GET', '/goim/nodes/weighted?platform=web');
    expect(json.data).toEqual({
      domain: 'push.example',
      tcp_port: 3101,
      ws_port: 3102,
      wss_port: 0,
      heartbeat: 30,
      heartbeat_max: 3,
      nodes: ['push.example'],
      backoff: { max_delay: 300, base_delay: 3, factor: 1.8, jitter: 0.3 },
    });
    expect((await call(base, 'GET', '/goim/nodes/instances')).json.data[0].hostname).toBe('c/1');
  });
});
