// What revokes and kicks, where the store may be taken over by a server that was not told yet: done at once, and answered as
// unsure, with a code, until it outlives that.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../../harness/api.js';
import { call, type Setup, setUp } from './setup.js';

let setup: Setup;
let base: string;
let outlives = true;

beforeAll(async () => {
  setup = await setUp();
  setup.credentials.outlive = async () => outlives;
  base = setup.http.addresses().http;
});
afterAll(() => setup[Symbol.asyncDispose]());

const post = async (path: string, body: object) => (await call(base, 'POST', path, JSON.stringify(body))).json;

/** A user with a token and an open session. */
async function somebody(user: string) {
  const { id, token } = await post('/v1/tokens', { user });
  const { session } = await setup.open(token);
  return { user, id: id as string, token: token as string, session };
}
type Somebody = Awaited<ReturnType<typeof somebody>>;

test.each<readonly [string, (who: Somebody) => string]>([
  ['a token', ({ id }) => `/v1/tokens/${id}`],
  ['all tokens of a user', ({ user }) => `/v1/tokens?user=${user}`],
  ['the sessions of a user', ({ user }) => `/v1/users/${user}/sessions`],
  ['the sessions of a token', ({ id }) => `/v1/tokens/${id}/sessions`],
  ['a session', ({ session }) => `/v1/sessions/${session}`],
])('%s', async (what, pathOf) => {
  const who = await somebody(what.replaceAll(' ', '-'));
  const closed = setup.comet.disconnected.length;
  outlives = false;
  const unsure = await call(base, 'DELETE', pathOf(who));
  outlives = true;
  expect(unsure.json).toMatchObject({ code: 'redis_not_copied', retryable: true });
  expect([unsure.status, Number(unsure.headers.get('retry-after'))]).toEqual([503, expect.any(Number)]);
  // Sessions were closed all the same.
  await until('closed', () => setup.comet.disconnected.length > closed);
  expect((await call(base, 'DELETE', pathOf(who))).status).toBe(200);
});

test('an API key', async () => {
  const { key: admin } = await post('/v1/keys', { scopes: ['admin'] });
  const headers = { authorization: `Bearer ${admin}` };
  const made = await call(base, 'POST', '/v1/keys', JSON.stringify({ scopes: ['push'] }), headers);
  const remove = () => call(base, 'DELETE', `/v1/keys/${made.json.id}`, undefined, headers);
  outlives = false;
  expect((await remove()).json).toMatchObject({ code: 'redis_not_copied' });
  outlives = true;
  expect(await remove()).toMatchObject({ status: 200, json: { state: 'revoked' } });
});
