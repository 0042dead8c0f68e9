// What an account has to say for a cluster under faults: each promise of the list of what must always hold, and whether it does.
import type { Account } from '../harness/account.js';

/** Legacy clients are told neither ids nor gaps: what a break of their connection explains is allowed to them. */
export function promisesOf(result: Account, routerDifferences: number): readonly (readonly [string, boolean])[] {
  const { native, rooms, broadcasts, legacy, ephemeral } = result;
  const topics = [rooms, broadcasts];
  const none = (what: string, count: number): readonly [string, boolean] => [`${what}: ${count}`, count === 0];
  const sum = (counts: readonly number[]): number => counts.reduce((total, one) => total + one, 0);
  return [
    none('lost, users', native.lost),
    none('lost, rooms', rooms.lost),
    none('lost, broadcasts', broadcasts.lost),
    none('lost, legacy, while connected', legacy.lostWhileConnected),
    none('unflagged duplicates', native.unflaggedDuplicates + sum(topics.map((one) => one.unflaggedDuplicates))),
    none('misordered', native.outOfOrder + legacy.outOfOrder + sum(topics.map((one) => one.outOfOrder))),
    none(
      'to the wrong session, or of a refused push',
      native.foreign + legacy.foreign + ephemeral.foreign + sum(topics.map((one) => one.foreign)),
    ),
    none('another payload than was pushed', native.wrongPayload),
    none('ids of two payloads', result.idsReused),
    none('pushed once, stored twice', result.pushedOnceStoredTwice),
    none('users in whom the router differs from the open sockets', routerDifferences),
    ['something of every class was accepted and delivered', everyClass(result)],
  ];
}

function everyClass({ accepted, native, rooms, broadcasts, legacy, ephemeral }: Account): boolean {
  const delivered = [native, rooms, broadcasts, legacy, ephemeral].every((one) => one.delivered > 0);
  return delivered && accepted.user > 0 && accepted.room > 0 && accepted.all > 0 && accepted.ephemeral > 0;
}
