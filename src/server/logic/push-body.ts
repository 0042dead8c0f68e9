// The body of a push: scanned once, strictly, the message kept as the bytes that came. What a field means is decided here
// and nowhere else: /v1/push and every line of a batch read through `readPush`.

import { ImgoError } from '../../protocol/errors.js';
import { type RoomId, roomId, type UserId, userId } from '../../protocol/ids.js';
import type { TraceParent } from '../observe/trace-parent.js';
import { parseDuration } from '../units.js';
import { JsonScanner } from './json-scan.js';

/** Whom a push is for. */
export type Target =
  | { readonly kind: 'user'; readonly user: UserId }
  /** Distinct, at most `usersPerPush`. */
  | { readonly kind: 'users'; readonly users: readonly UserId[] }
  | { readonly kind: 'room'; readonly room: RoomId }
  | { readonly kind: 'all' };

/** A push as its caller meant it. */
export interface PushRequest {
  readonly target: Target;
  readonly payload: Uint8Array;
  /** undefined: the default of its target; 0: ephemeral. */
  readonly ttlMs: number | undefined;
  /** goim's; undefined is 5. */
  readonly operation: number | undefined;
  readonly idempotencyKey: string | undefined;
  /** What becomes of it is noted, step by step. */
  readonly trace?: boolean;
  /** The caller's span, where spans are sent somewhere. */
  readonly parent?: TraceParent | undefined;
}

/** Limits that a body is held to. */
export interface PushLimits {
  readonly payloadBytes: number;
  readonly usersPerPush: number;
}

const scanner = new JsonScanner();
const ALL: Target = { kind: 'all' };
const FIELDS = ['to', 'message', 'base64', 'ttl', 'idempotencyKey', 'trace'];
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const KEY = /^[\x21-\x7e]{1,128}$/;

/**
 * Reads `{"to":…,"message":…|"base64":…,"ttl"?,"idempotencyKey"?,"trace"?}`. `payload` is a view of `body`.
 * @throws ImgoError invalid_json, json_too_deep, invalid_request, unknown_field, invalid_target, invalid_user,
 * invalid_room, too_many_targets, invalid_ttl, idempotency_key_invalid, payload_too_large
 */
export function readPush(body: Buffer, limits: PushLimits): PushRequest {
  let target: Target | undefined;
  let message: Buffer | undefined;
  let base64: string | undefined;
  let ttlMs: number | undefined;
  let hasTtl = false;
  let idempotencyKey: string | undefined;
  let trace: boolean | undefined;
  scanner.start(body);
  try {
    if (!scanner.takeObject()) invalid('the body must be a JSON object');
    for (let first = true; ; first = false) {
      const key = scanner.nextKey(first);
      if (key === undefined) break;
      if (key === 'to') {
        if (target !== undefined) twice(key);
        target = readTarget(limits);
      } else if (key === 'message') {
        if (message !== undefined) twice(key);
        scanner.peek();
        const from = scanner.at;
        scanner.skipValue(1);
        message = scanner.bytesOf(from);
      } else if (key === 'base64') {
        if (base64 !== undefined) twice(key);
        base64 = scanner.string() ?? invalid('base64 must be a string');
      } else if (key === 'ttl') {
        if (hasTtl) twice(key);
        hasTtl = true;
        ttlMs = readTtl();
      } else if (key === 'idempotencyKey') {
        if (idempotencyKey !== undefined) twice(key);
        idempotencyKey = idempotencyKeyOf(scanner.string() ?? invalid('idempotencyKey must be a string'));
      } else if (key === 'trace') {
        if (trace !== undefined) twice(key);
        trace = readBoolean(key);
      } else unknownField(key);
    }
    scanner.finish();
  } finally {
    scanner.stop();
  }
  if (target === undefined) throw new ImgoError('invalid_target');
  if ((message === undefined) === (base64 === undefined)) invalid('give either "message" or "base64"');
  const payload = message ?? decodeBase64(base64 as string);
  checkPayload(payload, limits.payloadBytes);
  return { target, payload, ttlMs, operation: undefined, idempotencyKey, trace: trace === true };
}

/** @throws ImgoError payload_too_large */
export function checkPayload(payload: Uint8Array, limit: number): void {
  if (payload.length > limit) throw new ImgoError('payload_too_large', { size: payload.length, limit });
}

/** @throws ImgoError idempotency_key_invalid */
export function idempotencyKeyOf(key: string): string {
  if (!KEY.test(key)) throw new ImgoError('idempotency_key_invalid', { detail: '1 to 128 visible ASCII characters' });
  return key;
}

