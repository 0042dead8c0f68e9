// Text and JSON from the other side: strict UTF-8, a depth limit that is checked before parsing, no exception to the caller.

import type { FrameFault } from './frame.js';

/** How deep arrays and objects may nest in JSON from a client or a caller. */
export const MAX_JSON_DEPTH = 64;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The UTF-8 bytes of a text. Lone surrogates become U+FFFD, as everywhere on the web. */
export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The text of UTF-8 bytes, or undefined when they are not valid UTF-8. A byte order mark stays part of the text. */
export function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Bytes that the text takes in UTF-8, or -1 when it is not well-formed (a lone surrogate). */
export function utf8Length(text: string): number {
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit < 0xd800 || unit > 0xdfff) bytes += 3;
    else {
      const next = text.charCodeAt(at + 1);
      if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return -1;
      bytes += 4;
      at++;
    }
  }
  return bytes;
}

/** True when arrays and objects in a JSON text nest at most `limit` deep. Says nothing about its validity. */
export function withinJsonDepth(text: string, limit: number = MAX_JSON_DEPTH): boolean {
  // Each level takes a character.
  if (text.length <= limit) return true;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (inString) {
      if (unit === 0x5c) at++;
      else if (unit === 0x22) inString = false;
    } else if (unit === 0x22) inString = true;
    else if (unit === 0x7b || unit === 0x5b) {
      depth++;
      if (depth > limit) return false;
    } else if (unit === 0x7d || unit === 0x5d) depth--;
  }
  return true;
}

/** A JSON object as it came: keys unchecked, values unknown. */
export type JsonObject = { readonly [key: string]: unknown };

/** Parses a JSON text whose top level is an object: `bad_json`, `json_too_deep`, or the object. */
export function parseJsonObject(text: string): JsonObject | FrameFault {
  if (!withinJsonDepth(text)) return 'json_too_deep';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'bad_json';
  }
  return isJsonObject(value) ? value : 'bad_json';
}

/** The same from UTF-8 bytes; invalid UTF-8 is `bad_utf8`. */
export function parseJsonBytes(bytes: Uint8Array): JsonObject | FrameFault {
  const text = decodeText(bytes);
  return text === undefined ? 'bad_utf8' : parseJsonObject(text);
}

/** True for what JSON calls an object: not null, not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True for valid UTF-8 that is valid JSON, so that the exact bytes can stand inside other JSON. */
export function isJson(payload: Uint8Array): boolean {
  const text = decodeText(payload);
  if (text === undefined) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
