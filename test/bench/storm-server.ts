// The reference of the storm benchmark: sockets without a server behind them. Who says an AUTH of imgo's is a member, and gets what
// has come to be due in a sweep every window, one write each; who says anything else is answered, and stays.

import { type AddressInfo, createServer, type Socket } from 'node:net';
import { now } from '../../src/bench/now.js';
import { frame } from '../harness/wire.js';

/** As many as a port of imgo's has. */
const LISTENERS = 16;
const BACKLOG = 4_096;
const NATIVE = 2;
const ANSWERED = 8;
const PUSH = 5;
/** As long as what a session that opens is told. */
const ANSWER = frame(NATIVE, ANSWERED, 1, Buffer.alloc(160, 0x20));
const MEMBER = frame(1, ANSWERED, 1);

const [every = '25', windowMs = '100'] = process.argv.slice(2);
const members: Socket[] = [];

function serve(socket: Socket): void {
  socket.once('data', (hello) => {
    const isMember = hello.readInt16BE(6) !== NATIVE;
    socket.write(isMember ? MEMBER : ANSWER);
    if (isMember) members.push(socket);
  });
  socket.on('error', () => undefined);
}

let due = now();

function sweep(): void {
  const beganAt = now();
  const pushes: Buffer[] = [];
  for (; due <= beganAt; due += Number(every)) pushes.push(frame(1, PUSH, 0, `{"due":${due}}`));
  const bytes = Buffer.concat(pushes);
  for (const member of members) member.write(bytes);
  setTimeout(sweep, Math.max(1, beganAt + Number(windowMs) - now()));
}

async function listen(port: number): Promise<number> {
  const server = createServer({ noDelay: true }, serve);
  await new Promise<void>((resolve) => {
    server.listen({ host: '127.0.0.1', port, backlog: BACKLOG, reusePort: true }, resolve);
  });
  return (server.address() as AddressInfo).port;
}

const port = await listen(0);
for (let more = 1; more < LISTENERS; more++) await listen(port);
setTimeout(sweep, Number(windowMs));
process.on('disconnect', () => process.exit());
process.send?.({ port });
