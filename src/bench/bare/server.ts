// A process of the bare server: sockets without a server behind them. It accepts, answers whatever is said first as if it were
// an AUTH, and writes what is due to one socket after the other. What it does is what this machine can do at all.

import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { BenchTransport } from '../options.js';
import type { BareOrder, BareWord } from './messages.js';
import { play } from './play.js';

const HOST = '127.0.0.1';
const BACKLOG = 4_096;
/** When nobody has read what was written last there is nothing to write. */
const BLOCKED_MS = 5;

const say = (word: BareWord) => process.send?.(word);
const sockets: Socket[] = [];
const counts = { flushes: 0, messages: 0, bytes: 0 };
let sweeping: NodeJS.Timeout | undefined;
let stopped = true;

function opened(socket: Socket): void {
  sockets.push(socket);
  socket.on('close', () => {
    const at = sockets.indexOf(socket);
    const last = sockets.pop();
    if (last !== undefined && at < sockets.length) sockets[at] = last;
  });
  socket.on('error', () => socket.destroy());
}

async function serverFor(transport: BenchTransport, reply: Uint8Array): Promise<Server> {
  if (transport === 'tcp') {
    return createServer({ noDelay: true }, (socket) => {
      opened(socket);
      socket.once('data', () => socket.write(reply));
      // What else is said (heartbeats, acknowledgements) is read and let go.
      socket.resume();
    });
  }
  const { WebSocketServer } = await import('ws');
  const upgrades = new WebSocketServer({ noServer: true, perMessageDeflate: false, clientTracking: false });
  const server = createHttpServer();
  server.on('upgrade', (request, duplex, head) => {
    const socket = duplex as Socket;
    upgrades.handleUpgrade(request, socket, head, (webSocket) => {
      opened(socket);
      webSocket.once('message', () => socket.write(reply));
      webSocket.on('error', () => socket.destroy());
    });
  });
  return server;
}

async function listen({ port, transport, reply }: BareOrder & { do: 'listen' }): Promise<void> {
  const server = await serverFor(transport, reply);
  server.listen({ host: HOST, port, backlog: BACKLOG, reusePort: true }, () => {
    say({ say: 'listening', port: (server.address() as AddressInfo).port });
  });
}

function sweep({ push, each, sockets: perSweep, everyMs }: BareOrder & { do: 'sweep' }): void {
  let next = 0;
  let due = 0;
  let at = performance.now();
  stopped = false;
  const run = () => {
    if (stopped) return;
    due += each;
    const messages = Math.max(1, Math.floor(due));
    due -= messages;
    const buffer = repeated(push, messages);
    const before = counts.flushes;
    for (let turn = Math.min(perSweep, sockets.length); turn > 0; turn--) {
      const socket = sockets[next++ % sockets.length] as Socket;
      // Who is behind gets it later; here it is not owed to anybody.
      if (socket.writableLength > 0) continue;
      socket.write(buffer);
      counts.flushes++;
    }
    const written = counts.flushes - before;
    counts.messages += written * messages;
    counts.bytes += written * buffer.length;
    // What could not be done in time is not made up for.
    at = Math.max(at + everyMs, performance.now());
    const wait = written === 0 ? BLOCKED_MS : at - performance.now();
    if (wait < 1) setImmediate(run);
    else sweeping = setTimeout(run, wait);
  };
  run();
}

let known: { readonly push: Uint8Array; readonly times: number; readonly buffer: Buffer } | undefined;
function repeated(push: Uint8Array, times: number): Buffer {
  if (known?.push !== push || known.times !== times) {
    known = { push, times, buffer: Buffer.concat(Array.from({ length: times }, () => push)) };
  }
  return known.buffer;
}

function count(): void {
  const { user, system } = process.cpuUsage();
  say({ say: 'counts', counts: { cpuSeconds: (user + system) / 1e6, connections: sockets.length, ...counts } });
}

process.on('message', (order: BareOrder) => {
  switch (order.do) {
    case 'listen':
      void listen(order);
      return;
    case 'sweep':
      sweep(order);
      return;
    case 'play':
      stopped = false;
      play(
        sockets,
        order.played,
        () => stopped,
        (messages, bytes) => {
          counts.flushes++;
          counts.messages += messages;
          counts.bytes += bytes;
        },
      );
      return;
    case 'rest':
      stopped = true;
      clearTimeout(sweeping);
      return;
    case 'count':
      count();
      return;
    case 'end':
      process.exit(0);
  }
});
process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => undefined);
