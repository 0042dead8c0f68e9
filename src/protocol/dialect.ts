// Which dialect a connection speaks, and the bytes that each one gets for the same push or reply.
// A push has few distinct encodings (dialect x transport); a ring keeps one of each that has members, complete with its
// WebSocket header. tcp imgo and tcp goim before v2 are the same bytes.

import { encodeInto, frameLength, HEADER_BYTES, Op } from './frame.js';
import { encodeOnlineCount, GOIM_VER, looksLikeGoimAuth, writeBatchHeader } from './goim.js';
import type { MessageId } from './ids.js';
import { encodeJsonItem, jsonArray } from './imgo-json.js';
import { NATIVE_VER, nativePushLength, OWN_TOPIC, writeNativePush } from './native.js';
import { encodeText } from './text.js';
import { encodeWebSocket, WsOpcode, webSocketHeaderLength, writeWebSocketHeader } from './websocket.js';

/** imgo; goim before v2; goim v2; native. */
export type Dialect = 'imgo' | 'goim1' | 'goim2' | 'native';

/** What carries the frames. */
export type Transport = 'tcp' | 'ws';

/** The distinct encodings of a push. */
export type Encoding = 'plain-tcp' | 'imgo-ws' | 'goim1-ws' | 'goim2-tcp' | 'goim2-ws' | 'native-tcp' | 'native-ws';

/** What a push is encoded from. */
export interface PushEntry {
  /** ZERO_ID for an ephemeral push. */
  readonly id: MessageId;
  readonly payload: Uint8Array;
  /** goim: the operation that the caller chose. */
  readonly operation?: number | undefined;
}

/** What is known of a connection when its AUTH arrives. */
export interface AuthContext {
  /** tcp, or the kind of the WebSocket message. */
  readonly carrier: 'tcp' | 'text' | 'binary';
  /** The subprotocol imgo.v2 was agreed on. */
  readonly subprotocol: boolean;
  /** The listener is goim's own: the dialect there is goim v2, and `mid` may be absent. */
  readonly goimListener: boolean;
  readonly ver: number;
  readonly body: Uint8Array;
}

/**
 * The dialect of an AUTH: native by subprotocol or ver 2 (the fault `dialect_mismatch` when they disagree); imgo by a
 * WebSocket text message; goim v2 by a JSON object with `mid`; else the body is an opaque token.
 */
export function detectDialect(auth: AuthContext): Dialect | 'dialect_mismatch' {
  if (auth.goimListener) {
    const goim = auth.carrier !== 'text' && !auth.subprotocol && looksLikeGoimAuth(auth.body, true);
    return goim ? 'goim2' : 'dialect_mismatch';
  }
  if (auth.subprotocol) return auth.carrier === 'binary' && auth.ver === NATIVE_VER ? 'native' : 'dialect_mismatch';
  if (auth.carrier === 'text') return auth.ver === NATIVE_VER ? 'dialect_mismatch' : 'imgo';
  if (auth.ver === NATIVE_VER) return 'native';
  if (looksLikeGoimAuth(auth.body, false)) return 'goim2';
  return auth.carrier === 'tcp' ? 'imgo' : 'goim1';
}

const TCP_ENCODING = { imgo: 'plain-tcp', goim1: 'plain-tcp', goim2: 'goim2-tcp', native: 'native-tcp' } as const;
const WS_ENCODING = { imgo: 'imgo-ws', goim1: 'goim1-ws', goim2: 'goim2-ws', native: 'native-ws' } as const;

/** The encoding of pushes to a session. */
export function encodingOf(dialect: Dialect, transport: Transport): Encoding {
  return transport === 'ws' ? WS_ENCODING[dialect] : TCP_ENCODING[dialect];
}

/** What the reply to imgo's op 254 carries. */
export const TEST_REPLY_BODY: Uint8Array = encodeText('{"test":"come on"}');

/** Makes a buffer whose every byte will be written: `Buffer.allocUnsafe` fits. */
export type Allocate = (length: number) => Uint8Array;

const zeroed: Allocate = (length) => new Uint8Array(length);

