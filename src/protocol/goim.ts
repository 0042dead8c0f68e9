// goim's bodies: AUTH JSON, the op 9 batch, change room, (un)subscribe, the heartbeat reply's count.
// A user id is a 64-bit integer there: it is read as the exact decimal, never through a double.

import { writeU32 } from './bytes.js';
import { encodeFrame, type FrameFault, type FrameLimits, HEADER_BYTES, Op, writeHeader } from './frame.js';
import { isName, type RoomId, roomId, type UserId } from './ids.js';
import { type FrameSink, readMessage } from './reader.js';
import { decodeText, encodeText, parseJsonObject } from './text.js';

/** The ver of goim v2's pushes. */
export const GOIM_VER = 1;

/** A goim client's AUTH. Everything in it is the client's own statement until a token proves it. */
export interface GoimAuth {
  /** The decimal user id; undefined for 0 or absent: no user log. */
  readonly mid: UserId | undefined;
  /** Empty: the server makes one up. */
  readonly key: string;
  readonly room: RoomId | undefined;
  readonly platform: string;
  /** Operations that this session takes. */
  readonly accepts: readonly number[];
  readonly token: string | undefined;
}

const DECIMAL = /^(0|[1-9]\d{0,18})$/;
const MAX_INT64 = 9_223_372_036_854_775_807n;

/** Parses a goim AUTH body. `bad_field` for a mid that is no int64 >= 0, a bad room, or accepts that are no int32s. */
export function parseGoimAuth(body: Uint8Array): GoimAuth | FrameFault {
  const text = decodeText(body);
  if (text === undefined) return 'bad_utf8';
  const object = parseJsonObject(text);
  if (typeof object === 'string') return object;
  const mid = exactMid(object.mid, text);
  const key = object.key ?? '';
  const room = object.room_id ?? '';
  const platform = object.platform ?? '';
  const accepts = object.accepts ?? [];
  const token = object.token ?? undefined;
  if (mid === undefined || typeof key !== 'string' || typeof room !== 'string') return 'bad_field';
  if (typeof platform !== 'string' || !Array.isArray(accepts)) return 'bad_field';
  if (key !== '' && !isName(key)) return 'bad_field';
  if (room !== '' && !isName(room)) return 'bad_field';
  if (token !== undefined && typeof token !== 'string') return 'bad_field';
  if (!accepts.every(isOperation)) return 'bad_field';
  return {
    mid: mid === '0' ? undefined : (mid as UserId),
    key,
    room: room === '' ? undefined : (room as RoomId),
    platform,
    accepts: [...new Set(accepts)],
    token,
  };
}

/** The AUTH body of a client; for clients of this dialect. `mid` is a decimal. */
export function encodeGoimAuth(auth: {
  readonly mid: string;
  readonly key?: string;
  readonly room?: string;
  readonly platform?: string;
  readonly accepts?: readonly number[];
  readonly token?: string | undefined;
}): Uint8Array {
  const { key = '', room: room_id = '', platform = 'web', accepts = [], token } = auth;
  const mid = DECIMAL.test(auth.mid) ? auth.mid : JSON.stringify(auth.mid);
  return encodeText(`{"mid":${mid},${JSON.stringify({ key, room_id, platform, accepts, token }).slice(1)}`);
}

/** True for the body of a goim v2 AUTH: a JSON object with `mid`, or any JSON object where `mid` may be absent. */
export function looksLikeGoimAuth(body: Uint8Array, midMayBeAbsent: boolean): boolean {
  let at = 0;
  while (at < body.length && isBlank(body[at] as number)) at++;
  if (body[at] !== 0x7b) return false;
  const text = decodeText(body);
  if (text === undefined) return false;
  const object = parseJsonObject(text);
  return typeof object !== 'string' && (midMayBeAbsent || Object.hasOwn(object, 'mid'));
}

/** An op 9 frame around whole frames. */
export function wrapBatch(frames: Uint8Array): Uint8Array {
  return encodeFrame(GOIM_VER, Op.RAW, 0, frames);
}

/** Writes the header of an op 9 frame around `length` bytes of frames; returns the offset after it. */
export function writeBatchHeader(target: Uint8Array, offset: number, length: number): number {
  return writeHeader(target, offset, HEADER_BYTES + length, HEADER_BYTES, GOIM_VER, Op.RAW, 0);
}

/** Hands on the frames of an op 9 body at buf[start, end), which must end exactly at `end`. See `readMessage`. */
export function readBatch(buf: Uint8Array, limits: FrameLimits, sink: FrameSink, start: number, end: number): number {
  return readMessage(buf, limits, sink, start, end);
}

/** The room of a change-room body: a RoomId, null for none (empty), undefined for an invalid one. */
export function parseRoomBody(body: Uint8Array): RoomId | null | undefined {
  if (body.length === 0) return null;
  const text = decodeText(body);
  return text === undefined ? undefined : roomId(text);
}

/** The operations of a body like "1000,1001", or undefined when it is not one. */
export function parseOperations(body: Uint8Array): readonly number[] | undefined {
  const text = decodeText(body);
  if (text === undefined) return undefined;
  const operations = new Set<number>();
  for (const part of text.split(',')) {
    if (!DECIMAL.test(part) || !isOperation(Number(part))) return undefined;
    operations.add(Number(part));
  }
  return [...operations];
}

/** The body of goim v2's heartbeat reply: the online count of the room. */
export function encodeOnlineCount(count: number): Uint8Array {
  const body = new Uint8Array(4);
  writeU32(body, 0, Math.min(count, 0x7fff_ffff));
  return body;
}

function isOperation(value: unknown): value is number {
  return typeof value === 'number' && (value | 0) === value && value >= 0;
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

/** The exact decimal of `mid`: "0" when absent, undefined when it is no int64 >= 0. */
function exactMid(mid: unknown, text: string): string | undefined {
  if (mid === undefined || mid === null) return '0';
  const decimal = typeof mid === 'number' && !Number.isSafeInteger(mid) ? sourceOfMid(text) : mid;
  const spelled = typeof decimal === 'number' ? String(decimal) : decimal;
  if (typeof spelled !== 'string' || !DECIMAL.test(spelled)) return undefined;
  return BigInt(spelled) <= MAX_INT64 ? spelled : undefined;
}

type Reviver = (this: unknown, key: string, value: unknown, context?: { readonly source?: string }) => unknown;

/** The digits of the top-level `mid` as they stand in the text (JSON.parse source text access, ES2026). */
function sourceOfMid(text: string): string | undefined {
  const seen: { readonly holder: unknown; readonly source: string | undefined }[] = [];
  let source: string | undefined;
  const note: Reviver = function (this: unknown, key, value, context) {
    if (key === 'mid') seen.push({ holder: this, source: context?.source });
    if (key === '') for (const entry of seen) if (entry.holder === value) source = entry.source;
    return value;
  };
  JSON.parse(text, note as Parameters<typeof JSON.parse>[1]);
  return source;
}
