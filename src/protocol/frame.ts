// The frame that every dialect shares: 16 big-endian bytes, then the body.
//   packLen i32 | headerLen i16 | ver u16 | op i32 | seq i32 | body (packLen - headerLen bytes)
// Every check that existing servers forget is in `checkHeader`; nothing else may trust a length.

import { readI16, readI32, readU16, writeU16, writeU32 } from './bytes.js';

/** Bytes of the standard header, and the headerLen that every client sends. */
export const HEADER_BYTES = 16;

/** The largest headerLen of an extended (native) header: it is a signed 16-bit integer. */
export const MAX_HEADER_BYTES = 0x7fff;

/** Operations. Numbers 9 to 17 mean different things in imgo and goim v2: see the comments. */
export const Op = {
  HEARTBEAT: 2,
  HEARTBEAT_REPLY: 3,
  /** A client's upstream message (goim). */
  SEND: 4,
  /** imgo and native: a push to the client. goim v2: the reply to SEND. */
  PUSH: 5,
  /** goim v2's name of op 5. */
  SEND_REPLY: 5,
  DISCONNECT_NOTICE: 6,
  AUTH: 7,
  AUTH_REPLY: 8,
  /** goim v2: the body is whole frames, one after another. (imgo: handshake with sid, unused.) */
  RAW: 9,
  /** goim v2: the body is the room id. */
  CHANGE_ROOM: 12,
  CHANGE_ROOM_REPLY: 13,
  /** goim v2: the body is "1000,1001". */
  SUBSCRIBE: 14,
  SUBSCRIBE_REPLY: 15,
  UNSUBSCRIBE: 16,
  UNSUBSCRIBE_REPLY: 17,
  /** imgo: a test, answered with `{"test":"come on"}`. */
  TEST: 254,
  TEST_REPLY: 255,
  /** Native, from here on. */
  ACK: 256,
  GAP: 257,
  JOIN: 258,
  JOIN_REPLY: 259,
  LEAVE: 260,
  LEAVE_REPLY: 261,
  DISCONNECT: 262,
  PRESENCE: 263,
  PRESENCE_REPLY: 264,
} as const;

/** What can be wrong with bytes from the other side. Stable names: they stand in logs and counters. */
export type FrameFault =
  | 'pack_too_small'
  | 'header_too_small'
  | 'header_too_large'
  | 'header_over_pack'
  | 'frame_too_large'
  | 'message_truncated'
  | 'paused_overflow'
  | 'bad_utf8'
  | 'bad_json'
  | 'json_too_deep'
  | 'bad_field'
  | 'bad_length'
  | 'bad_id'
  | 'dialect_mismatch';

/** Bytes that break the protocol. `fault` says how; the message holds nothing of the bytes themselves. */
export class FrameError extends Error {
  readonly fault: FrameFault;

  constructor(fault: FrameFault) {
    super(`malformed frame: ${fault}`);
    this.name = 'FrameError';
    this.fault = fault;
  }
}

/** True for the fault half of a parser's answer; parsers here answer a value or a fault and do not throw. */
export function isFault(result: unknown): result is FrameFault {
  return typeof result === 'string';
}

/** The answer of a parser that is not expected to fail: the value, or the fault thrown as FrameError. */
export function orThrow<T extends object>(result: T | FrameFault): T {
  if (typeof result === 'string') throw new FrameError(result);
  return result;
}

/** A decoded header. op and seq are signed 32-bit, as existing clients have them. */
export interface FrameHeader {
  /** Bytes of the whole frame. */
  readonly packLen: number;
  /** Offset of the body. */
  readonly headerLen: number;
  readonly ver: number;
  readonly op: number;
  readonly seq: number;
}

/** What a reader accepts. One object serves all connections of a listener. */
export interface FrameLimits {
  /** Bytes of a whole frame. */
  readonly maxFrame: number;
  /** The largest headerLen: 16 from clients, more from a server that sends native pushes. */
  readonly maxHeader: number;
}

/** Limits for frames that clients send: headerLen must be 16. */
export function limitsFromClients(maxFrame: number): FrameLimits {
  return { maxFrame, maxHeader: HEADER_BYTES };
}

/** Limits for frames that a server sends: native pushes have extended headers. */
export function limitsFromServer(maxFrame: number): FrameLimits {
  return { maxFrame, maxHeader: MAX_HEADER_BYTES };
}

/**
 * The fault of the header at `at` (16 bytes must be there), or undefined when its lengths can be trusted:
 * 16 <= headerLen <= packLen <= maxFrame and headerLen <= maxHeader.
 */
export function checkHeader(bytes: Uint8Array, at: number, limits: FrameLimits): FrameFault | undefined {
  const packLen = readI32(bytes, at);
  const headerLen = readI16(bytes, at + 4);
  if (packLen < HEADER_BYTES) return 'pack_too_small';
  if (packLen > limits.maxFrame) return 'frame_too_large';
  if (headerLen < HEADER_BYTES) return 'header_too_small';
  if (headerLen > packLen) return 'header_over_pack';
  if (headerLen > limits.maxHeader) return 'header_too_large';
  return undefined;
}

/** Reads the five fields at `at` without judging them; 16 bytes must be there. */
export function readHeader(bytes: Uint8Array, at = 0): FrameHeader {
  return {
    packLen: readI32(bytes, at),
    headerLen: readI16(bytes, at + 4),
    ver: readU16(bytes, at + 6),
    op: readI32(bytes, at + 8),
    seq: readI32(bytes, at + 12),
  };
}

/** Bytes of a frame with the standard header and this body. */
export function frameLength(body: Uint8Array | undefined): number {
  return body === undefined ? HEADER_BYTES : HEADER_BYTES + body.length;
}

/** Writes 16 header bytes at `offset` and returns the offset after them. */
export function writeHeader(
  target: Uint8Array,
  offset: number,
  packLen: number,
  headerLen: number,
  ver: number,
  op: number,
  seq: number,
): number {
  writeU32(target, offset, packLen);
  writeU16(target, offset + 4, headerLen);
  writeU16(target, offset + 6, ver);
  writeU32(target, offset + 8, op);
  writeU32(target, offset + 12, seq);
  return offset + HEADER_BYTES;
}

/** Writes a whole frame at `offset`, where there must be room, and returns the offset after it. */
export function encodeInto(
  target: Uint8Array,
  offset: number,
  ver: number,
  op: number,
  seq: number,
  body?: Uint8Array,
): number {
  const length = frameLength(body);
  const bodyAt = writeHeader(target, offset, length, HEADER_BYTES, ver, op, seq);
  if (body !== undefined && body.length > 0) target.set(body, bodyAt);
  return offset + length;
}

/** A whole frame in a buffer of its own. */
export function encodeFrame(ver: number, op: number, seq: number, body?: Uint8Array): Uint8Array {
  const frame = new Uint8Array(frameLength(body));
  encodeInto(frame, 0, ver, op, seq, body);
  return frame;
}
