// Every kind of malformed or hostile connection that we could think of. Each says what the server should close it with, so
// that "it was closed" is not enough. Frames are written by hand; nothing comes from src.
import { connect, type Socket } from 'node:net';
import { frame } from '../harness/wire.js';

/** What an attack meets. */
export interface Target {
  readonly tcp: { readonly host: string; readonly port: number };
  readonly ws: { readonly host: string; readonly port: number };
  /** A good token of a user who is pushed nothing. */
  readonly token: string;
}

export interface Attack {
  readonly name: string;
  readonly transport: 'tcp' | 'ws';
  /** Sends its bytes; the connection is open. */
  readonly run: (line: Line, target: Target) => Promise<void>;
  /**
   * How it must end: `closed` by the server at once, `deadline` by the handshake deadline, `stays` open until the attacker
   * leaves (it did nothing wrong), `refused` with an HTTP status of 400 or more.
   */
  readonly ends: 'closed' | 'deadline' | 'stays' | 'refused';
  /** The WebSocket close code, where one can be sent. */
  readonly code?: number | readonly number[];
}

/** One hostile connection: what it sent, what came back, how it ended. */
export class Line {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  ended = false;
  readonly closed: Promise<void>;

  constructor(host: string, port: number) {
    this.socket = connect({ host, port, noDelay: true });
    this.socket.on('error', () => undefined);
    this.socket.on('data', (chunk: Buffer) => {
      if (this.received.length < 65_536) this.received = Buffer.concat([this.received, chunk]);
    });
    this.closed = new Promise((resolve) => {
      this.socket.once('end', () => {
        this.ended = true;
        this.socket.end();
        resolve();
      });
      this.socket.once('close', () => {
        this.ended = true;
        resolve();
      });
    });
  }

  send(bytes: Buffer | string): void {
    if (this.socket.writable) this.socket.write(bytes);
  }

