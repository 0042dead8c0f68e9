// The native dialect's JSON bodies: AUTH, GAP, JOIN, LEAVE, PRESENCE, DISCONNECT and their replies.
// Parsers answer the typed value or a fault; unknown keys are ignored, `null` for an optional field is its absence.

import type { Reconnect } from './disconnect.js';
import type { FrameFault } from './frame.js';
import {
  type DeviceId,
  deviceId,
  formatId,
  isName,
  type LogName,
  type MessageId,
  parseId,
  parseLogName,
  type RoomId,
  roomId,
  type SessionId,
  type UserId,
  userId,
} from './ids.js';
import { encodeText, isJsonObject, type JsonObject, parseJsonBytes } from './text.js';

/** Where a client wants to start: an id, or undefined for the head. */
export type StartAt = MessageId | undefined;

/** AUTH, ver 2. */
export interface NativeAuth {
  readonly token: string;
  readonly device: DeviceId | undefined;
  /** The client's own cursor in its user log; undefined: the stored one. */
  readonly cursor: MessageId | undefined;
  /** Rooms to join, each from a position. Absent in the body: undefined, which is not "none". */
  readonly rooms: ReadonlyMap<RoomId, StartAt> | undefined;
  /** Where to start in the log `all`. */
  readonly all: StartAt;
}

/** A room in the reply to AUTH: its head and whether nothing is missing since the position given, or why not. */
export type RoomState = { readonly head: MessageId; readonly recovered: boolean } | { readonly error: string };

/** The reply to AUTH. */
export interface NativeAuthReply {
  readonly session: SessionId;
  readonly user: UserId;
  readonly device: DeviceId | undefined;
  readonly head: MessageId;
  /** How often the client should send a heartbeat, in milliseconds. */
  readonly heartbeatMs: number;
  readonly rooms: ReadonlyMap<RoomId, RoomState>;
  /** Where this session stands in the log of broadcasts; undefined from a server that does not say. */
  readonly all?: { readonly head: MessageId; readonly recovered: boolean } | undefined;
}

/** What lies after `after` up to and including `upTo` is gone. */
export interface Gap {
  readonly log: LogName;
  readonly after: MessageId;
  readonly upTo: MessageId;
}

/** JOIN. */
export interface JoinRequest {
  readonly room: RoomId;
  readonly since: StartAt;
}

/** The reply to JOIN. */
export type JoinReply = { readonly room: RoomId } & RoomState;

/** LEAVE and PRESENCE. */
export interface RoomRequest {
  readonly room: RoomId;
}

/** The reply to LEAVE. */
export type LeaveReply = { readonly room: RoomId; readonly error?: string };

/** The reply to PRESENCE: sessions in the room, or why that is not told. */
export type PresenceReply = { readonly count: number } | { readonly error: string };

/** DISCONNECT. */
export interface Disconnect {
  readonly code: number;
  readonly reason: string;
  readonly reconnect: Reconnect;
}

/** Parses the body of a native AUTH. */
export function parseNativeAuth(body: Uint8Array): NativeAuth | FrameFault {
  const object = parseJsonBytes(body);
  if (typeof object === 'string') return object;
  const { token } = object;
  if (typeof token !== 'string' || token.length === 0) return 'bad_field';
  const device = optional(object.device, asDevice);
  const cursor = optional(object.cursor, asId);
  const all = optional(object.all, asId);
  const rooms = optional(object.rooms, asRooms);
  if (device === BAD || cursor === BAD || all === BAD || rooms === BAD) return 'bad_field';
  return { token, device, cursor, rooms, all };
}

/** The body of a native AUTH. */
export function encodeNativeAuth(auth: {
  readonly token: string;
  readonly device?: string | undefined;
  readonly cursor?: MessageId | undefined;
  readonly rooms?: ReadonlyMap<RoomId, StartAt> | undefined;
  readonly all?: StartAt;
}): Uint8Array {
  const rooms = auth.rooms && jsonMap(auth.rooms, (since) => (since === undefined ? null : formatId(since)));
  const { token, device } = auth;
  return encodeJson({ token, device, cursor: spell(auth.cursor), rooms, all: spell(auth.all) });
}

