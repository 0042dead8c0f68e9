// Message ids (epoch-n), log names and the branded strings that must not be mixed.
// Parsing is strict: one id has one spelling, and what does not round-trip is refused.

import { utf8Length } from './text.js';

declare const brand: unique symbol;

/** 1 to 128 bytes of well-formed UTF-8 without control characters; legacy integers are the same in decimal. */
export type UserId = string & { readonly [brand]: 'UserId' };
/** The same rule as a user id, e.g. `live://1000`. */
export type RoomId = string & { readonly [brand]: 'RoomId' };
/** The same rule as a user id; names a device of one user. */
export type DeviceId = string & { readonly [brand]: 'DeviceId' };
/** An authenticated connection. */
export type SessionId = string & { readonly [brand]: 'SessionId' };
/** The public name of a token, not the token. */
export type TokenId = string & { readonly [brand]: 'TokenId' };
/** A node of the cluster. */
export type NodeId = string & { readonly [brand]: 'NodeId' };
/** `user:123456`, `room:live://1000` or `all`. */
export type LogName = string & { readonly [brand]: 'LogName' };

/** The id of an entry: increasing within its log, never used twice. */
export interface MessageId {
  /** u32; a new history of the engine is a new epoch. */
  readonly epoch: number;
  /** From 0 to 2^53 - 1. */
  readonly n: number;
}

/** Before every entry; also what ephemeral pushes carry on the wire. */
export const ZERO_ID: MessageId = Object.freeze({ epoch: 0, n: 0 });

/** The log that every session reads. */
export const ALL_LOG = 'all' as LogName;

/** Bytes of UTF-8 that a user, room or device name may have. */
export const MAX_NAME_BYTES = 128;

const ID = /^(0|[1-9]\d{0,9})-(0|[1-9]\d{0,15})$/;

/** True for a whole number that fits an epoch. */
export function isEpoch(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}

/** Negative, 0 or positive as `a` is before, equal to or after `b`: by epoch, then by n. */
export function compareIds(a: MessageId, b: MessageId): number {
  if (a.epoch !== b.epoch) return a.epoch < b.epoch ? -1 : 1;
  if (a.n !== b.n) return a.n < b.n ? -1 : 1;
  return 0;
}

/** The later of two ids. */
export function maxId(a: MessageId, b: MessageId): MessageId {
  return compareIds(a, b) >= 0 ? a : b;
}

/** True for 0-0. */
export function isZeroId(id: MessageId): boolean {
  return id.epoch === 0 && id.n === 0;
}

/** `1-42`. */
export function formatId(id: MessageId): string {
  return `${id.epoch}-${id.n}`;
}

/** The id that `text` spells, or undefined: no signs, no leading zeros, epoch a u32, n below 2^53. */
export function parseId(text: string): MessageId | undefined {
  const match = ID.exec(text);
  if (match === null) return undefined;
  const epoch = Number(match[1]);
  const n = Number(match[2]);
  if (!isEpoch(epoch) || !Number.isSafeInteger(n)) return undefined;
  return { epoch, n };
}

/** True for a name of 1 to 128 bytes of well-formed UTF-8 without control characters (U+0000-U+001F, U+007F). */
export function isName(text: string): boolean {
  if (text.length === 0 || text.length > MAX_NAME_BYTES) return false;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x20 || unit === 0x7f) return false;
  }
  const bytes = utf8Length(text);
  return bytes > 0 && bytes <= MAX_NAME_BYTES;
}

/** The text as a user id, or undefined when it cannot be one. */
export function userId(text: string): UserId | undefined {
  return isName(text) ? (text as UserId) : undefined;
}

/** The text as a room id, or undefined when it cannot be one. */
export function roomId(text: string): RoomId | undefined {
  return isName(text) ? (text as RoomId) : undefined;
}

/** The text as a device id, or undefined when it cannot be one. */
export function deviceId(text: string): DeviceId | undefined {
  return isName(text) ? (text as DeviceId) : undefined;
}

/** The log of a user. */
export function userLog(user: UserId): LogName {
  return `user:${user}` as LogName;
}

/** The log of a room. */
export function roomLog(room: RoomId): LogName {
  return `room:${room}` as LogName;
}

/** What a log name says. */
export type ParsedLog =
  | { readonly kind: 'user'; readonly log: LogName; readonly user: UserId }
  | { readonly kind: 'room'; readonly log: LogName; readonly room: RoomId }
  | { readonly kind: 'all'; readonly log: LogName };

/** The log that `text` names, or undefined. */
export function parseLogName(text: string): ParsedLog | undefined {
  if (text === ALL_LOG) return { kind: 'all', log: ALL_LOG };
  const name = text.slice(5);
  if (!isName(name)) return undefined;
  if (text.startsWith('user:')) return { kind: 'user', log: text as LogName, user: name as UserId };
  if (text.startsWith('room:')) return { kind: 'room', log: text as LogName, room: name as RoomId };
  return undefined;
}

/** `user:123456@1-42`. */
export function formatFullId(log: LogName, id: MessageId): string {
  return `${log}@${formatId(id)}`;
}

/** The log and id of a full name, split at the last `@`, or undefined. */
export function parseFullId(text: string): { readonly log: LogName; readonly id: MessageId } | undefined {
  const at = text.lastIndexOf('@');
  if (at < 0) return undefined;
  const parsed = parseLogName(text.slice(0, at));
  const id = parseId(text.slice(at + 1));
  return parsed === undefined || id === undefined ? undefined : { log: parsed.log, id };
}
