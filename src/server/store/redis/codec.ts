// What scripts keep, as this side reads it: entries, records of logs, sessions, devices. Layouts are in lua/.

import type { MessageId, UserId } from '../../../protocol/ids.js';
import type { DeviceState, Entry, LogState, SessionRecord, SessionState } from '../buckets.js';
import { ENTRY_AT, ENTRY_BYTES, RECORD_AT, RECORD_BYTES } from './lua/log.js';
import { type Packer, unpack } from './pack.js';

/** [session, device, comet, incarnation, seq, since, open, epoch, n, token, dialect, transport, peer] */
type PackedSession = readonly [
  SessionRecord['session'],
  SessionRecord['device'],
  SessionRecord['comet'],
  number,
  number,
  number,
  0 | 1,
  number,
  number,
  SessionRecord['token'] | '',
  string,
  SessionRecord['transport'],
  string,
];

/** [name, hash, cursor, sentTo, clean, lastSeen, opener, lineage]; the last not from older versions. */
type PackedDevice = readonly [
  DeviceState['device'],
  number,
  number,
  number,
  number,
  number,
  0 | 1,
  number,
  string,
  string?,
];

/** An entry of a log's list. The payload is a view of it. */
export function entryOf(packed: Buffer): Entry {
  return {
    id: idAt(packed, ENTRY_AT.id),
    prev: idAt(packed, ENTRY_AT.prev),
    payload: packed.subarray(ENTRY_BYTES),
    operation: packed[ENTRY_AT.flags] === 1 ? packed.readUInt32BE(ENTRY_AT.operation) : undefined,
    acceptedAt: packed.readDoubleBE(ENTRY_AT.acceptedAt),
    expiresAt: packed.readDoubleBE(ENTRY_AT.expiresAt),
    mid: packed.readDoubleBE(ENTRY_AT.mid),
  };
}

/** A log's record. */
export function logOf(packed: Buffer): LogState {
  return {
    head: idAt(packed, RECORD_AT.head),
    trimmedTo: idAt(packed, RECORD_AT.trimmedTo),
    messages: packed.readUInt32BE(RECORD_AT.messages),
    bytes: packed.readDoubleBE(RECORD_AT.bytes),
    lastMid: packed.readDoubleBE(RECORD_AT.lastMid),
  };
}

/** When maintenance has to look at a log again, wall ms. `packed`: at least the fixed part of its record. */
export function dueAt(packed: Buffer, forgetAfterMs: number): number {
  const oldest = packed.readDoubleBE(RECORD_AT.oldestExpires);
  return packed.readUInt32BE(RECORD_AT.messages) > 0 ? oldest : packed.readDoubleBE(RECORD_AT.usedAt) + forgetAfterMs;
}

/** The devices at the end of a log's record. */
export function devicesOf(packed: Buffer): readonly DeviceState[] {
  if (packed.length <= RECORD_BYTES) return [];
  const [devices] = unpack<readonly [readonly PackedDevice[]]>(packed.subarray(RECORD_BYTES));
  return devices.map(([device, , ce, cn, se, sn, clean, lastSeen]) => ({
    device,
    cursor: { epoch: ce, n: cn },
    sentTo: { epoch: se, n: sn },
    clean: clean === 1,
    lastSeen,
  }));
}

/** The value of a user's sessions; an empty one or none: nobody. */
export function statesOf(packed: Buffer | null, user: UserId | undefined): readonly SessionState[] {
  if (packed === null || packed.length === 0) return [];
  const [sessions] = unpack<readonly [readonly PackedSession[]]>(packed);
  return sessions.map((session) => ({ ...sessionOf(session, user), position: { epoch: session[7], n: session[8] } }));
}

/** The sessions of an answer. */
export function sessionsOf(packed: Buffer, user: UserId | undefined): readonly SessionRecord[] {
  if (packed.length === 0) return [];
  const [sessions] = unpack<readonly [readonly PackedSession[]]>(packed);
  return sessions.map((session) => sessionOf(session, user));
}

/** One session of a script's answer. */
export function sessionOf(packed: PackedSession, user: UserId | undefined): SessionRecord {
  const [session, device, comet, incarnation, seq, since, , , , token, dialect, transport, peer] = packed;
  return {
    session,
    user,
    device,
    token: token === '' ? undefined : token,
    comet,
    incarnation,
    seq,
    dialect,
    transport,
    peer,
    since,
  };
}

/** A session that registers. */
export function packSession(packer: Packer, record: SessionRecord): Buffer {
  const { session, device, comet, incarnation, seq, since, token, dialect, transport, peer } = record;
  packer.array(13).text(session).text(device).text(comet).number(incarnation).number(seq).number(since);
  packer.number(0).number(0).number(0);
  return packer
    .text(token ?? '')
    .text(dialect)
    .text(transport)
    .text(peer)
    .take();
}

function idAt(packed: Buffer, at: number): MessageId {
  return { epoch: packed.readUInt32BE(at), n: packed.readUInt32BE(at + 4) * 2 ** 32 + packed.readUInt32BE(at + 8) };
}
