import { request } from 'node:http';
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

async function batch(body: string | Uint8Array, headers: Record<string, string> = {}) {
  const answer = await call(base, 'POST', '/v1/push/batch', body, headers);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('application/x-ndjson');
  const lines = answer.text.split('\n');
  expect(lines.pop()).toBe('');
  return lines.map((line) => JSON.parse(line));
}

const line = (user: string, message: string) => `{"to":{"user":"${user}"},"message":${message}}`;

describe('POST /v1/push/batch', () => {
  test('one result a line, in order, good and bad', async () => {
    const results = await batch(
      [line('a', '1'), 'nonsense', line('b', '2'), '{"to":{"users":["a","c"]},"message":3}', '{"to":{}}'].join('\n'),
    );
    expect(results).toHaveLength(5);
    expect(results[0].log).toBe('user:a');
    expect(results[1].error).toMatchObject({ code: 'invalid_request', retryable: false });
    expect(results[2].log).toBe('user:b');
    expect(Object.keys(results[3].ids)).toEqual(['a', 'c']);
    expect(results[4].error.code).toBe('invalid_target');
    expect(await kept(setup, 'user:a')).toEqual(['1', '3']);
  });

  test('blank lines have no result, and the last line needs no end', async () => {
    expect(await batch(`\n\r\n  \n${line('d', '1')}\r\n\n`)).toHaveLength(1);
    expect(await batch(line('d', '2'))).toHaveLength(1);
    expect(await batch('')).toEqual([]);
    expect(await batch('\n')).toEqual([]);
  });

  test('the bytes of each message are as they came, however the stream is cut', async () => {
    const body = Buffer.from(
      ['{ "x" : 9007199254740993 }', '"中文 🎉"', '[1.0,\t2]'].map((message) => line('cut', message)).join('\n'),
    );
    for (let cut = 1; cut < body.length; cut += 3) {
      const results = await chunked([body.subarray(0, cut), body.subarray(cut)]);
      expect(results.trimEnd().split('\n')).toHaveLength(3);
    }
    const messages = new Set(await kept(setup, 'user:cut'));
    expect(messages).toEqual(new Set(['{ "x" : 9007199254740993 }', '"中文 🎉"', '[1.0,\t2]']));
  });

  test('a line above the limit is refused alone, and costs no more than the limit', async () => {
    const long = `{"to":{"user":"long"},"message":"${'x'.repeat(3_000_000)}"}`;
    const results = await batch([line('long', '1'), long, line('long', '2'), long].join('\n'));
    expect(results.map((result) => result.error?.code ?? 'ok')).toEqual([
      'ok',
      'request_too_large',
      'ok',
      'request_too_large',
    ]);
  });

  test('a body far above one megabyte is taken, in order', async () => {
    const count = 40_000;
    const lines = Array.from({ length: count }, (_, index) => line(`m${index % 100}`, String(index)));
    const results = await batch(lines.join('\n'));
    expect(results).toHaveLength(count);
    let last = -1;
    for (const { id } of results.filter((result) => result.log === 'user:m7')) {
      const n = Number(id.split('-')[1]);
      expect(n).toBeGreaterThan(last);
      last = n;
    }
    expect((await kept(setup, 'user:m7')).map(Number)).toEqual(Array.from({ length: 400 }, (_, i) => i * 100 + 7));
  });

  test('with a key the same body may be sent again', async () => {
    const body = [line('k', '1'), line('k', '1'), line('k', '2')].join('\n');
    const first = await batch(body, { 'idempotency-key': 'run-1' });
    const again = await batch(body, { 'idempotency-key': 'run-1' });
    expect(again).toEqual(first);
    expect(await kept(setup, 'user:k')).toEqual(['1', '1', '2']);
    const own = `{"to":{"user":"k"},"message":9,"idempotencyKey":"mine"}`;
    const [result] = await batch(own, { 'idempotency-key': 'run-2' });
    expect(await batch(own)).toEqual([result]);
  });

  test('a client that does not read its results stops being read', async () => {
    const sent = request(`${base}/v1/push/batch`, { method: 'POST' });
    sent.on('error', () => undefined);
    // A listener that does nothing: the answer is neither read nor thrown away.
    sent.on('response', () => undefined);
    const lines = 4_000_000;
    const chunk = Buffer.from('x\n'.repeat(lines / 100));
    for (let part = 0; part < 100; part++) sent.write(chunk);
    const refused = async () => (await call(base, 'GET', '/v1/stats')).json.push.refused.invalid_request ?? 0;
    // Rests once the buffers of both sides are full: well before the end.
    for (let before = -1, now = 0; before !== now || now === 0; ) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      before = now;
      now = await refused();
    }
    expect(await refused()).toBeLessThan(lines / 2);
    sent.destroy();
  });

  test('a server that stops answers what it read, and ends the batch', async () => {
    const stopping = await setUp();
    const url = `${stopping.http.addresses().http}/v1/push/batch`;
    const text = await new Promise<string>((resolve, reject) => {
      const sent = request(url, { method: 'POST' }, (answer) => {
        let got = '';
        answer.setEncoding('utf8');
        answer.on('data', (part: string) => {
          got += part;
          void stopping[Symbol.asyncDispose]();
        });
        answer.on('end', () => resolve(got));
      });
      sent.on('error', reject);
      sent.write(`${line('stop', '1')}\n{"to":`);
    });
    expect(text.trimEnd().split('\n')).toHaveLength(1);
    expect(JSON.parse(text).log).toBe('user:stop');
  });

  test('a client that goes away in the middle harms nobody', async () => {
    const sent = request(`${base}/v1/push/batch`, { method: 'POST' });
    sent.on('error', () => undefined);
    sent.write(`${line('gone', '1')}\n{"to":`);
    await expect.poll(async () => (await kept(setup, 'user:gone')).length).toBe(1);
    sent.destroy();
    expect(await batch(line('gone', '2'))).toHaveLength(1);
  });
});

function chunked(chunks: readonly Buffer[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(`${base}/v1/push/batch`, { method: 'POST' }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part: string) => (text += part));
      answer.on('end', () => resolve(text));
    });
    sent.on('error', reject);
    const next = (index: number): void => {
      const chunk = chunks[index];
      if (chunk === undefined) sent.end();
      else sent.write(chunk, () => next(index + 1));
    };
    next(0);
  });
}
