// The references of the session benchmark: what Node and ws alone cost when they accept a connection, hear one message and
// answer 16 bytes.

import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { WebSocketServer } from 'ws';

const ANSWER = Buffer.alloc(16, 1);

function tcp() {
  return createServer((socket) => {
    socket.on('data', () => socket.write(ANSWER));
    socket.on('error', () => undefined);
  });
}

function ws() {
  const server = createHttpServer();
  const sockets = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: false });
  sockets.on('connection', (socket) => {
    socket.on('message', () => socket.send(ANSWER));
    socket.on('error', () => undefined);
  });
  return server;
}

const server = process.argv[2] === 'ws' ? ws() : tcp();
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
process.on('disconnect', () => process.exit());
