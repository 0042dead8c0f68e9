import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UserId } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import { logicDefaults } from '../../../src/server/logic/options.js';
import { secretHash } from '../../../src/server/logic/secrets.js';
import { Tokens } from '../../../src/server/logic/tokens.js';
import { call, type Setup, setUp } from './setup.js';

let setup: Setup;
let base: string;

beforeAll(async () => {
  setup = await setUp();
  base = setup.http.addresses().http;
});
afterAll(async () => {
  await setup[Symbol.asyncDispose]();
});

const create = (body: unknown) => call(base, 'POST', '/v1/tokens', JSON.stringify(body));

test('of users that choose the same token at the same time one gets it, and renewing it at the same time is one token', async () => {
  const { credentials, registry, buckets } = setup;
  const parts = {
    credentials,
    registry,
    buckets,
    clock: systemClock,
    options: logicDefaults,
    cometFor: () => undefined,
  };
  const tokens = new Tokens(parts);
  const secret = 'chosen by two at the same time';
  const outcomes = await Promise.allSettled(
    ['first', 'second', 'first', 'third'].map((name) => tokens.choose(name as UserId, secret, undefined)),
  );
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
  expect(outcomes[1]).toMatchObject({ reason: { code: 'token_taken' } });
  const ids = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value.id] : []));
  expect(new Set(ids).size).toBe(1);
  expect((await credentials.tokenByHash(secretHash(secret)))?.user).toBe('first');
});

describe('POST /v1/tokens', () => {
  test('tells the token once; only its hash is kept', async () => {
    const { json } = await create({ user: 'u', device: 'phone', rooms: ['a', 'live*'], ttl: '1h' });
    expect(json).toMatchObject({ user: 'u', device: 'phone', rooms: ['a', 'live*'] });
    expect(json.token).toMatch(/^imgo_t_[\w-]{43}$/);
    expect(Date.parse(json.expires)).toBeGreaterThan(Date.now() + 3_590_000);
    const kept = await setup.credentials.tokenById(json.id);
    expect(kept?.hash).toBe(secretHash(json.token));
    expect(JSON.stringify(kept)).not.toContain(json.token);
    const shown = await call(base, 'GET', `/v1/tokens/${json.id}`);
    expect(shown.json).toMatchObject({ id: json.id, user: 'u', state: 'valid', revoked: null });
    expect(shown.text).not.toContain(json.token);
  });

  test('makes many at once, in order', async () => {
    const { json } = await create(Array.from({ length: 50 }, (_, index) => ({ user: `many${index}` })));
    expect(json.map((made: { user: string }) => made.user)).toEqual(Array.from({ length: 50 }, (_, i) => `many${i}`));
    expect(new Set(json.map((made: { token: string }) => made.token)).size).toBe(50);
  });

  test.each([
    [{}, 'invalid_request', 'user'],
    [{ user: 1 }, 'invalid_request', 'user'],
    [{ user: '' }, 'invalid_request', 'user'],
    [{ user: 'u', ttl: '5' }, 'invalid_request', 'ttl'],
    [{ user: 'u', ttl: '0' }, 'invalid_request', 'ttl'],
    [{ user: 'u', device: '~x' }, 'invalid_request', 'device'],
    [{ user: 'u', rooms: 'a' }, 'invalid_request', 'rooms'],
    [{ user: 'u', room: ['a'] }, 'unknown_field', 'room'],
    [[{ user: 'u' }, { usr: 'u' }], 'invalid_request', 'user'],
    [[], 'invalid_request', ''],
  ])('%j is refused as %s, naming %s', async (body, code, field) => {
    const answer = await create(body);
    expect([answer.status, answer.json.code]).toEqual([400, code]);
    expect(answer.json.title).toContain(field);
  });

  test.each(['', 'x', '{"user":"u"', '[{"user":"u"},', `${'['.repeat(100)}`, '"u"'])(
    'case %#: no JSON',
    async (body) => {
      const answer = await call(base, 'POST', '/v1/tokens', body);
      expect(answer.status).toBe(400);
    },
  );
});

test('tokens are listed page by page, of one user or all', async () => {
  for (let index = 0; index < 5; index++) await create({ user: 'paged' });
  const ids: string[] = [];
  let after = '';
  for (;;) {
    const { json } = await call(base, 'GET', `/v1/tokens?user=paged&limit=2${after}`);
    ids.push(...json.items.map((token: { id: string }) => token.id));
    if (json.next === null) break;
    after = `&after=${json.next}`;
  }
  expect(new Set(ids).size).toBe(5);
  expect((await call(base, 'GET', '/v1/tokens?limit=0')).status).toBe(400);
  expect((await call(base, 'GET', '/v1/tokens?limits=1')).json.code).toBe('unknown_field');
});

test('who has a token may ask what it is', async () => {
  const { json } = await create({ user: 'mine' });
  const inspect = (token: string) => call(base, 'POST', '/v1/tokens/inspect', JSON.stringify({ token }));
  expect((await inspect(json.token)).json).toMatchObject({ id: json.id, state: 'valid' });
  await call(base, 'DELETE', `/v1/tokens/${json.id}`);
  expect((await inspect(json.token)).json.state).toBe('revoked');
  expect((await inspect('imgo_t_unknown')).json.code).toBe('token_not_found');
});
