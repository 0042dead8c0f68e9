/**
 * Reads back what the server itself has encoded for a client: whole frames one after another, on WebSocket whole messages.
 * Only for sessions that are watched; nothing is copied.
 */
import { readI16, readI32, readU16, readU32 } from '../../protocol/bytes.js';
import { HEADER_BYTES, Op } from '../../protocol/frame.js';
import type { MessageId } from '../../protocol/ids.js';
import { parseServerJson } from '../../protocol/imgo-json.js';
import { decodeNativePush, NATIVE_HEADER_BYTES } from '../../protocol/native.js';
import { WsOpcode } from '../../protocol/websocket.js';

/** What a frame is called. */
const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(Op).flatMap(([name, op]) => (name === 'SEND_REPLY' ? [] : [[op, name.toLowerCase()] as const])),
);

/** Of an operation; `op_N` for one that the protocol does not name. */
export function frameName(op: number): string {
  return NAMES.get(op) ?? `op_${op}`;
}

/** A frame to a client, as it was encoded. */
export interface SentFrame {
  readonly op: number;
  readonly seq: number;
  /** All of it, a WebSocket header included. */
  readonly bytes: number;
  readonly header: Readonly<Record<string, number | string>>;
  /** Native pushes: of whose log. `log` undefined: the user's own. */
  readonly push: { readonly id: MessageId; readonly flags: number; readonly log: string | undefined } | undefined;
  readonly body: Uint8Array;
}

/** The next frame at `at` and where the one after it begins. `read` decodes it; until then only lengths were looked at. */
export interface FoundFrame {
  readonly next: number;
  /** undefined: only reading tells. */
  readonly op: number | undefined;
  /** undefined: nothing that a client handles as a frame (a pong). */
  read(): SentFrame | undefined;
}

/** The frame of a TCP stream at `at`. */
export function tcpFrame(bytes: Uint8Array, at: number): FoundFrame {
  const next = at + Math.max(HEADER_BYTES, readI32(bytes, at));
  return { next, op: readI32(bytes, at + 8), read: () => binary(bytes, at, next, 0) };
}

/** The WebSocket message at `at`. goim v2's batch holds one frame, which is shown. */
export function webSocketFrame(bytes: Uint8Array, at: number): FoundFrame {
  let length = (bytes[at + 1] as number) & 0x7f;
  let start = at + 2;
  if (length === 126) {
    length = readU16(bytes, start);
    start += 2;
  } else if (length === 127) {
    length = readU32(bytes, start + 4);
    start += 8;
  }
  const next = start + length;
  const opcode = (bytes[at] as number) & 0x0f;
  if (opcode === WsOpcode.TEXT) {
    const push = isPush(bytes, start);
    return { next, op: push ? Op.PUSH : undefined, read: () => text(bytes, start, next, next - at, push) };
  }
  if (opcode !== WsOpcode.BINARY) return { next, op: undefined, read: nothing };
  const op = readI32(bytes, start + 8);
  const wraps = op === Op.RAW && length >= 2 * HEADER_BYTES;
  const from = wraps ? start + HEADER_BYTES : start;
  return { next, op: readI32(bytes, from + 8), read: () => binary(bytes, from, next, from - at) };
}

function binary(bytes: Uint8Array, at: number, end: number, before: number): SentFrame {
  const packLen = readI32(bytes, at);
  const headerLen = readI16(bytes, at + 4);
  const ver = readU16(bytes, at + 6);
  const op = readI32(bytes, at + 8);
  const seq = readI32(bytes, at + 12);
  const extended = headerLen >= NATIVE_HEADER_BYTES && op === Op.PUSH;
  const native = extended ? decodeNativePush(bytes, at, headerLen) : undefined;
  const push = native === undefined || typeof native === 'string' ? undefined : native;
  const more =
    push === undefined
      ? {}
      : { epoch: push.id.epoch, n: push.id.n, flags: push.flags, topicLen: headerLen - NATIVE_HEADER_BYTES };
  const header = { packLen, headerLen, ver, op, seq, ...more, ...(push?.log === undefined ? {} : { topic: push.log }) };
  return { op, seq, bytes: end - at + before, header, push, body: bytes.subarray(at + headerLen, end) };
}

/** How every push of imgo's JSON begins and ends. */
const JSON_PUSH = '[{"ver":0,"op":5,"seq":0,"body":'.length;
const JSON_END = '}]'.length;

function isPush(bytes: Uint8Array, start: number): boolean {
  return bytes[start + 15] === 0x35 && bytes[start + 16] === 0x2c;
}

function text(bytes: Uint8Array, start: number, end: number, all: number, push: boolean): SentFrame | undefined {
  if (push) {
    const body = bytes.subarray(start + JSON_PUSH, end - JSON_END);
    return { op: Op.PUSH, seq: 0, bytes: all, header: { ver: 0, op: Op.PUSH, seq: 0 }, push: undefined, body };
  }
  const items = parseServerJson(bytes.subarray(start, end));
  const item = typeof items === 'string' ? undefined : items[0];
  if (item === undefined) return undefined;
  const { ver, op, seq } = item;
  return { op, seq, bytes: all, header: { ver, op, seq }, push: undefined, body: NOTHING };
}

const NOTHING = new Uint8Array(0);

function nothing(): undefined {
  return undefined;
}
