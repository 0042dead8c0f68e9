// What can be known of one message from its log and from the cursors of its user's devices, traced or not.

import { compareIds, isZeroId, type MessageId, type ParsedLog, type UserId } from '../../protocol/ids.js';
import type { Buckets, DeviceState, Entry, LogState, SessionState } from '../store/buckets.js';
import type { Credentials } from '../store/credentials.js';
import { acknowledgedTo, idBefore } from '../store/retention.js';
import type { LogBounds, LogicOptions } from './options.js';

/** Tokens of a user that are looked at. */
const TOKENS_MAX = 64;
/** Room for one more message: a log within this of its bound may have let one go for its bytes. */
const NEAR_BYTES = 64 * 1024;

/** Why a log has a message no more. */
export type GoneReason = 'acknowledged' | 'expired' | 'trimmed';

export type Whereabouts =
  | { readonly kind: 'kept'; readonly entry: Entry }
  /** `certain`: nothing else can be the reason. */
  | { readonly kind: 'gone'; readonly reason: GoneReason; readonly certain: boolean }
  /** After the head of its log: accepted and not applied, or no message. */
  | { readonly kind: 'ahead' }
  | { readonly kind: 'never' };

export interface MessageState {
  readonly where: Whereabouts;
  readonly log: LogState | undefined;
  /** Of a user's log. */
  readonly devices: readonly DeviceState[];
  readonly sessions: readonly SessionState[];
}

/** What is asked for it. */
export interface StateParts {
  readonly buckets: Buckets;
  readonly options: Pick<LogicOptions, 'keep'>;
  readonly clock: { now(): number };
}

/** `expiresAt`: as a trace knows it, wall ms. */
export async function messageState(
  { buckets, options, clock }: StateParts,
  log: ParsedLog,
  id: MessageId,
  expiresAt: number | undefined,
): Promise<MessageState> {
  const user = log.kind === 'user' ? log.user : undefined;
  const [state, read, devices, sessions] = await Promise.all([
    buckets.log(log.log),
    buckets.read(log.log, idBefore(id), { entries: 1, bytes: 1 }),
    user === undefined ? [] : buckets.devices(user),
    user === undefined ? [] : buckets.sessionsOf([user]).then(([found = []]) => found),
  ]);
  return { where: whereabouts(), log: state, devices, sessions };

  function whereabouts(): Whereabouts {
    if (state === undefined) return { kind: 'never' };
    if (compareIds(id, state.head) > 0) return { kind: 'ahead' };
    const [first, second] = read.items;
    if (first?.kind === 'entry') {
      return compareIds(first.entry.id, id) === 0 ? { kind: 'kept', entry: first.entry } : { kind: 'never' };
    }
    // What ends before this id does not say that there was a message of this id.
    if (first?.kind === 'gap' && compareIds(first.upTo, id) < 0) return { kind: 'never' };
    // Nothing came before the first of its log.
    if (first?.kind === 'gap' && second?.kind === 'entry' && isZeroId(second.entry.prev)) return { kind: 'never' };
    return { kind: 'gone', ...goneReason(state) };
  }

  function goneReason(known: LogState): { readonly reason: GoneReason; readonly certain: boolean } {
    const acknowledged = acknowledgedTo(devices, []);
    if (acknowledged !== undefined && compareIds(id, acknowledged) <= 0) {
      // A device that was told a gap has passed what it did not get.
      return { reason: 'acknowledged', certain: false };
    }
    // Only what expires leaves a hole before what is kept.
    if (compareIds(id, known.trimmedTo) > 0) return { reason: 'expired', certain: true };
    if (expiresAt !== undefined && expiresAt > clock.now()) return { reason: 'trimmed', certain: true };
    return {
      reason: isFull(known, options.keep[user === undefined ? 'room' : 'user']) ? 'trimmed' : 'expired',
      certain: false,
    };
  }
}

/** `revoked`: the user has tokens, and none is good because they were revoked. */
export async function tokensOf(
  credentials: Credentials,
  user: UserId,
  now: number,
): Promise<'good' | 'revoked' | 'none'> {
  const tokens = await credentials.tokens({ after: undefined, limit: TOKENS_MAX, user });
  if (tokens.some(({ revokedAt, expiresAt }) => revokedAt === undefined && expiresAt > now)) return 'good';
  return tokens.some(({ revokedAt }) => revokedAt !== undefined) ? 'revoked' : 'none';
}

/** `acknowledged`, `sent` or `waiting`. */
export function deviceState({ cursor, sentTo }: DeviceState, id: MessageId): 'acknowledged' | 'sent' | 'waiting' {
  if (compareIds(cursor, id) >= 0) return 'acknowledged';
  return compareIds(sentTo, id) >= 0 && !isZeroId(sentTo) ? 'sent' : 'waiting';
}

function isFull({ messages, bytes }: LogState, keep: LogBounds): boolean {
  return messages >= keep.messages || bytes + NEAR_BYTES > keep.bytes;
}
