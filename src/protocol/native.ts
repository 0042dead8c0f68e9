// The native dialect's binary parts: the extended push header and the acknowledgement.
//   16 standard bytes | epoch u32 | n u64 | flags u16 | topicLen u16 | topic (UTF-8; empty = the user's own log)
// headerLen = 32 + topicLen, seq = the low 32 bits of n. The JSON bodies are in native-json.ts.

import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from './bytes.js';
import { type FrameFault, HEADER_BYTES, Op, writeHeader } from './frame.js';
import { ALL_LOG, type LogName, type MessageId, parseLogName } from './ids.js';
import { decodeText, encodeText } from './text.js';

/** The ver of native frames, in both directions. */
export const NATIVE_VER = 2;

/** The WebSocket subprotocol that speaks native. */
export const NATIVE_SUBPROTOCOL = 'imgo.v2';

/** Flag: may have been delivered before. */
export const FLAG_REDELIVERED = 1;

/** Flag: never stored, moves no cursor, is not acknowledged; its id is 0-0. */
export const FLAG_EPHEMERAL = 2;

/** headerLen of a push of the user's own log. */
export const NATIVE_HEADER_BYTES = HEADER_BYTES + 16;

/** Bytes of an ACK body. */
export const ACK_BYTES = 12;

/** The topic of the user's own log. */
export const OWN_TOPIC: Uint8Array = new Uint8Array(0);

/** The bytes that name a log in a push: empty for a user's log, else the log's name. Rings encode it once. */
export function topicBytes(log: LogName): Uint8Array {
  return log.startsWith('user:') ? OWN_TOPIC : encodeText(log);
}

/** What an extended header says. */
export interface NativePush {
  readonly id: MessageId;
  /** FLAG_REDELIVERED | FLAG_EPHEMERAL; unknown bits are kept. */
  readonly flags: number;
  /** The room's log or `all`; undefined is the user's own log. */
  readonly log: LogName | undefined;
}

/** Bytes of a whole push frame. */
export function nativePushLength(topic: Uint8Array, payload: Uint8Array): number {
  return NATIVE_HEADER_BYTES + topic.length + payload.length;
}

/** Writes a push frame at `offset` and returns the offset after it. */
export function writeNativePush(
  target: Uint8Array,
  offset: number,
  id: MessageId,
  flags: number,
  topic: Uint8Array,
  payload: Uint8Array,
): number {
  const headerLen = NATIVE_HEADER_BYTES + topic.length;
  const at = writeHeader(target, offset, headerLen + payload.length, headerLen, NATIVE_VER, Op.PUSH, id.n);
  writeU32(target, at, id.epoch);
  writeU64(target, at + 4, id.n);
  writeU16(target, at + 12, flags);
  writeU16(target, at + 14, topic.length);
  target.set(topic, at + 16);
  target.set(payload, offset + headerLen);
  return offset + headerLen + payload.length;
}

/** A push frame in a buffer of its own. */
export function encodeNativePush(id: MessageId, flags: number, topic: Uint8Array, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(nativePushLength(topic, payload));
  writeNativePush(frame, 0, id, flags, topic, payload);
  return frame;
}

/**
 * Reads the extended header of the frame at `start`, whose headerLen the reader has checked against the frame.
 * `bad_length` when the header has no room for it or topicLen disagrees, `bad_id` for n of 2^53 or more,
 * `bad_field` for a topic that names neither a room nor `all`.
 */
export function decodeNativePush(buf: Uint8Array, start: number, headerLen: number): NativePush | FrameFault {
  const at = start + HEADER_BYTES;
  const topicLen = readU16(buf, at + 14);
  if (NATIVE_HEADER_BYTES + topicLen !== headerLen) return 'bad_length';
  const n = readU64(buf, at + 4);
  if (n < 0) return 'bad_id';
  const id = { epoch: readU32(buf, at), n };
  const flags = readU16(buf, at + 12);
  if (topicLen === 0) return { id, flags, log: undefined };
  const topic = decodeText(buf.subarray(at + 16, at + 16 + topicLen));
  const parsed = topic === undefined ? undefined : parseLogName(topic);
  if (parsed === undefined || parsed.kind === 'user') return 'bad_field';
  return { id, flags, log: parsed.kind === 'all' ? ALL_LOG : parsed.log };
}

/** The body of an ACK: everything of the user's log up to this id. */
export function encodeAck(id: MessageId): Uint8Array {
  const body = new Uint8Array(ACK_BYTES);
  writeU32(body, 0, id.epoch);
  writeU64(body, 4, id.n);
  return body;
}

/** Reads an ACK body at buf[start, end): 12 bytes exactly, n below 2^53. */
export function decodeAck(buf: Uint8Array, start = 0, end: number = buf.length): MessageId | FrameFault {
  if (end - start !== ACK_BYTES) return 'bad_length';
  const n = readU64(buf, start + 4);
  return n < 0 ? 'bad_id' : { epoch: readU32(buf, start), n };
}