/** Parses the reply to AUTH. */
export function parseNativeAuthReply(body: Uint8Array): NativeAuthReply | FrameFault {
  const object = parseJsonBytes(body);
  if (typeof object === 'string') return object;
  const { session, heartbeatMs } = object;
  const user = typeof object.user === 'string' ? userId(object.user) : undefined;
  const device = optional(object.device, asDevice);
  const head = asId(object.head);
  if (typeof session !== 'string' || user === undefined || device === BAD || head === BAD) return 'bad_field';
  if (typeof heartbeatMs !== 'number' || !(heartbeatMs > 0)) return 'bad_field';
  const rooms = new Map<RoomId, RoomState>();
  if (!isJsonObject(object.rooms)) return 'bad_field';
  for (const [name, value] of Object.entries(object.rooms)) {
    const room = roomId(name);
    const state = asRoomState(value);
    if (room === undefined || state === BAD) return 'bad_field';
    rooms.set(room, state);
  }
  const all = optional(object.all, asRoomState);
  if (all === BAD) return 'bad_field';
  const known = all === undefined || 'error' in all ? {} : { all };
  return { session: session as SessionId, user, device, head, heartbeatMs, rooms, ...known };
}

/** The body of the reply to AUTH. Put together piece by piece: it is made for each open, and objects of names cost more. */
export function encodeNativeAuthReply(reply: NativeAuthReply): Uint8Array {
  const { session, user, device, head, heartbeatMs, all } = reply;
  let rooms = '';
  for (const [room, state] of reply.rooms) {
    rooms += `${rooms === '' ? '' : ','}${JSON.stringify(room)}:${stateText(state)}`;
  }
  const who = `"session":${JSON.stringify(session)},"user":${JSON.stringify(user)},"device":${JSON.stringify(device ?? null)}`;
  const where = `"head":"${formatId(head)}","heartbeatMs":${heartbeatMs},"rooms":{${rooms}}`;
  return encodeText(`{${who},${where}${all === undefined ? '' : `,"all":${stateText(all)}`}}`);
}

/** Parses a GAP. */
export function parseGap(body: Uint8Array): Gap | FrameFault {
  const object = parseJsonBytes(body);
  if (typeof object === 'string') return object;
  const parsed = typeof object.log === 'string' ? parseLogName(object.log) : undefined;
  const after = asId(object.after);
  const upTo = asId(object.upTo);
  if (parsed === undefined || after === BAD || upTo === BAD) return 'bad_field';
  return { log: parsed.log, after, upTo };
}

/** The body of a GAP. */
export function encodeGap(gap: Gap): Uint8Array {
  return encodeJson({ log: gap.log, after: formatId(gap.after), upTo: formatId(gap.upTo) });
}

/** Parses a JOIN. */
export function parseJoin(body: Uint8Array): JoinRequest | FrameFault {
  const object = parseJsonBytes(body);
  if (typeof object === 'string') return object;
  const room = asRoom(object);
  const since = optional(object.since, asId);
  return room === undefined || since === BAD ? 'bad_field' : { room, since };
}

/** The body of a JOIN. */
export function encodeJoin(room: RoomId, since?: MessageId): Uint8Array {
  return encodeJson({ room, since: spell(since) });
}

/** Parses the reply to JOIN. */
export function parseJoinReply(body: Uint8Array): JoinReply | FrameFault {
  const object = parseJsonBytes(body);
  if (typeof object === 'string') return object;
  const room = asRoom(object);
  const state = asRoomState(object);
  return room === undefined || state === BAD ? 'bad_field' : { room, ...state };
}

/** The body of the reply to JOIN; `error` is a code of the error table. */
export function encodeJoinReply(room: RoomId, state: RoomState): Uint8Array {
  return encodeJson({ room, ...spellState(state) });
}

/** Parses a LEAVE or a PRESENCE. */
export function parseRoomRequest(body: Uint8Array): RoomRequest | FrameFault {
  const object = parseJsonBytes(body);
  if (typeof object === 'string') return object;
  const room = asRoom(object);
  return room === undefined ? 'bad_field' : { room };
}

/** The body of a LEAVE or a PRESENCE. */
export function encodeRoomRequest(room: RoomId): Uint8Array {
  return encodeJson({ room });
}

/** Parses the reply to LEAVE. */
export function parseLeaveReply(body: Uint8Array): LeaveReply | FrameFault {
  const object = parseJsonBytes(body);
  if (typeof object === 'string') return object;
  const room = asRoom(object);
  if (room === undefined) return 'bad_field';
  return typeof object.error === 'string' ? { room, error: object.error } : { room };
}

