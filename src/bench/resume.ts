// What native clients are told about their logs: where these stood when the session began, and what is gone.

import type { MessageId } from '../protocol/ids.js';
import { parseGap, parseNativeAuthReply } from '../protocol/native-json.js';
import type { Aim } from './aims.js';
import type { LogGap } from './breaks.js';

/** A GAP; undefined for what is none. */
export function gapOf(body: Uint8Array): LogGap | undefined {
  const gap = parseGap(body);
  if (typeof gap === 'string') return undefined;
  const { log, after, upTo } = gap;
  return { log: log.startsWith('user:') ? 'user' : log.startsWith('room:') ? 'room' : 'all', after, upTo };
}

/** Heads of the room and of the log of all, from the reply to AUTH. A user's own log is read from its beginning. */
export function headsOf(body: Uint8Array): readonly (readonly [log: Aim['kind'], head: MessageId])[] {
  const reply = parseNativeAuthReply(body);
  if (typeof reply === 'string') return [];
  const rooms = Array.from(reply.rooms.values(), (state) => {
    return 'head' in state ? [['room', state.head] as const] : [];
  });
  const { all } = reply;
  return [...rooms.flat(), ...(all !== undefined && 'head' in all ? [['all', all.head] as const] : [])];
}
