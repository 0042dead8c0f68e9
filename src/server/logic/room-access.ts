// Which rooms a session may be in. A token's rooms are the allowlist (exact names or `prefix*`); a token without rooms may
// join only where rooms.join is open; identities stated on goim's own port are free.

import type { RoomId } from '../../protocol/ids.js';
import { roomId } from '../../protocol/ids.js';
import type { LogicOptions } from './options.js';

/** True when an entry of the allowlist is this room, or ends in `*` and is a prefix of it. */
export function roomListed(list: readonly string[], room: RoomId): boolean {
  return list.some((entry) => (entry.endsWith('*') ? room.startsWith(entry.slice(0, -1)) : entry === room));
}

/** `tokenRooms` undefined: an identity that nobody verified. */
export function mayJoin(options: LogicOptions, tokenRooms: readonly string[] | undefined, room: RoomId): boolean {
  if (tokenRooms === undefined) return true;
  if (tokenRooms.length === 0) return options.roomsJoin === 'open';
  return roomListed(tokenRooms, room);
}

/** The rooms of a list that are names, not prefixes. */
export function namedRooms(list: readonly string[]): RoomId[] {
  return list.flatMap((entry) => (entry.endsWith('*') ? [] : (roomId(entry) ?? [])));
}

/** What a session is put into without asking: imgo's and goim v1's AUTH name no room. */
export function roomsWithoutAsking(
  options: LogicOptions,
  dialect: string,
  tokenRooms: readonly string[] | undefined,
): RoomId[] {
  if (dialect !== 'imgo' && dialect !== 'goim1') return [];
  if (tokenRooms !== undefined && tokenRooms.length > 0) return namedRooms(tokenRooms);
  return options.defaultRoom === undefined ? [] : [options.defaultRoom];
}
