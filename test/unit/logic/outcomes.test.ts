// What becomes of a push when the queue refuses it, loses track of it, or never answers.
import { expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import { systemClock } from '../../../src/server/clock.js';
import type { Queue } from '../../../src/server/queue/queue.js';
import type { PushRecord } from '../../../src/server/store/buckets.js';
import { createMemoryBuckets } from '../../../src/server/store/memory.js';
import { bucketsOptions, call, setUp } from './setup.js';

function accepting(accept: (record: PushRecord) => Promise<never> | undefined) {
  return (queue: Queue): Queue =>
    new Proxy(queue, {
      get(target, name) {
        if (name === 'accept') return (record: PushRecord) => accept(record) ?? target.accept(record);
        const value = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
}

test.each([
  ['overloaded', { reason: 'queue' }, 503, '1'],
  ['idempotency_full', {}, 503, '1'],
  ['store_full', { data: '.imgo', free: '1 MiB', needed: '2 MiB' }, 507, '5'],
  ['outcome_unknown', {}, 504, null],
] as const)('%s is told with its status, and when to come back', async (code, details, status, retryAfter) => {
  await using setup = await setUp({ queue: accepting(async () => Promise.reject(new ImgoError(code, details))) });
  const base = setup.http.addresses().http;
  const answer = await call(base, 'POST', '/v1/push', '{"to":{"user":"1"},"message":1}');
  expect([answer.status, answer.json.code]).toEqual([status, code]);
  expect(answer.headers.get('retry-after')).toBe(retryAfter);
  const imgo = await call(base, 'POST', '/1/push?uid=1', '{}');
  expect([imgo.status, imgo.json]).toEqual([200, { ret: 65_535 }]);
  const goim = await call(base, 'POST', '/goim/push/mids?operation=5&mids=1', '{}');
  expect([goim.status, goim.json.code]).toEqual([200, -500]);
});

test('an accept that never answers is an unknown outcome after the deadline', async () => {
  const never = () => new Promise<never>(() => undefined);
  await using setup = await setUp({ queue: accepting(never), options: { acceptDeadlineMs: 100 } });
  const answer = await call(setup.http.addresses().http, 'POST', '/v1/push', '{"to":{"user":"1"},"message":1}');
  expect([answer.status, answer.json.code]).toEqual([504, 'outcome_unknown']);
});

test('while the store has failed a push is refused at once, certainly; a full store refuses by itself', async () => {
  let code: 'store_failed' | 'store_full' | undefined = 'store_full';
  const clock = systemClock;
  const buckets = createMemoryBuckets(bucketsOptions, clock);
  const health = buckets.health.bind(buckets);
  buckets.health = () => ({ ...health(), ...(code === undefined ? {} : { writable: false, code }) });
  let accepts = 0;
  const counting = accepting(() => {
    accepts++;
    return undefined;
  });
  await using setup = await setUp({ queue: counting, http: { buckets } });
  const base = setup.http.addresses().http;
  const push = () => call(base, 'POST', '/v1/push', '{"to":{"user":"1"},"message":1}');
  expect((await push()).status).toBe(200);
  code = 'store_failed';
  await expect.poll(async () => (await push()).status).toBe(503);
  const before = accepts;
  expect((await push()).json.code).toBe('store_failed');
  expect(accepts, 'nothing reaches the queue').toBe(before);
  code = undefined;
  await expect.poll(async () => (await push()).status).toBe(200);
});

test('of several users some may fail: 200 while one was accepted, else the error, which prefers the unknown', async () => {
  const refuse = (record: PushRecord) => {
    if (record.log === 'user:full') return Promise.reject(new ImgoError('overloaded', { reason: 'queue' }));
    if (record.log === 'user:66') return Promise.reject(new ImgoError('overloaded', { reason: 'queue' }));
    if (record.log === 'user:lost') return Promise.reject(new ImgoError('outcome_unknown'));
    return undefined;
  };
  await using setup = await setUp({ queue: accepting(refuse) });
  const base = setup.http.addresses().http;
  const some = await call(base, 'POST', '/v1/push', '{"to":{"users":["ok","full","lost"]},"message":1}');
  expect(some.status).toBe(200);
  expect(Object.keys(some.json.ids)).toEqual(['ok']);
  expect(some.json.errors).toEqual({ full: 'overloaded', lost: 'outcome_unknown' });
  const none = await call(base, 'POST', '/v1/push', '{"to":{"users":["full","lost"]},"message":1}');
  expect([none.status, none.json.code]).toEqual([504, 'outcome_unknown']);
  expect(none.json.errors).toEqual({ full: 'overloaded', lost: 'outcome_unknown' });
  // The old APIs have no word for some of them: success is all.
  expect((await call(base, 'POST', '/1/pushs', '{"u":[1,2],"m":1}')).json).toEqual({ ret: 1 });
  expect((await call(base, 'POST', '/1/pushs', '{"u":[1,66],"m":1}')).json).toEqual({ ret: 65_535 });
  const mids = (query: string) => call(base, 'POST', `/goim/push/mids?operation=5&${query}`, '{}');
  expect((await mids('mids=1&mids=2')).json.code).toBe(0);
  expect((await mids('mids=1&mids=66')).json.code).toBe(-500);
  const { json } = await call(base, 'GET', '/v1/stats');
  expect(json.push.refused).toEqual({ overloaded: 4, outcome_unknown: 2 });
});

test('a defect is logged by its place, and answered without a word of what it said', async () => {
  const broken = async () => Promise.reject(new Error('CANARY the payload was {"secret":1}'));
  await using setup = await setUp({ queue: accepting(broken) });
  const answer = await call(setup.http.addresses().http, 'POST', '/v1/push', '{"to":{"user":"1"},"message":1}');
  expect([answer.status, answer.json.code]).toEqual([500, 'internal']);
  expect(answer.text).not.toContain('CANARY');
  expect(setup.logged()).toContain('a request failed');
  expect(setup.logged()).toContain('outcomes.test.ts');
  expect(setup.logged()).not.toContain('CANARY');
});
