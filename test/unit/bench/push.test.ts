// What became of a push when there is no answer: refused only where nothing can have arrived.
import { createServer, type Server } from 'node:net';
import { expect, test } from 'vitest';
import { HttpCaller } from '../../../src/bench/http-caller.js';
import { pushApi } from '../../../src/bench/push.js';

function listening(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
}

test('a server that is not there has refused; one that is gone before it answers may have taken it', async () => {
  const server = createServer((socket) => {
    socket.once('data', () => socket.resetAndDestroy());
  });
  const port = await listening(server);
  const http = new HttpCaller(`http://127.0.0.1:${port}`, undefined);
  const api = pushApi(http, { dialect: 'imgo', native: true, userBase: 0 });
  const push = () => api.push({ kind: 'all' }, '{"test":1}');
  expect(await push()).toEqual({ kind: 'unknown', reason: 'ECONNRESET' });
  await new Promise((resolve) => server.close(resolve));
  expect(await push()).toEqual({ kind: 'refused', reason: 'ECONNREFUSED' });
  http.end();
});