  /** Resolves when that many bytes came back, or the connection ended. */
  async answered(bytes: number): Promise<void> {
    while (this.received.length < bytes && !this.ended) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** Resolves when something came after the answer to the upgrade, or the connection ended. */
  async replied(): Promise<void> {
    for (;;) {
      const end = this.received.indexOf('\r\n\r\n');
      if (this.ended || (end >= 0 && this.received.length > end + 4)) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** The code of the WebSocket close frame that came last, if any. */
  get closeCode(): number | undefined {
    const at = this.received.lastIndexOf(0x88);
    if (at < 0 || at + 4 > this.received.length) return undefined;
    return this.received.readUInt16BE(at + 2);
  }

  get status(): number | undefined {
    const match = /^HTTP\/1\.1 (\d{3})/.exec(this.received.subarray(0, 20).toString('latin1'));
    return match === null ? undefined : Number(match[1]);
  }
}

const UPGRADE_KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

function upgrade(extra: readonly string[] = [], path = '/sub'): string {
  return [
    `GET ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${UPGRADE_KEY}`,
    'Sec-WebSocket-Version: 13',
    ...extra,
    '',
    '',
  ].join('\r\n');
}

/** A client's WebSocket frame, masked with zeros unless told otherwise. */
function wsFrame(
  opcode: number,
  payload: Buffer | string,
  flags: { fin?: boolean; mask?: boolean; rsv?: boolean } = {},
): Buffer {
  const { fin = true, mask = true, rsv = false } = flags;
  const body = Buffer.from(payload);
  const first = (fin ? 0x80 : 0) | (rsv ? 0x40 : 0) | opcode;
  const bit = mask ? 0x80 : 0;
  let header: Buffer;
  if (body.length < 126) header = Buffer.from([first, bit | body.length]);
  else if (body.length < 65_536) {
    header = Buffer.from([first, bit | 126, 0, 0]);
    header.writeUInt16BE(body.length, 2);
  } else {
    header = Buffer.alloc(10);
    header.writeUInt8(first, 0);
    header.writeUInt8(bit | 127, 1);
    header.writeBigUInt64BE(BigInt(body.length), 2);
  }
  return Buffer.concat([header, mask ? Buffer.alloc(4) : Buffer.alloc(0), body]);
}

function header(packLen: number, headerLen: number, op = 7): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32BE(packLen, 0);
  bytes.writeInt16BE(headerLen, 4);
  bytes.writeInt16BE(1, 6);
  bytes.writeInt32BE(op, 8);
  bytes.writeInt32BE(1, 12);
  return bytes;
}

const nativeAuth = (token: string, more: object = {}): Buffer => frame(2, 7, 1, JSON.stringify({ token, ...more }));
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Run = Attack['run'];
const tcp = (name: string, ends: Attack['ends'], run: Run): Attack => ({ name, transport: 'tcp', ends, run });
const send =
  (make: (target: Target) => Buffer | string): Run =>
  async (line, target) =>
    line.send(make(target));

/** Authenticates as imgo over TCP, waits for op 8, then sends. */
const afterAuth =
  (make: (target: Target) => Buffer | string): Run =>
  async (line, target) => {
    line.send(frame(1, 7, 1, target.token));
    await line.answered(16);
    line.send(make(target));
  };

/** The same as native. */
const afterNative =
  (make: (target: Target) => Buffer | string): Run =>
  async (line, target) => {
    line.send(nativeAuth(target.token));
    await line.answered(17);
    line.send(make(target));
  };

const PROTOCOL_ERROR = 4106;
const FRAME_TOO_LARGE = 4107;

function ws(name: string, ends: Attack['ends'], code: Attack['code'], run: Run, extra: readonly string[] = []): Attack {
  return {
    name: `ws: ${name}`,
    transport: 'ws',
    ends,
    ...(code === undefined ? {} : { code }),
    run: async (line, target) => {
      line.send(upgrade(extra));
      await line.answered(100);
      await run(line, target);
    },
  };
}

const NATIVE = ['Sec-WebSocket-Protocol: imgo.v2'];

export const ATTACKS: readonly Attack[] = [
  tcp('nothing at all', 'deadline', async () => undefined),
  tcp(
    'seven bytes of a header',
    'deadline',
    send(() => header(40, 16).subarray(0, 7)),
  ),
  tcp(
    'a frame cut in its body',
    'deadline',
    send(() => header(4_000, 16)),
  ),
  tcp('one byte every 200 ms', 'deadline', async (line, target) => {
    for (const byte of frame(1, 7, 1, `${target.token}x`.repeat(4))) {
      if (line.ended) return;
      line.send(Buffer.from([byte]));
      await sleep(200);
    }
  }),
  tcp(
    'packLen negative',
    'closed',
    send(() => header(-1, 16)),
  ),
  tcp(
    'packLen 0',
    'closed',
    send(() => header(0, 16)),
  ),
  tcp(
    'packLen 15',
    'closed',
    send(() => header(15, 16)),
  ),
  tcp(
    'packLen 2 GiB',
    'closed',
    send(() => header(0x7fff_ffff, 16)),
  ),
  tcp(
    'packLen one over the limit',
    'closed',
    send(() => header(65_537, 16)),
  ),
  tcp(
    'headerLen negative',
    'closed',
    send(() => header(32, -16)),
  ),
  tcp(
    'headerLen 0',
    'closed',
    send(() => header(32, 0)),
  ),
  tcp(
    'headerLen beyond the frame',
    'closed',
    send(() => Buffer.concat([header(20, 21), Buffer.alloc(4)])),
  ),
  tcp(
    'an extended header from a client',
    'closed',
    send(() => Buffer.concat([header(48, 32), Buffer.alloc(32)])),
  ),
  tcp(
    'heartbeat before AUTH',
    'closed',
    send(() => frame(1, 2, 1)),
  ),
  tcp(
    'push before AUTH',
    'closed',
    send(() => frame(1, 5, 1, '{}')),
  ),
  tcp(
    'unknown op before AUTH',
    'closed',
    send(() => frame(1, 4_242, 1, 'x')),
  ),
  tcp(
    'a token that does not exist',
    'closed',
    send(() => frame(1, 7, 1, 'nobody-gave-me-this-token')),
  ),
  tcp(
    'an empty token',
    'closed',
    send(() => frame(1, 7, 1, '')),
  ),
  tcp(
    'a token of 60 KiB',
    'closed',
    send(() => frame(1, 7, 1, 'A'.repeat(60_000))),
  ),
  tcp(
    'a token of invalid UTF-8',
    'closed',
    send(() => frame(1, 7, 1, Buffer.from([0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0]))),
  ),
  tcp(
    'goim AUTH of somebody else',
    'closed',
    send(({ token }) => frame(1, 7, 1, JSON.stringify({ mid: 1, token }))),
  ),
  tcp(
    'goim AUTH without a token',
    'closed',
    send(() => frame(1, 7, 1, '{"mid":123,"key":"","accepts":[1]}')),
  ),
  tcp(
    'native AUTH that is not JSON',
    'closed',
    send(() => frame(2, 7, 1, '{"token":')),
  ),
  tcp(
    'native AUTH, 30,000 brackets deep',
    'closed',
    send(() => frame(2, 7, 1, '['.repeat(30_000))),
  ),
  tcp(
    'native AUTH, deep inside an object',
    'closed',
    send(() => frame(2, 7, 1, `{"a":${'{"a":'.repeat(9_000)}1${'}'.repeat(9_000)}}`)),
  ),
  tcp(
    'native AUTH with 3,000 rooms',
    'stays',
    send(({ token }) => nativeAuth(token, { rooms: Array.from({ length: 3_000 }, (_, n) => `r${n}`) })),
  ),
  tcp(
    'native AUTH with a cursor of nonsense',
    'closed',
    send(({ token }) => nativeAuth(token, { cursor: '-1-9e9' })),
  ),
  tcp(
    'native AUTH with __proto__',
    'stays',
    send(({ token }) => frame(2, 7, 1, `{"token":"${token}","__proto__":{"device":"x"},"rooms":{"__proto__":null}}`)),
  ),
  tcp(
    'a TLS hello',
    'closed',
    send(() => Buffer.from('16030100c8010000c40303aabbccddeeff00112233445566778899', 'hex')),
  ),
  tcp(
    'HTTP on the TCP port',
    'closed',
    send(() => 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
  ),
  tcp(
    'random bytes',
    'closed',
    send(() => Buffer.from(Array.from({ length: 4_096 }, (_, n) => ((n * 7_919 + 13) % 251) | 0x80))),
  ),
  tcp(
    'double AUTH',
    'closed',
    afterAuth(({ token }) => frame(1, 7, 2, token)),
  ),
  tcp(
    'garbage after AUTH',
    'closed',
    afterAuth(() => Buffer.alloc(64, 0xee)),
  ),
  tcp(
    'AUTH and garbage in one packet',
    'closed',
    send(({ token }) => Buffer.concat([frame(1, 7, 1, token), Buffer.alloc(64, 0xee)])),
  ),
  tcp(
    'a heartbeat with a body',
    'stays',
    afterAuth(({ token }) => frame(1, 2, 2, token)),
  ),
  tcp('heartbeats without end', 'closed', async (line, target) => {
    line.send(frame(1, 7, 1, target.token));
    await line.answered(16);
    for (let n = 0; n < 2_000 && !line.ended; n++) {
      line.send(frame(1, 2, n));
      if (n % 100 === 0) await sleep(1);
    }
  }),
  tcp(
    'an acknowledgement of what was never sent',
    'stays',
    afterNative(() => frame(2, 256, 1, Buffer.from('ffffffff001fffffffffffff', 'hex'))),
  ),
  tcp(
    'an acknowledgement of 3 bytes',
    'closed',
    afterNative(() => frame(2, 256, 1, Buffer.alloc(3))),
  ),
  tcp(
    'JOIN without a room',
    'closed',
    afterNative(() => frame(2, 258, 1, '{}')),
  ),
  tcp(
    'JOIN where it may not',
    'stays',
    afterNative(() => frame(2, 258, 1, '{"room":"forbidden"}')),
  ),
  tcp('half close after AUTH', 'closed', async (line, target) => {
    line.send(frame(1, 7, 1, target.token));
    await line.answered(16);
    line.socket.end();
  }),
  tcp('reset right after connecting', 'closed', async (line) => {
    line.socket.resetAndDestroy();
  }),
  tcp('reads nothing after AUTH', 'stays', async (line, target) => {
    line.send(frame(1, 7, 1, target.token));
    await line.answered(16);
    line.socket.pause();
  }),

  { name: 'ws: another path', transport: 'ws', ends: 'refused', run: send(() => upgrade([], '/elsewhere')) },
  {
    name: 'ws: a foreign Origin',
    transport: 'ws',
    ends: 'refused',
    run: send(() => upgrade(['Origin: https://evil.example'])),
  },
  {
    name: 'ws: no upgrade',
    transport: 'ws',
    ends: 'refused',
    run: send(() => 'GET /sub HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n'),
  },
  {
    name: 'ws: version 7',
    transport: 'ws',
    ends: 'refused',
    run: send(() => upgrade().replace('Version: 13', 'Version: 7')),
  },
  { name: 'ws: not HTTP', transport: 'ws', ends: 'closed', run: send(() => `${'\u0001'.repeat(300)}\r\n\r\n`) },
  {
    name: 'ws: a header that never ends',
    transport: 'ws',
    ends: 'deadline',
    run: send(() => 'GET /sub HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: '),
  },
  {
    name: 'ws: 200 KiB of headers',
    transport: 'ws',
    ends: 'closed',
    run: send(() => upgrade([`X-A: ${'a'.repeat(200_000)}`])),
  },
  ws('nothing at all', 'deadline', undefined, async () => undefined),
  ws(
    'a token that does not exist',
    'closed',
    undefined,
    send(() => wsFrame(1, '{"ver":1,"op":7,"seq":1,"body":"nobody"}')),
  ),
  ws(
    'text that is not JSON',
    'closed',
    PROTOCOL_ERROR,
    send(() => wsFrame(1, 'hello')),
  ),
  ws(
    'text of invalid UTF-8',
    'closed',
    undefined,
    send(() => wsFrame(1, Buffer.from([0xff, 0xfe, 0xfd]))),
  ),
  ws(
    'an array where an object belongs',
    'closed',
    PROTOCOL_ERROR,
    send(() => wsFrame(1, '[{"op":7}]')),
  ),
  ws(
    'op as text',
    'closed',
    PROTOCOL_ERROR,
    send(() => wsFrame(1, '{"op":"7"}')),
  ),
  ws(
    'deep JSON',
    'closed',
    PROTOCOL_ERROR,
    send(() => wsFrame(1, '['.repeat(20_000))),
  ),
  ws(
    'heartbeat before AUTH',
    'closed',
    PROTOCOL_ERROR,
    send(() => wsFrame(1, '{"ver":1,"op":2,"seq":1}')),
  ),
  ws(
    'a message over the limit',
    'closed',
    [FRAME_TOO_LARGE, 1009],
    send(() => wsFrame(2, Buffer.alloc(70_000))),
  ),
  ws(
    'a frame longer than its message',
    'closed',
    PROTOCOL_ERROR,
    send(() => wsFrame(2, header(4_000, 16))),
  ),
  ws(
    'a message longer than its frame',
    'closed',
    PROTOCOL_ERROR,
    send(({ token }) => wsFrame(2, Buffer.concat([frame(1, 7, 1, token), Buffer.from('tail')]))),
  ),
  ws(
    'an empty binary message',
    'closed',
    PROTOCOL_ERROR,
    send(() => wsFrame(2, '')),
  ),
  ws(
    'an unmasked frame',
    'closed',
    undefined,
    send(() => wsFrame(2, 'x', { mask: false })),
  ),
  ws(
    'reserved bits',
    'closed',
    undefined,
    send(() => wsFrame(2, 'x', { rsv: true })),
  ),
  ws(
    'a continuation of nothing',
    'closed',
    undefined,
    send(() => wsFrame(0, 'x')),
  ),
  ws(
    'a control frame in fragments',
    'closed',
    undefined,
    send(() => wsFrame(9, 'x', { fin: false })),
  ),
  ws('fragments without end', 'closed', undefined, async (line) => {
    line.send(wsFrame(2, Buffer.alloc(1_000), { fin: false }));
    for (let n = 0; n < 100 && !line.ended; n++) line.send(wsFrame(0, Buffer.alloc(1_000), { fin: false }));
  }),
  ws('close in the midst', 'closed', undefined, async (line, target) => {
    line.send(wsFrame(1, `{"ver":1,"op":7,"seq":1,"body":${JSON.stringify(target.token)}}`));
    await line.replied();
    line.send(wsFrame(8, Buffer.from([0x03, 0xe8])));
  }),
  ws('reset in the midst', 'closed', undefined, async (line, target) => {
    line.send(wsFrame(1, `{"ver":1,"op":7,"seq":1,"body":${JSON.stringify(target.token)}}`));
    await line.replied();
    line.socket.resetAndDestroy();
  }),
  ws(
    'text on the native subprotocol',
    'closed',
    [PROTOCOL_ERROR, 4109],
    send(() => wsFrame(1, '{"op":7}')),
    NATIVE,
  ),
  ws(
    'ver 1 on the native subprotocol',
    'closed',
    4109,
    send(({ token }) => wsFrame(2, frame(1, 7, 1, token))),
    NATIVE,
  ),
  ws(
    'native without a good token',
    'closed',
    4100,
    send(() => wsFrame(2, nativeAuth('nobody'))),
    NATIVE,
  ),
  ws(
    'native double AUTH',
    'closed',
    PROTOCOL_ERROR,
    async (line, target) => {
      line.send(wsFrame(2, nativeAuth(target.token)));
      await line.replied();
      line.send(wsFrame(2, nativeAuth(target.token)));
    },
    NATIVE,
  ),
  ws('some pings', 'stays', undefined, async (line, target) => {
    line.send(wsFrame(1, `{"ver":1,"op":7,"seq":1,"body":${JSON.stringify(target.token)}}`));
    await line.replied();
    for (let n = 0; n < 20; n++) line.send(wsFrame(9, 'ping'));
  }),
];
