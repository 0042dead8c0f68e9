import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/server/clock.js';
import { createKey } from '../../../src/server/logic/keys.js';
import type { Scope } from '../../../src/server/store/credentials.js';
import { call, type Setup, setUp } from './setup.js';

let setup: Setup;
let base: string;
const keys = new Map<Scope, string>();

beforeAll(async () => {
  setup = await setUp({ http: { development: false, legacyHttp: { host: '127.0.0.1', port: 0 } } });
  base = setup.http.addresses().http;
  for (const scope of ['push', 'token', 'read', 'admin'] as const) {
    const made = await createKey(setup.credentials, systemClock, { name: scope, scopes: [scope], ttlMs: undefined });
    keys.set(scope, made.secret);
  }
});
afterAll(async () => {
  await setup[Symbol.asyncDispose]();
});

const bearer = (key: string | undefined) => ({ authorization: `Bearer ${key}` });

const CALLS: readonly (readonly [Scope, string, string, string | undefined])[] = (
  [
    ['push', 'POST', '/v1/push', '{"to":{"user":"1"},"message":1}'],
    ['push', 'POST', '/v1/push/batch', '{"to":{"user":"1"},"message":1}\n'],
    ['token', 'POST', '/v1/tokens', '{"user":"1"}'],
    ['token', 'GET', '/v1/tokens'],
    ['token', 'DELETE', '/v1/tokens?user=nobody'],
    ['token', 'POST', '/v1/tokens/inspect', '{"token":"x"}'],
    ['admin', 'GET', '/v1/keys'],
    ['admin', 'POST', '/v1/keys', '{"scopes":["push"]}'],
    ['read', 'GET', '/v1/users/1/sessions'],
    ['read', 'GET', '/v1/users/1/messages'],
    ['read', 'GET', '/v1/sessions'],
    ['read', 'GET', '/v1/rooms'],
    ['read', 'GET', '/v1/nodes'],
    ['read', 'GET', '/v1/stats'],
    ['read', 'GET', '/v1/top'],
    ['read', 'GET', '/metrics'],
    ['admin', 'DELETE', '/v1/users/1/sessions'],
    ['push', 'POST', '/1/push?uid=1', '{}'],
    ['push', 'POST', '/1/pushs', '{"u":[1],"m":1}'],
    ['push', 'POST', '/1/push/room?rid=1', '{}'],
    ['push', 'POST', '/1/push/all', '{}'],
    ['read', 'GET', '/1/count?type=room'],
    ['admin', 'POST', '/1/server/del?server=9'],
    ['token', 'POST', '/1/admin/token/new', 'uid=1&token=0123456789abcdef'],
    ['push', 'POST', '/goim/push/keys?operation=5&keys=a', '{}'],
    ['push', 'POST', '/goim/push/mids?operation=5&mids=1', '{}'],
    ['push', 'POST', '/goim/push/room?operation=5&type=live&room=1', '{}'],
    ['push', 'POST', '/goim/push/all?operation=5', '{}'],
    ['read', 'GET', '/goim/online/top?type=live&limit=1'],
    ['read', 'GET', '/goim/online/room?type=live&rooms=1'],
    ['read', 'GET', '/goim/online/total'],
    ['read', 'GET', '/goim/nodes/instances'],
  ] as [Scope, string, string, string?][]
).map(([scope, method, path, body]) => [scope, method, path, body] as const);

describe.each(CALLS)('needing %s: %s %s', (scope, method, path, body) => {
  test('without a key it is 401, with an unknown one too', async () => {
    const missing = await call(base, method, path, body);
    expect([missing.status, missing.json.code]).toEqual([401, 'key_missing']);
    expect(missing.headers.get('www-authenticate')).toContain('Bearer');
    const unknown = await call(base, method, path, body, bearer('imgo_k_unknown'));
    expect([unknown.status, unknown.json.code]).toEqual([401, 'key_invalid']);
  });

  test('with a key of another scope it is 403', async () => {
    const other = scope === 'read' ? 'push' : 'read';
    const answer = await call(base, method, path, body, bearer(keys.get(other)));
    expect([answer.status, answer.json.code]).toEqual([403, 'scope_missing']);
    expect(answer.json.title).toContain(scope);
  });

  test('the scope and admin may, as Bearer and as the password of Basic', async () => {
    for (const may of [scope, 'admin'] as const) {
      const key = keys.get(may);
      const basic = { authorization: `Basic ${Buffer.from(`anyone:${key}`).toString('base64')}` };
      for (const headers of [bearer(key), basic]) {
        const answer = await call(base, method, path, body, headers);
        const allowed = path === '/v1/tokens/inspect' ? 404 : 200;
        expect(answer.status, answer.text).toBe(allowed);
      }
    }
  });
});

