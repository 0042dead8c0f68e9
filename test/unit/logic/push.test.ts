import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, kept, type Setup, setUp } from './setup.js';

let setup: Setup;
let base: string;

beforeAll(async () => {
  setup = await setUp();
  base = setup.http.addresses().http;
});
afterAll(async () => {
  await setup[Symbol.asyncDispose]();
});

const push = (body: string | Uint8Array, headers: Record<string, string> = {}, query = '') =>
  call(base, 'POST', `/v1/push${query}`, body, headers);

describe('POST /v1/push', () => {
  test('answers with the log and the id, and the message is kept', async () => {
    const answer = await push('{"to":{"user":"1"},"message":{"test":1}}');
    expect(answer.status).toBe(200);
    expect(answer.json.log).toBe('user:1');
    expect(answer.json.id).toMatch(/^\d+-\d+$/);
    expect(await kept(setup, 'user:1')).toEqual(['{"test":1}']);
  });

  test.each([
    ['an integer above 2^53', '{"id":9007199254740993,"x":1.10}'],
    ['white space inside', '{ "a" :\t[ 1 ,\n 2 ] }'],
    ['escapes', '"\\u0041\\/\\ud83d\\ude00"'],
    ['duplicate keys inside', '{"a":1,"a":2}'],
    ['a bare literal', 'null'],
    ['a number', '-0.10e+05'],
    ['text in many scripts', '"中文 العربية 🎉"'],
    ['a string with braces', '"}{\\"]["'],
  ])('delivers the bytes of the message as they came: %s', async (name, message) => {
    const log = `bytes ${name}`;
    const answer = await push(` {"to" : {"user":${JSON.stringify(log)}},  "message" :  ${message}  } \r\n`);
    expect(answer.status).toBe(200);
    expect(await kept(setup, `user:${log}`)).toEqual([message]);
  });
});

describe('targets', () => {
  test('several users are answered each for itself', async () => {
    const answer = await push('{"to":{"users":["a","b","a"]},"message":"x"}');
    expect(Object.keys(answer.json.ids).sort()).toEqual(['a', 'b']);
    expect(answer.json.errors).toEqual({});
    expect(await kept(setup, 'user:a')).toEqual(['"x"']);
  });

  test('a room and all have logs of their own', async () => {
    expect((await push('{"to":{"room":"live://1"},"message":1}')).json.log).toBe('room:live://1');
    expect((await push('{"to":{"all":true},"message":1}')).json.log).toBe('all');
  });

  test('a time to live of 0 has no id and is not kept', async () => {
    for (const ttl of ['0', '"0"', '"0s"']) {
      const answer = await push(`{"to":{"user":"e"},"message":1,"ttl":${ttl}}`);
      expect(answer.json).toEqual({ log: 'user:e', id: null });
    }
    expect(await kept(setup, 'user:e')).toEqual([]);
    const answer = await push('{"to":{"users":["e","f"]},"message":1,"ttl":0}');
    expect(answer.json).toEqual({ ids: { e: null, f: null }, errors: {} });
  });

  test('a time to live is when the message expires', async () => {
    await push('{"to":{"user":"ttl"},"message":1,"ttl":"90s"}');
    const { json } = await call(base, 'GET', '/v1/users/ttl/messages');
    expect(Date.parse(json.items[0].expiresAt) - Date.parse(json.items[0].acceptedAt)).toBe(90_000);
  });

  test('bytes that are no JSON are kept as they came', async () => {
    await push('{"to":{"user":"bin"},"base64":"AP+A"}');
    const { json } = await call(base, 'GET', '/v1/users/bin/messages');
    expect(json.items[0].base64).toBe('AP+A');
    expect('message' in json.items[0]).toBe(false);
  });

  test('what is kept is shown with the very bytes of the message', async () => {
    await push('{"to":{"user":"raw"},"message":{ "n":12345678901234567890 }}');
    const { text } = await call(base, 'GET', '/v1/users/raw/messages');
    expect(text).toContain('"message":{ "n":12345678901234567890 }');
  });
});