/**
 * A push, ready for the socket: one frame, on WebSocket one whole message with its header.
 * `topic` (topicBytes) and `flags` go to native clients only.
 */
export function encodePush(
  encoding: Encoding,
  entry: PushEntry,
  topic: Uint8Array = OWN_TOPIC,
  flags = 0,
  allocate: Allocate = zeroed,
): Uint8Array {
  if (encoding === 'imgo-ws') return encodeWebSocket(WsOpcode.TEXT, jsonArray([encodeJsonPush(entry)]));
  const frame =
    encoding === 'native-tcp' || encoding === 'native-ws'
      ? nativePushLength(topic, entry.payload)
      : frameLength(entry.payload);
  const message = encoding === 'goim2-ws' ? HEADER_BYTES + frame : frame;
  const webSocket = encoding === 'goim1-ws' || encoding === 'goim2-ws' || encoding === 'native-ws';
  const bytes = allocate(webSocket ? webSocketHeaderLength(message) + message : message);
  let at = webSocket ? writeWebSocketHeader(bytes, 0, WsOpcode.BINARY, message) : 0;
  switch (encoding) {
    case 'plain-tcp':
    case 'goim1-ws':
      encodeInto(bytes, at, 0, Op.PUSH, 0, entry.payload);
      break;
    case 'goim2-ws':
      at = writeBatchHeader(bytes, at, frame);
      encodeInto(bytes, at, GOIM_VER, entry.operation ?? Op.PUSH, 0, entry.payload);
      break;
    case 'goim2-tcp':
      encodeInto(bytes, at, GOIM_VER, entry.operation ?? Op.PUSH, 0, entry.payload);
      break;
    case 'native-tcp':
    case 'native-ws':
      writeNativePush(bytes, at, entry.id, flags, topic, entry.payload);
      break;
  }
  return bytes;
}

/** A push as one element of imgo's JSON array, for a flush that joins several with `encodeJsonMessage`. */
export function encodeJsonPush(entry: PushEntry): Uint8Array {
  return encodeJsonItem(0, Op.PUSH, 0, entry.payload);
}

/** One imgo text message of several items, with its WebSocket header. */
export function encodeJsonMessage(items: readonly Uint8Array[]): Uint8Array {
  return encodeWebSocket(WsOpcode.TEXT, jsonArray(items));
}

/** A frame that is no push, ready for the socket: a reply, a gap, a disconnect. `ver` is echoed from the request. */
export function encodeReply(
  dialect: Dialect,
  transport: Transport,
  ver: number,
  op: number,
  seq: number,
  body?: Uint8Array,
): Uint8Array {
  if (dialect === 'imgo' && transport === 'ws') return encodeJsonMessage([encodeJsonItem(ver, op, seq, body)]);
  const length = frameLength(body);
  if (transport === 'tcp') {
    const frame = new Uint8Array(length);
    encodeInto(frame, 0, ver, op, seq, body);
    return frame;
  }
  const message = new Uint8Array(webSocketHeaderLength(length) + length);
  encodeInto(message, writeWebSocketHeader(message, 0, WsOpcode.BINARY, length), ver, op, seq, body);
  return message;
}

/** The reply to a heartbeat; only goim v2 is told how many are online in its room. */
export function encodeHeartbeatReply(
  dialect: Dialect,
  transport: Transport,
  ver: number,
  seq: number,
  online: number,
): Uint8Array {
  const body = dialect === 'goim2' ? encodeOnlineCount(online) : undefined;
  return encodeReply(dialect, transport, ver, Op.HEARTBEAT_REPLY, seq, body);
}

/** The reply to AUTH: empty for legacy dialects (`{}` in imgo's JSON), `encodeNativeAuthReply`'s body for native. */
export function encodeAuthReply(
  dialect: Dialect,
  transport: Transport,
  ver: number,
  seq: number,
  nativeBody?: Uint8Array,
): Uint8Array {
  return encodeReply(dialect, transport, ver, Op.AUTH_REPLY, seq, dialect === 'native' ? nativeBody : undefined);
}
