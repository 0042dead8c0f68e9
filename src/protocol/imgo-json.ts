// imgo's WebSocket dialect: clients send one JSON object a text message, the server sends arrays of them.
// A payload that is JSON stands in `body` byte for byte as it was pushed; it is never parsed and written again.

import type { FrameFault } from './frame.js';
import { decodeText, encodeText, isJson, parseJsonBytes, parseJsonObject } from './text.js';

/** A client's message. */
export interface JsonFrame {
  readonly ver: number;
  readonly op: number;
  readonly seq: number;
  /** As JSON.parse gives it; undefined when absent. AUTH: the token as a string. */
  readonly body: unknown;
}

const lossyDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
const EMPTY_BODY = encodeText('{}');
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const CLOSE_OBJECT = 0x7d;

/** The prefix of every push, encoded once. */
const PUSH_PREFIX = itemPrefix(0, 5, 0);

/** Parses a client's text message. `op` must be there; `ver` and `seq` default to 0; all three are 32-bit integers. */
export function parseClientJson(message: string | Uint8Array): JsonFrame | FrameFault {
  const object = typeof message === 'string' ? parseJsonObject(message) : parseJsonBytes(message);
  if (typeof object === 'string') return object;
  const { ver = 0, op, seq = 0, body } = object;
  if (!isInt32(ver) || !isInt32(op) || !isInt32(seq)) return 'bad_field';
  return { ver, op, seq, body };
}

/** The bytes that stand for a payload in `body`: `{}` when empty, the payload itself when JSON, else a JSON string. */
export function jsonBody(payload: Uint8Array | undefined): Uint8Array {
  if (payload === undefined || payload.length === 0) return EMPTY_BODY;
  if (isJson(payload)) return payload;
  return encodeText(JSON.stringify(decodeText(payload) ?? lossyDecoder.decode(payload)));
}

/** One element of a server's array: `{"ver":0,"op":5,"seq":0,"body":…}`. Invalid UTF-8 becomes U+FFFD: JSON has no bytes. */
export function encodeJsonItem(ver: number, op: number, seq: number, payload?: Uint8Array): Uint8Array {
  const prefix = ver === 0 && op === 5 && seq === 0 ? PUSH_PREFIX : itemPrefix(ver, op, seq);
  const body = jsonBody(payload);
  const item = new Uint8Array(prefix.length + body.length + 1);
  item.set(prefix);
  item.set(body, prefix.length);
  item[item.length - 1] = CLOSE_OBJECT;
  return item;
}

/** The text message that holds these items, in order. */
export function jsonArray(items: readonly Uint8Array[]): Uint8Array {
  let length = 2 + Math.max(0, items.length - 1);
  for (const item of items) length += item.length;
  const text = new Uint8Array(length);
  text[0] = OPEN_ARRAY;
  let at = 1;
  for (const item of items) {
    if (at > 1) text[at++] = COMMA;
    text.set(item, at);
    at += item.length;
  }
  text[at] = CLOSE_ARRAY;
  return text;
}

/** A message from a server, as a client reads it. */
export interface ServerJsonItem {
  readonly ver: number;
  readonly op: number;
  readonly seq: number;
  readonly body: unknown;
}

/** Parses a server's text message: an array of items. For clients of this dialect. */
export function parseServerJson(message: string | Uint8Array): readonly ServerJsonItem[] | FrameFault {
  const text = typeof message === 'string' ? message : decodeText(message);
  if (text === undefined) return 'bad_utf8';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'bad_json';
  }
  if (!Array.isArray(value)) return 'bad_json';
  const items: ServerJsonItem[] = [];
  for (const item of value as unknown[]) {
    if (typeof item !== 'object' || item === null) return 'bad_field';
    const { ver, op, seq, body } = item as { ver?: unknown; op?: unknown; seq?: unknown; body?: unknown };
    if (!isInt32(ver) || !isInt32(op) || !isInt32(seq)) return 'bad_field';
    items.push({ ver, op, seq, body });
  }
  return items;
}

/** A client's text message; for clients of this dialect. */
export function encodeClientJson(ver: number, op: number, seq: number, body?: unknown): string {
  return JSON.stringify(body === undefined ? { ver, op, seq } : { ver, op, seq, body });
}

function itemPrefix(ver: number, op: number, seq: number): Uint8Array {
  return encodeText(`{"ver":${ver},"op":${op},"seq":${seq},"body":`);
}

function isInt32(value: unknown): value is number {
  return typeof value === 'number' && (value | 0) === value;
}