describe('idempotency', () => {
  const body = '{"to":{"user":"i"},"message":{"a":1}}';

  test('one key, one id', async () => {
    const first = await push(body, { 'idempotency-key': 'k1' });
    const again = await push(body, { 'idempotency-key': 'k1' });
    expect(again.json).toEqual(first.json);
    const field = await push('{"to":{"user":"i"},"message":{"a":1},"idempotencyKey":"k1"}');
    expect(field.json).toEqual(first.json);
    expect(await kept(setup, 'user:i')).toHaveLength(1);
  });

  test('another body under the key is refused, and so is another time to live', async () => {
    await push(body, { 'idempotency-key': 'k2' });
    const other = await push('{"to":{"user":"i"},"message":{"a":2}}', { 'idempotency-key': 'k2' });
    expect([other.status, other.json.code]).toEqual([422, 'idempotency_mismatch']);
    const ttl = await push('{"to":{"user":"i"},"message":{"a":1},"ttl":"1d"}', { 'idempotency-key': 'k2' });
    expect(ttl.status).toBe(422);
  });

  test('the key counts for each log apart', async () => {
    await push(body, { 'idempotency-key': 'k3' });
    const other = await push('{"to":{"users":["i","i2"]},"message":{"a":1}}', { 'idempotency-key': 'k3' });
    expect(other.status).toBe(200);
    expect(await kept(setup, 'user:i2')).toHaveLength(1);
  });

  test.each(['with space', 'é', 'x'.repeat(129)])('%s is no key', async (key) => {
    const headers = { 'idempotency-key': Buffer.from(key).toString('latin1') };
    const answer = await push(body, headers);
    expect([answer.status, answer.json.code]).toEqual([400, 'idempotency_key_invalid']);
  });

  test('what is never stored cannot have one', async () => {
    const answer = await push('{"to":{"user":"i"},"message":1,"ttl":0}', { 'idempotency-key': 'k4' });
    expect([answer.status, answer.json.code]).toEqual([400, 'invalid_request']);
  });
});

describe('refusals are problem documents', () => {
  test.each([
    ['{"to":{"user":"1"}', 400, 'invalid_json'],
    [`{"to":{"user":"1"},"message":"${'x'.repeat(66_000)}"}`, 413, 'payload_too_large'],
    [`{"to":{"user":"1"},"message":"${'x'.repeat(1_100_000)}"}`, 413, 'request_too_large'],
    ['', 400, 'invalid_request'],
  ])('case %#', async (body, status, code) => {
    const answer = await push(body);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(answer.json).toMatchObject({ type: `urn:imgo:error:${code}`, status, code });
    expect(answer.json.title).toBeTypeOf('string');
    expect(answer.json.advice).toBeInstanceOf(Array);
  });

  test('the content type does not matter', async () => {
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'application/octet-stream']) {
      const answer = await push('{"to":{"user":"ct"},"message":1}', { 'content-type': type });
      expect(answer.status, type).toBe(200);
    }
  });

  test('a path that cannot be decoded is a bad request, and is not repeated', async () => {
    const answer = await call(base, 'GET', '/v1/users/secret%zz/sessions');
    expect([answer.status, answer.json.code]).toEqual([400, 'invalid_request']);
    expect(answer.text).not.toContain('secret');
    const long = await call(base, 'GET', `/v1/users/${'x'.repeat(1_000)}/sessions`);
    expect(long.status).toBeGreaterThanOrEqual(400);
    expect(long.headers.get('content-type')).toMatch(/problem/);
  });

  test('an unknown path and a wrong method are told apart, without the query', async () => {
    const lost = await call(base, 'GET', '/v1/nothing?token=secret');
    expect([lost.status, lost.json.code]).toEqual([404, 'not_found']);
    expect(lost.text).not.toContain('secret');
    const wrong = await call(base, 'GET', '/v1/push');
    expect([wrong.status, wrong.json.code]).toEqual([405, 'method_not_allowed']);
    expect(wrong.headers.get('allow')).toContain('POST');
  });
});
