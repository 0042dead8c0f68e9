// The line of the page: what goes by is shown, and a cut one is a network that is gone.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { dialWebSocket } from '../../../src/client/websocket.js';
import { Line } from '../../../src/page/line.js';

/** A server that repeats what it hears, and a line to it whose events are written down. */
async function setUp() {
  const http = createServer();
  const server = new WebSocketServer({ server: http });
  server.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const seen: string[] = [];
  const line = new Line((direction, data) => void seen.push(`${direction} ${data.join()}`));
  const dial = line.through(dialWebSocket(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`, undefined));
  const attempt = () => {
    const events: string[] = [];
    const carrier = dial({
      opened: () => void events.push('opened'),
      data: (data) => void events.push(`data ${[...(data as Uint8Array)].join()}`),
      closed: (code, reason) => void events.push(`closed ${code} ${reason}`),
    });
    return { carrier, events };
  };
  return {
    server,
    seen,
    line,
    attempt,
    async [Symbol.asyncDispose]() {
      for (const socket of server.clients) socket.terminate();
      server.close();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

test('what goes by is shown, both ways', async () => {
  await using setup = await setUp();
  const { carrier, events } = setup.attempt();
  await expect.poll(() => events).toEqual(['opened']);
  carrier.send(new Uint8Array([1, 2]));
  await expect.poll(() => events).toEqual(['opened', 'data 1,2']);
  setup.line.send(new Uint8Array([3]));
  await expect.poll(() => events.at(-1)).toBe('data 3');
  expect(setup.seen).toEqual(['out 1,2', 'in 1,2', 'out 3', 'in 3']);
});

test('a cut ends what is open, once; attempts wait until it is whole again', async () => {
  await using setup = await setUp();
  const first = setup.attempt();
  await expect.poll(() => first.events).toEqual(['opened']);
  setup.line.cut();
  expect(first.events).toEqual(['opened', 'closed undefined this page is offline']);
  await expect.poll(() => setup.server.clients.size).toBe(0);
  const second = setup.attempt();
  const given = setup.attempt();
  given.carrier.close();
  await expect.poll(() => given.events).toEqual(['closed undefined given up']);
  expect(second.events).toEqual([]);
  expect(setup.server.clients.size).toBe(0);
  setup.line.restore();
  await expect.poll(() => second.events).toEqual(['opened']);
  expect([first.events.length, given.events.length, setup.server.clients.size]).toEqual([2, 1, 1]);
});
