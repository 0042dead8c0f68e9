/** What the clients of each dialect say, over either transport: their upgrade, AUTH, heartbeat and acknowledgement. */
import { encodeFrame, Op } from '../../protocol/frame.js';
import { encodeGoimAuth, GOIM_VER } from '../../protocol/goim.js';
import type { MessageId, RoomId } from '../../protocol/ids.js';
import { encodeClientJson } from '../../protocol/imgo-json.js';
import { encodeAck, NATIVE_SUBPROTOCOL, NATIVE_VER } from '../../protocol/native.js';
import { encodeNativeAuth } from '../../protocol/native-json.js';
import { encodeText } from '../../protocol/text.js';
import { WsOpcode, type WsOpcodeValue } from '../../protocol/websocket.js';
import type { BenchDialect, BenchTransport } from '../options.js';

/** Who a client is. */
export interface Identity {
  readonly user: string;
  /** Empty: it states who it is (goim). */
  readonly token: string;
  /** Where it wants to be; undefined: where its token or the server puts it. */
  readonly room: string | undefined;
  /** Where it goes on, in its own log, in its room, and in the log of all; absent: where a new one begins. Native. */
  readonly cursor?: MessageId | undefined;
  readonly since?: MessageId | undefined;
  readonly all?: MessageId | undefined;
}

/** The bytes of one dialect over one transport. */
export interface Wire {
  /** What comes first; undefined over TCP. */
  readonly upgrade: Uint8Array | undefined;
  readonly heartbeat: Uint8Array;
  auth(identity: Identity): Uint8Array;
  ack(id: MessageId): Uint8Array;
  pong(payload: Uint8Array): Uint8Array;
}

/** The example of RFC 6455, section 1.3, with the answer that a server has to give to it. */
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const UPGRADE_ANSWER = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
/** A proxy must not be able to guess it; there is none on the way of a benchmark. */
const MASK = [0x69, 0x6d, 0x67, 0x6f] as const;
/** What goim's clients take: the operation that goim's own API is told, and the one of all other pushes. */
export const GOIM_OPERATION = 1_000;
const ACCEPTS = [GOIM_OPERATION, Op.PUSH];

/** What clients of this kind say to the server at host:port. */
export function wireOf(
  dialect: BenchDialect,
  transport: BenchTransport,
  host: string,
  port: number,
  path: string,
): Wire {
  const text = transport === 'ws' && dialect === 'imgo';
  const ver = dialect === 'native' ? NATIVE_VER : GOIM_VER;
  const carried = (frame: Uint8Array) => (transport === 'tcp' ? frame : masked(WsOpcode.BINARY, frame));
  const said = (op: number, body?: Uint8Array) => carried(encodeFrame(ver, op, 1, body));
  const json = (op: number, body?: string) => masked(WsOpcode.TEXT, encodeText(encodeClientJson(1, op, 1, body)));
  return {
    upgrade: transport === 'tcp' ? undefined : encodeText(upgradeOf(dialect, host, port, path)),
    heartbeat: text ? json(Op.HEARTBEAT) : said(Op.HEARTBEAT),
    auth: (identity) => (text ? json(Op.AUTH, identity.token) : said(Op.AUTH, authBody(dialect, identity))),
    ack: (id) => said(Op.ACK, encodeAck(id)),
    pong: (payload) => masked(WsOpcode.PONG, payload),
  };
}

function authBody(dialect: BenchDialect, identity: Identity): Uint8Array {
  const { user, token, room } = identity;
  if (dialect === 'imgo') return encodeText(token);
  if (dialect === 'native') {
    const { cursor, since, all } = identity;
    const rooms = room === undefined ? undefined : new Map([[room as RoomId, since]]);
    return encodeNativeAuth({ token, rooms, cursor, all });
  }
  const stated = { mid: user, accepts: ACCEPTS, ...(room === undefined ? {} : { room }) };
  return encodeGoimAuth(token === '' ? stated : { ...stated, token });
}

function upgradeOf(dialect: BenchDialect, host: string, port: number, path: string): string {
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return [
    `GET ${path} HTTP/1.1`,
    `Host: ${authority}`,
    `Origin: http://${authority}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${KEY}`,
    ...(dialect === 'native' ? [`Sec-WebSocket-Protocol: ${NATIVE_SUBPROTOCOL}`] : []),
    '\r\n',
  ].join('\r\n');
}

/** A message as a client has to send it: masked. */
function masked(opcode: WsOpcodeValue, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const head = length < 126 ? 2 : 4;
  const message = new Uint8Array(head + 4 + length);
  message[0] = 0x80 | opcode;
  if (length < 126) message[1] = 0x80 | length;
  else {
    message[1] = 0x80 | 126;
    message[2] = length >>> 8;
    message[3] = length;
  }
  message.set(MASK, head);
  for (let at = 0; at < length; at++) message[head + 4 + at] = (payload[at] as number) ^ (MASK[at & 3] as number);
  return message;
}
