// What the fault proxy does to a connection, against a server that keeps what it is sent and answers it in capitals.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FaultProxy, type FaultProxyOptions } from '../harness/fault-proxy.js';

let stack: AsyncDisposableStack;
let received: string;
let target: number;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  received = '';
  const server = createServer((socket) => {
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
      socket.write(text.toUpperCase(), 'latin1');
    });
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  target = (server.address() as AddressInfo).port;
  stack.defer(() => {
    server.close();
  });
});
afterEach(() => stack.disposeAsync());

interface Client {
  readonly socket: Socket;
  /** What it was answered so far. */
  answers(): string;
  /** The code of the error that it ended with; `end` without one. */
  readonly ended: Promise<string>;
}

function client(port: number): Client {
  const socket = connect(port, '127.0.0.1');
  stack.defer(() => {
    socket.destroy();
  });
  let answers = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    answers += text;
  });
  const ended = new Promise<string>((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('end', () => resolve('end'));
  });
  return { socket, answers: () => answers, ended };
}

async function start(options: Partial<FaultProxyOptions> = {}): Promise<FaultProxy> {
  return stack.use(await FaultProxy.start({ target, ...options }));
}

/** A frame of Kafka's kind. */
function frame(text: string): Buffer {
  const bytes = Buffer.alloc(4 + text.length);
  bytes.writeUInt32BE(text.length);
  bytes.write(text, 4, 'latin1');
  return bytes;
}

test('without a fault every byte passes both ways, and an end is an end', async () => {
  const proxy = await start();
  const { socket, answers, ended } = client(proxy.port);
  socket.end('a'.repeat(3_000_000));
  expect(await ended).toBe('end');
  expect(answers()).toBe('A'.repeat(3_000_000));
  await vi.waitFor(() => expect(proxy.connections).toBe(0));
});

test('where nothing listens behind it a client is reset', async () => {
  const proxy = await start({ target: 1 });
  expect(await client(proxy.port).ended).toBe('ECONNRESET');
});

test('refusing resets new connections and leaves the open one', async () => {
  const proxy = await start();
  const open = client(proxy.port);
  open.socket.write('a');
  await vi.waitFor(() => expect(open.answers()).toBe('A'));
  proxy.refuse();
  expect(await client(proxy.port).ended).toBe('ECONNRESET');
  open.socket.write('b');
  await vi.waitFor(() => expect(open.answers()).toBe('AB'));
  proxy.heal();
  const next = client(proxy.port);
  next.socket.write('c');
  await vi.waitFor(() => expect(next.answers()).toBe('C'));
});

test('a cut resets open connections and takes new ones', async () => {
  const proxy = await start();
  const open = client(proxy.port);
  open.socket.write('a');
  await vi.waitFor(() => expect(open.answers()).toBe('A'));
  proxy.cut();
  expect(await open.ended).toBe('ECONNRESET');
  const next = client(proxy.port);
  next.socket.write('b');
  await vi.waitFor(() => expect(next.answers()).toBe('B'));
});

test('stalled requests reach the target when healed, none lost', async () => {
  const proxy = await start();
  const { socket, answers } = client(proxy.port);
  proxy.stall(['requests']);
  socket.write('a');
  await vi.waitFor(() => expect(proxy.connections).toBe(1));
  expect(received).toBe('');
  proxy.heal();
  await vi.waitFor(() => expect(answers()).toBe('A'));
});

test('stalled answers are to requests that were done', async () => {
  const proxy = await start();
  const { socket, answers } = client(proxy.port);
  proxy.stall(['answers']);
  socket.write('a');
  await vi.waitFor(() => expect(received).toBe('a'));
  expect(answers()).toBe('');
  proxy.heal();
  await vi.waitFor(() => expect(answers()).toBe('A'));
});

test('a delayed stream keeps its bytes and their order', async () => {
  const proxy = await start();
  const { socket, answers } = client(proxy.port);
  proxy.delay(5);
  for (const text of ['a', 'b', 'c']) {
    socket.write(text);
    await vi.waitFor(() => expect(answers()).toBe('ABC'.slice(0, 'abc'.indexOf(text) + 1)));
  }
});

test('a cut answer: the target has the request, the client is reset; the next connection is not', async () => {
  const proxy = await start();
  const { socket, answers, ended } = client(proxy.port);
  const cut = proxy.cutAnswer((request) => request.includes('b'));
  socket.write('a');
  await vi.waitFor(() => expect(answers()).toBe('A'));
  socket.write('b');
  await cut;
  expect(await ended).toBe('ECONNRESET');
  expect([received, answers()]).toEqual(['ab', 'A']);
  const next = client(proxy.port);
  next.socket.write('b');
  await vi.waitFor(() => expect(next.answers()).toBe('B'));
});

test('with framing, answers to earlier requests arrive; the one to be cut and those after it do not', async () => {
  const proxy = await start({ framing: 'length-prefixed' });
  const { socket, answers, ended } = client(proxy.port);
  const cut = proxy.cutAnswer((request) => request.toString('latin1', 4) === 'two');
  const requests = Buffer.concat([frame('one'), frame('two'), frame('three')]);
  // Cut in the middle of a frame: the proxy puts it together again.
  socket.write(requests.subarray(0, 9));
  await vi.waitFor(() => expect(answers()).toBe(frame('ONE').toString('latin1')));
  socket.write(requests.subarray(9));
  await cut;
  expect(await ended).toBe('ECONNRESET');
  expect(received).toBe(requests.toString('latin1'));
  expect(answers()).toBe(frame('ONE').toString('latin1'));
});

test('with framing, a request is known by its place though its answer comes with others', async () => {
  const proxy = await start({ framing: 'length-prefixed' });
  const { socket, answers, ended } = client(proxy.port);
  const cut = proxy.cutAnswer((request) => request.toString('latin1', 4) === 'two');
  socket.write(Buffer.concat([frame('one'), frame('two')]));
  await cut;
  expect(await ended).toBe('ECONNRESET');
  expect(answers()).toBe(frame('ONE').toString('latin1'));
});
