import { afterAll, beforeAll, expect, test } from 'vitest';
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

test('every route stands in /openapi.json with a summary and an answer', async () => {
  const { json, status } = await call(base, 'GET', '/openapi.json');
  expect(status).toBe(200);
  const paths = Object.keys(json.paths).sort();
  expect(paths).toEqual(
    [
      '/',
      '/1/admin/token/new',
      '/1/count',
      '/1/msg/get',
      '/1/push',
      '/1/push/all',
      '/1/push/room',
      '/1/pushs',
      '/1/server/del',
      '/goim/nodes/instances',
      '/goim/nodes/weighted',
      '/goim/online/room',
      '/goim/online/top',
      '/goim/online/total',
      '/goim/push/all',
      '/goim/push/keys',
      '/goim/push/mids',
      '/goim/push/room',
      '/healthz',
      '/metrics',
      '/openapi.json',
      '/readyz',
      '/v1/events',
      '/v1/keys',
      '/v1/keys/{id}',
      '/v1/messages',
      '/v1/nodes',
      '/v1/nodes/{id}/drain',
      '/v1/push',
      '/v1/push/batch',
      '/v1/push/dry-run',
      '/v1/rooms',
      '/v1/rooms/{room}',
      '/v1/rooms/{room}/messages',
      '/v1/sessions',
      '/v1/sessions/{id}',
      '/v1/stats',
      '/v1/tokens',
      '/v1/tokens/inspect',
      '/v1/tokens/{id}',
      '/v1/tokens/{id}/sessions',
      '/v1/top',
      '/v1/trace',
      '/v1/users/{uid}/messages',
      '/v1/users/{uid}/sessions',
    ].sort(),
  );
  for (const path of paths) {
    for (const [method, operation] of Object.entries<{ summary: string }>(json.paths[path])) {
      expect(operation.summary, `${method} ${path}`).toBeTypeOf('string');
    }
  }
});

test.each([
  '/',
  '/healthz',
  '/readyz',
  '/metrics',
  '/v1/nodes',
  '/v1/stats',
  '/v1/top',
  '/v1/rooms',
  '/v1/sessions',
  '/v1/tokens',
  '/v1/keys',
  '/v1/users/1/sessions',
  '/v1/users/1/messages',
  '/v1/rooms/r',
  '/v1/rooms/r/messages',
])('GET %s answers', async (path) => {
  const answer = await call(base, 'GET', path);
  expect(answer.status, answer.text).toBe(200);
});