describe('open to everybody', () => {
  test.each(['/', '/healthz', '/readyz', '/openapi.json'])('%s', async (path) => {
    expect((await call(base, 'GET', path)).status).toBe(200);
  });

  test("/1/msg/get, because the user's token is in the call", async () => {
    const answer = await call(base, 'GET', '/1/msg/get?uid=1&token=nope&mid=0');
    expect([answer.status, answer.json]).toEqual([200, { ret: 65_533 }]);
  });
});

describe('keys', () => {
  test('a revoked and an expired key are refused', async () => {
    const { json } = await call(base, 'POST', '/v1/keys', '{"scopes":["read"],"name":"n"}', bearer(keys.get('admin')));
    expect((await call(base, 'GET', '/v1/stats', undefined, bearer(json.key))).status).toBe(200);
    const revoked = await call(base, 'DELETE', `/v1/keys/${json.id}`, undefined, bearer(keys.get('admin')));
    expect(revoked.json.state).toBe('revoked');
    expect((await call(base, 'GET', '/v1/stats', undefined, bearer(json.key))).status).toBe(401);
    const short = await createKey(setup.credentials, systemClock, { name: '', scopes: ['read'], ttlMs: -1 });
    expect((await call(base, 'GET', '/v1/stats', undefined, bearer(short.secret))).status).toBe(401);
    const lost = await call(base, 'DELETE', '/v1/keys/k_nothing', undefined, bearer(keys.get('admin')));
    expect([lost.status, lost.json.code]).toEqual([404, 'key_not_found']);
  });

  test('the list never shows a key', async () => {
    const { text } = await call(base, 'GET', '/v1/keys', undefined, bearer(keys.get('admin')));
    for (const key of keys.values()) expect(text).not.toContain(key);
  });
});

describe('the keyless listener', () => {
  test("serves imgo's and goim's routes and nothing else", async () => {
    const legacy = setup.http.addresses().legacyHttp as string;
    expect((await call(legacy, 'POST', '/1/push?uid=1', '{}')).json).toEqual({ ret: 1 });
    expect((await call(legacy, 'POST', '/goim/push/mids?operation=5&mids=1', '{}')).json).toEqual({
      code: 0,
      message: '',
    });
    for (const [, method, path, body] of CALLS.filter(([, , at]) => at.startsWith('/v1') || at === '/metrics')) {
      expect((await call(legacy, method, path, body)).status, path).toBe(404);
    }
  });

  test('is logged when it starts', () => {
    expect(setup.logged()).toContain('need no key');
  });

  test('does not answer pages of another origin', async () => {
    const legacy = setup.http.addresses().legacyHttp as string;
    const answer = await call(legacy, 'POST', '/1/push?uid=1', '{}', { origin: 'https://evil.example' });
    expect([answer.status, answer.json.code]).toEqual([403, 'origin_refused']);
  });
});

/** fetch does not let a Host or Origin be chosen. */
function raw(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/1/push?uid=1`, { method: 'POST', headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    sent.on('error', reject);
    sent.end('{}');
  });
}

describe('in development', () => {
  test('no key is needed, but Host must be this machine and Origin the same host', async () => {
    await using open = await setUp();
    const url = open.http.addresses().http;
    const { port, host } = new URL(url);
    expect(await raw(url, {})).toBe(200);
    for (const good of [`localhost:${port}`, `127.0.0.1:${port}`, '[::1]', 'LOCALHOST', '127.1.2.3']) {
      expect(await raw(url, { host: good }), good).toBe(200);
    }
    for (const bad of [
      'evil.example',
      `evil.example:${port}`,
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      '10.0.0.1',
    ]) {
      expect(await raw(url, { host: bad }), bad).toBe(403);
    }
    expect(await raw(url, { origin: `http://${host}` })).toBe(200);
    for (const bad of ['https://evil.example', 'null', `http://127.0.0.1:${Number(port) - 1}`]) {
      expect(await raw(url, { origin: bad }), bad).toBe(403);
    }
  });

  test('the first key ends it', async () => {
    await using open = await setUp();
    const url = open.http.addresses().http;
    const { json } = await call(url, 'POST', '/v1/keys', '{"scopes":["admin"]}');
    expect((await call(url, 'GET', '/v1/stats')).status).toBe(401);
    expect((await call(url, 'GET', '/v1/stats', undefined, bearer(json.key))).json.development).toBe(false);
  });

  test('origins that are listed may call', async () => {
    await using open = await setUp({ http: { origins: ['https://app.example'] } });
    const url = open.http.addresses().http;
    expect(await raw(url, { origin: 'https://app.example' })).toBe(200);
    expect(await raw(url, { origin: url })).toBe(403);
  });
});