/** The body of the reply to LEAVE. */
export function encodeLeaveReply(room: RoomId, error?: string): Uint8Array {
  return encodeJson({ room, error });
}

/** Parses the reply to PRESENCE. */
export function parsePresenceReply(body: Uint8Array): PresenceReply | FrameFault {
  const object = parseJsonBytes(body);
  if (typeof object === 'string') return object;
  if (typeof object.error === 'string') return { error: object.error };
  const { count } = object;
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? { count } : 'bad_field';
}

/** The body of the reply to PRESENCE. */
export function encodePresenceReply(reply: PresenceReply): Uint8Array {
  return encodeJson(reply);
}

/** Parses a DISCONNECT. */
export function parseDisconnect(body: Uint8Array): Disconnect | FrameFault {
  const object = parseJsonBytes(body);
  if (typeof object === 'string') return object;
  const { code, reason, reconnect } = object;
  if (typeof code !== 'number' || !Number.isInteger(code) || typeof reason !== 'string') return 'bad_field';
  if (reconnect === false) return { code, reason, reconnect };
  if (!isJsonObject(reconnect)) return 'bad_field';
  const { minMs, maxMs } = reconnect;
  if (typeof minMs !== 'number' || typeof maxMs !== 'number' || !(minMs >= 0 && maxMs >= minMs)) return 'bad_field';
  return { code, reason, reconnect: { minMs, maxMs } };
}

/** The body of a DISCONNECT; a row of the disconnect table fits. */
export function encodeDisconnect(row: Disconnect): Uint8Array {
  return encodeJson({ code: row.code, reason: row.reason, reconnect: row.reconnect });
}

/** What a field parser answers to a value that it refuses. */
const BAD = Symbol('bad');
type Bad = typeof BAD;

function optional<T>(value: unknown, parse: (value: unknown) => T | Bad): T | undefined | Bad {
  return value === undefined || value === null ? undefined : parse(value);
}

function asId(value: unknown): MessageId | Bad {
  return (typeof value === 'string' ? parseId(value) : undefined) ?? BAD;
}

function asDevice(value: unknown): DeviceId | Bad {
  return (typeof value === 'string' ? deviceId(value) : undefined) ?? BAD;
}

function asRoom(object: JsonObject): RoomId | undefined {
  return typeof object.room === 'string' ? roomId(object.room) : undefined;
}

function asRooms(value: unknown): ReadonlyMap<RoomId, StartAt> | Bad {
  const rooms = new Map<RoomId, StartAt>();
  if (Array.isArray(value)) {
    for (const name of value as unknown[]) {
      if (typeof name !== 'string' || !isName(name)) return BAD;
      rooms.set(name as RoomId, undefined);
    }
    return rooms;
  }
  if (!isJsonObject(value)) return BAD;
  for (const [name, from] of Object.entries(value)) {
    const room = roomId(name);
    const since = optional(from, asId);
    if (room === undefined || since === BAD) return BAD;
    rooms.set(room, since);
  }
  return rooms;
}

function asRoomState(value: unknown): RoomState | Bad {
  if (!isJsonObject(value)) return BAD;
  if (typeof value.error === 'string') return { error: value.error };
  const head = asId(value.head);
  return head === BAD || typeof value.recovered !== 'boolean' ? BAD : { head, recovered: value.recovered };
}

function spell(id: MessageId | undefined): string | undefined {
  return id === undefined ? undefined : formatId(id);
}

function spellState(state: RoomState): { readonly [key: string]: unknown } {
  return 'error' in state ? { error: state.error } : { head: formatId(state.head), recovered: state.recovered };
}

function stateText(state: RoomState): string {
  if ('error' in state) return `{"error":${JSON.stringify(state.error)}}`;
  return `{"head":"${formatId(state.head)}","recovered":${state.recovered}}`;
}

/** A JSON object from a map; `fromEntries` makes even `__proto__` a plain key. */
function jsonMap<K extends string, V>(map: ReadonlyMap<K, V>, value: (entry: V) => unknown) {
  return Object.fromEntries(Array.from(map, ([key, entry]): [string, unknown] => [key, value(entry)]));
}

function encodeJson(value: object): Uint8Array {
  return encodeText(JSON.stringify(value));
}