/** Reads `{"u":[1,2,3],"m":…}` of imgo's multi push: integers in decimal, the message's own bytes. */
export function readMultiPush(body: Buffer): { readonly users: readonly string[]; readonly payload: Uint8Array } {
  let users: Set<string> | undefined;
  let payload: Buffer | undefined;
  scanner.start(body);
  try {
    if (!scanner.takeObject()) invalid('the body must be a JSON object');
    for (let first = true; ; first = false) {
      const key = scanner.nextKey(first);
      if (key === undefined) break;
      scanner.peek();
      const from = scanner.at;
      if (key === 'u') users = readIntegers();
      else scanner.skipValue(1);
      if (key === 'm') payload = scanner.bytesOf(from);
    }
    scanner.finish();
  } finally {
    scanner.stop();
  }
  if (users === undefined || payload === undefined) return invalid('u and m are needed');
  return { users: [...users], payload };
}

/** True when the bytes are one JSON text in UTF-8, not too deep. */
export function isJsonText(bytes: Uint8Array): boolean {
  try {
    scanner.start(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    scanner.skipValue(0);
    scanner.finish();
    return true;
  } catch {
    return false;
  } finally {
    scanner.stop();
  }
}

function readIntegers(): Set<string> {
  const found = new Set<string>();
  if (!scanner.takeArray()) invalid('u must be a list of integers');
  for (let first = true; scanner.nextElement(first); first = false) {
    scanner.peek();
    const from = scanner.at;
    scanner.skipValue(2);
    const text = scanner.textOf(from);
    if (!isDecimal(text)) invalid('u must be a list of integers');
    found.add(text);
  }
  return found;
}

/** A 64-bit integer in its one decimal spelling. */
export function isDecimal(text: string): boolean {
  if (!/^(0|-?[1-9]\d{0,18})$/.test(text)) return false;
  return text.length < 19 || BigInt.asIntN(64, BigInt(text)) === BigInt(text);
}

function readTarget(limits: PushLimits): Target {
  if (!scanner.takeObject()) throw new ImgoError('invalid_target');
  let target: Target | undefined;
  for (let first = true; ; first = false) {
    const key = scanner.nextKey(first);
    if (key === undefined) break;
    // A second key of any kind: two targets, or the same one twice.
    if (target !== undefined) throw new ImgoError('invalid_target');
    target = readTargetField(key, limits);
  }
  if (target === undefined) throw new ImgoError('invalid_target');
  return target;
}

function readTargetField(key: string, limits: PushLimits): Target {
  if (key === 'user') return { kind: 'user', user: readUser() };
  if (key === 'users') return { kind: 'users', users: readUsers(limits.usersPerPush) };
  if (key === 'room') {
    const room = roomId(scanner.string() ?? '');
    if (room === undefined) throw new ImgoError('invalid_room', { detail: 'a string of 1 to 128 bytes' });
    return { kind: 'room', room };
  }
  if (key !== 'all') return unknownField(key, 'to.');
  if (scanner.peek() !== 0x74) throw new ImgoError('invalid_target');
  scanner.skipValue(2);
  return ALL;
}

function readUser(): UserId {
  const user = userId(scanner.string() ?? '');
  if (user === undefined) throw new ImgoError('invalid_user', { detail: 'a string of 1 to 128 bytes' });
  return user;
}

function readUsers(limit: number): readonly UserId[] {
  const users = new Set<UserId>();
  if (!scanner.takeArray()) invalid('users must be a list of strings');
  for (let first = true; scanner.nextElement(first); first = false) users.add(readUser());
  if (users.size === 0) throw new ImgoError('invalid_target');
  if (users.size > limit) throw new ImgoError('too_many_targets', { count: users.size, limit });
  return [...users];
}

function readBoolean(key: string): boolean {
  scanner.peek();
  const from = scanner.at;
  scanner.skipValue(1);
  const text = scanner.textOf(from);
  if (text !== 'true' && text !== 'false') invalid(`${key} must be true or false`);
  return text === 'true';
}

function readTtl(): number {
  const text = scanner.string();
  if (text !== undefined) {
    const ms = parseDuration(text);
    if (ms === undefined) throw new ImgoError('invalid_ttl', { detail: 'a number and a unit' });
    return ms;
  }
  const from = scanner.at;
  scanner.skipValue(1);
  if (scanner.textOf(from) !== '0') throw new ImgoError('invalid_ttl', { detail: 'a number and a unit' });
  return 0;
}

function decodeBase64(text: string): Buffer {
  if (text.length % 4 !== 0 || !BASE64.test(text)) invalid('base64 is not base64 (RFC 4648, with padding)');
  return Buffer.from(text, 'base64');
}

function unknownField(key: string, prefix = ''): never {
  const name = /^[A-Za-z_]{1,32}$/.test(key) ? prefix + key : 'What was given';
  const nearest = FIELDS.find((field) => prefix === '' && field.startsWith(key.slice(0, 2)) && key.length > 1);
  throw new ImgoError('unknown_field', { field: name, nearest });
}

function twice(key: string): never {
  throw new ImgoError('invalid_json', { detail: `"${key}" is given twice` });
}

function invalid(detail: string): never {
  throw new ImgoError('invalid_request', { detail });
}
