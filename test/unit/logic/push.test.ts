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
