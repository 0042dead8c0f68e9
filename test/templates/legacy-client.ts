// Clients of imgo and goim, as they are: what they say to connect, and what comes. Over TCP and WebSocket.
import { connect as dial } from 'node:net';
import { connect as dialTls } from 'node:tls';
import { WebSocket } from 'ws';
import { frame, frames } from '../harness/wire.js';

/** Of both protocols. */
const OP = { auth: 7, authReply: 8, batch: 9 };

/** A client that is let in. */
export interface LegacyClient extends Disposable {
  /** Everything that came after the reply to AUTH, as text. */
  readonly got: () => string;
}

export interface Door {
  /** `host:port`, or a URL of WebSocket. */
  readonly at: string;
  /** What it says first: the body of a frame; on WebSocket, where it begins with `[` or `{"ver"`, a text of imgo's JSON. */
  readonly auth: string;
  /** Trusts any certificate: the test made it. */
  readonly tls?: boolean;
}

/** Connects; resolves once the server has answered AUTH. */
export function enter({ at, auth, tls = false }: Door): Promise<LegacyClient> {
  return /^wss?:/.test(at) ? overWebSocket(at, auth) : overTcp(at, auth, tls);
}

function overTcp(at: string, auth: string, tls: boolean): Promise<LegacyClient> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(at) ?? [];
  const to = { host, port: Number(port) };
  const socket = tls ? dialTls({ ...to, rejectUnauthorized: false }) : dial(to);
  let rest: Buffer = Buffer.alloc(0);
  let text = '';
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`${at} closed the connection`)));
    socket.on('data', (chunk: Buffer) => {
      rest = frames(Buffer.concat([rest, chunk]), ({ op, body }) => {
        if (op === OP.authReply) resolve({ got: () => text, [Symbol.dispose]: () => void socket.destroy() });
        else text += body.toString('utf8');
      });
    });
    socket.write(frame(1, OP.auth, 1, auth));
  });
}

function overWebSocket(at: string, auth: string): Promise<LegacyClient> {
  const { protocol, host, hostname, port, pathname } = new URL(at);
  // Names are this machine's.
  const options = { headers: { host }, servername: hostname, rejectUnauthorized: false };
  const socket = new WebSocket(`${protocol}//127.0.0.1:${port}${pathname}`, options);
  const isJson = auth.startsWith('{"ver"');
  let text = '';
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`${at} closed the connection`)));
    socket.once('open', () => socket.send(isJson ? auth : frame(1, OP.auth, 1, auth)));
    socket.on('message', (data: Buffer, binary: boolean) => {
      const client = { got: () => text, [Symbol.dispose]: () => socket.terminate() };
      if (!binary) {
        text += data.toString('utf8');
        return resolve(client);
      }
      frames(data, ({ op, body }) => {
        if (op === OP.authReply) resolve(client);
        else text += body.toString('utf8');
      });
    });
  });
}
