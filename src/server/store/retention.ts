// What a log keeps and what it lets go: pure rules that every engine shares. Trimming is exact and oldest first; an
// entry goes because all who hold retention acknowledged it, because it expired, or because the log is over its cap.

import { compareIds, type LogName, type MessageId, maxId, ZERO_ID } from '../../protocol/ids.js';
import { ANONYMOUS, type BucketsOptions, type PushRecord, type Retention } from './buckets.js';

/** Ids are compared as (epoch, n); the largest n of an epoch. */
const LAST_N = Number.MAX_SAFE_INTEGER;

/** Where a cursor goes: never back, never above the head. */
export function advanceCursor(stored: MessageId, given: MessageId, head: MessageId): MessageId {
  return maxId(stored, minId(given, head));
}

/** The earlier of two ids. */
export function minId(a: MessageId, b: MessageId): MessageId {
  return compareIds(a, b) <= 0 ? a : b;
}

/** The id just below `id`; ZERO_ID stays. */
export function idBefore(id: MessageId): MessageId {
  if (id.n > 0) return { epoch: id.epoch, n: id.n - 1 };
  return id.epoch > 0 ? { epoch: id.epoch - 1, n: LAST_N } : ZERO_ID;
}

/** True for the log of a user, which has cursors; rooms and `all` are bounded history. */
export function isUserLog(log: LogName): boolean {
  return log.startsWith('user:');
}

/** What this log may keep. */
export function retentionOf(log: LogName, options: BucketsOptions): Retention {
  return isUserLog(log) ? options.keep : options.rooms;
}

/** Until when an entry is kept: as it asks, but no longer than the log's age. Wall ms. */
export function keptUntil(record: Pick<PushRecord, 'acceptedAt' | 'expiresAt'>, keep: Retention): number {
  return Math.min(record.expiresAt, record.acceptedAt + keep.ageMs);
}

/** imgo's millisecond id. */
export function nextMid(lastMid: number, acceptedAt: number): number {
  return Math.max(lastMid + 1, acceptedAt);
}

/** A cursor that may hold retention. */
export interface HoldingCursor {
  readonly device: string;
  readonly cursor: MessageId;
}

/**
 * Up to where everybody who counts has acknowledged: all named devices, or, where there is none, whoever is
 * anonymous; and nothing that an open session has not taken. Undefined: nobody has acknowledged anything.
 */
export function acknowledgedTo(cursors: readonly HoldingCursor[], holds: readonly MessageId[]): MessageId | undefined {
  let named: MessageId | undefined;
  let anonymous: MessageId | undefined;
  for (const { device, cursor } of cursors) {
    if (device === ANONYMOUS) anonymous = cursor;
    else named = named === undefined ? cursor : minId(named, cursor);
  }
  let floor = named ?? anonymous;
  if (floor === undefined) return undefined;
  for (const hold of holds) floor = minId(floor, hold);
  return floor;
}

/** The oldest entry of a log. */
export interface OldestEntry {
  readonly id: MessageId;
  /** Wall ms. */
  readonly expiresAt: number;
}

export type TrimReason = 'acknowledged' | 'expired' | 'cap';

/** Why the oldest entry goes now; undefined: it stays. The newest entry is never dropped for its size alone. */
export function trimReason(
  oldest: OldestEntry,
  kept: { readonly messages: number; readonly bytes: number },
  acknowledged: MessageId | undefined,
  keep: Retention,
  now: number,
): TrimReason | undefined {
  if (acknowledged !== undefined && compareIds(oldest.id, acknowledged) <= 0) return 'acknowledged';
  if (oldest.expiresAt <= now) return 'expired';
  if (kept.messages > keep.messages || (kept.bytes > keep.bytes && kept.messages > 1)) return 'cap';
  return undefined;
}
