import { connect, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { call, setUp } from './setup.js';

/** Sends the beginning of a request whose body never ends. Resolves with what came back when the server closed. */
function never(base: string, path: string, headers: string): Promise<string> {
  const { hostname, port, host } = new URL(base);
  const socket: Socket = connect(Number(port), hostname);
  let answer = '';
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString();
  });
  socket.on('error', () => undefined);
  socket.write(`POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000\r\n${headers}\r\n{"to":`);
  return new Promise((resolve) => socket.once('close', () => resolve(answer)));
}

it('a body that does not come is cut off, counted, and holds up nobody else', async () => {
  await using setup = await setUp({ options: { bodyMs: 50 } });
  const base = setup.http.addresses().http;
  await never(base, '/v1/push', 'Content-Type: application/json\r\n');
  const pushed = await call(base, 'POST', '/v1/push', '{"to":{"user":"1"},"message":1}', {
    'content-type': 'application/json',
  });
  expect(pushed.status).toBe(200);
  const { text } = await call(base, 'GET', '/metrics');
  expect(text).toMatch(/^imgo_http_slow_bodies_total 1$/m);
});

it('a caller who is refused before the body came cannot hold the connection either', async () => {
  await using setup = await setUp({ options: { bodyMs: 50 }, http: { development: false } });
  const answer = await never(setup.http.addresses().http, '/v1/push/batch', 'Content-Type: application/x-ndjson\r\n');
  expect(answer).toMatch(/^HTTP\/1\.1 401 /);
});
