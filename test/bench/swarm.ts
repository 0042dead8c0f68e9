// Clients for the session benchmark, in a process of their own: each connects, says its AUTH (over WebSocket after the
// upgrade), waits for the answer and stays silent. Wire bytes are made by hand, so that a client costs little.

import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { frame } from '../harness/wire.js';

/** Which words a swarm speaks. `bare`: 16 bytes, answered by 16. */
export type SwarmDialect = 'bare' | 'native' | 'imgo';

export interface SwarmOrder {
  readonly order: number;
  /** `count`: how many bytes were read after the first answers. */
  readonly do: 'connect' | 'drop' | 'count';
  readonly port: number;
  readonly transport: 'tcp' | 'ws';
  readonly dialect: SwarmDialect;
  /** One a connection; for `bare` only their number counts. */
  readonly tokens: readonly string[];
  /** Connections that are being opened at a time; 256 unless given. */
  readonly atOnce?: number;
}

/** Connections that are being opened at a time. */
const AT_ONCE = 256;

const sockets = new Set<Socket>();
const shared = Buffer.alloc(65_536);
let received = 0;

function hello(order: SwarmOrder, token: string): Buffer {
  if (order.dialect === 'bare') return Buffer.alloc(16);
  if (order.dialect === 'imgo') return frame(1, 7, 1, token);
  return frame(2, 7, 1, JSON.stringify({ token }));
}

/** A masked binary message; the mask is zero, which leaves the bytes as they are. */
function masked(bytes: Buffer): Buffer {
  const head = bytes.length < 126 ? [0x82, 0x80 | bytes.length] : [0x82, 0xfe, bytes.length >> 8, bytes.length & 255];
  return Buffer.concat([Buffer.from(head), Buffer.alloc(4), bytes]);
}

function upgrade(order: SwarmOrder): string {
  const lines = ['GET /sub HTTP/1.1', `Host: 127.0.0.1:${order.port}`, 'Upgrade: websocket', 'Connection: Upgrade'];
  lines.push(`Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`, 'Sec-WebSocket-Version: 13');
  if (order.dialect === 'native') lines.push('Sec-WebSocket-Protocol: imgo.v2');
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** One client; resolves when it was answered. */
function open(order: SwarmOrder, token: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const words = hello(order, token);
    let upgrading = order.transport === 'ws';
    let answered = false;
    const socket = connect({
      host: '127.0.0.1',
      port: order.port,
      onread: {
        buffer: shared,
        callback: (length) => {
          if (answered) {
            received += length;
            return true;
          }
          if (upgrading) {
            if (!shared.toString('latin1', 0, length).startsWith('HTTP/1.1 101')) fail(new Error('not upgraded'));
            upgrading = false;
            socket.write(masked(words));
            return true;
          }
          const op = shared.readInt32BE(order.transport === 'ws' ? (length < 128 ? 10 : 12) : 8);
          if (order.dialect !== 'bare' && op !== 8) fail(new Error(`answered by operation ${op}`));
          answered = true;
          resolve();
          return true;
        },
      },
    });
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    sockets.add(socket);
    socket.on('connect', () => socket.write(upgrading ? upgrade(order) : words));
    socket.on('error', fail);
    socket.on('close', () => {
      sockets.delete(socket);
      reject(new Error('closed'));
    });
  });
}

async function connectAll(order: SwarmOrder): Promise<void> {
  let next = 0;
  const lane = async () => {
    for (let at = next++; at < order.tokens.length; at = next++) await open(order, order.tokens[at] as string);
  };
  await Promise.all(Array.from({ length: order.atOnce ?? AT_ONCE }, lane));
}

async function dropAll(): Promise<void> {
  const closing = [...sockets].map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())));
  for (const socket of sockets) socket.end();
  await Promise.all(closing);
}

process.on('message', (order: SwarmOrder) => {
  const work = order.do === 'connect' ? connectAll(order) : order.do === 'drop' ? dropAll() : Promise.resolve();
  work.then(
    () => process.send?.({ order: order.order, held: sockets.size, received }),
    (error: unknown) => process.send?.({ order: order.order, failed: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
