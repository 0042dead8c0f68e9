// What logic asks of all comets at once: their figures, a session, members of rooms. A comet that does not answer in time is
// left out, so that one that hangs does not hang those who ask.

import type { NodeId, RoomId, SessionId } from '../../protocol/ids.js';
import { pause } from '../clock.js';
import {
  type CometService,
  type CometStats,
  NUMBERS_ONLY,
  type SessionInfo,
  type StatsRequest,
} from '../rpc/services.js';
import type { LogicParts } from './options.js';
import { byLikelihood } from './session-ids.js';

type CometParts = Pick<LogicParts, 'registry' | 'clock' | 'options' | 'cometFor'>;

/** Members of a room on one comet. */
export interface RoomHolder {
  readonly node: NodeId;
  readonly members: number;
}

/** How many connections, sessions and topics every live comet has that answers, by node. */
export function allStats(parts: CometParts): Promise<ReadonlyMap<NodeId, CometStats>> {
  return statsOf(parts, NUMBERS_ONLY);
}

async function statsOf(parts: CometParts, request: StatsRequest | undefined): Promise<ReadonlyMap<NodeId, CometStats>> {
  const comets = await parts.registry.comets();
  const answers = await Promise.all(comets.map(({ node }) => askComet(parts, node, (comet) => comet.stats(request))));
  return new Map(
    answers.flatMap((stats, index) => {
      const node = comets[index]?.node;
      return stats === undefined || node === undefined ? [] : [[node, stats] as const];
    }),
  );
}

/** A live session, wherever it is: of its own comet, as its id has it, and of the others only when that does not know it. */
export async function findSession(parts: CometParts, session: SessionId): Promise<SessionInfo | undefined> {
  for (const comets of byLikelihood(session, await parts.registry.comets())) {
    const asked = comets.map(({ node }) => askComet(parts, node, (comet) => comet.session(session)));
    const info = (await Promise.all(asked)).find((answer) => answer !== undefined);
    if (info !== undefined) return info;
  }
  return undefined;
}

/** Which comets have members of these rooms, and how many; in the order asked. */
export async function roomHolders(
  parts: CometParts,
  rooms: readonly RoomId[],
): Promise<readonly (readonly RoomHolder[])[]> {
  const comets = await parts.registry.cometsOf(rooms);
  return Promise.all(
    rooms.map(async (room, index) => {
      const holders = (comets[index] ?? []).map(async ({ node }) => ({
        node,
        members: (await askComet(parts, node, (comet) => comet.members(room))) ?? 0,
      }));
      return Promise.all(holders);
    }),
  );
}

/** How many in all. */
export function memberCount(holders: readonly RoomHolder[]): number {
  return holders.reduce((sum, { members }) => sum + members, 0);
}

/** Members by room name, of every room that has any. */
export async function membersByRoom(parts: CometParts): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const { topics } of (await statsOf(parts, undefined)).values()) {
    for (const { log, members } of topics) {
      if (!log.startsWith('room:') || members === 0) continue;
      const room = log.slice('room:'.length);
      counts.set(room, (counts.get(room) ?? 0) + members);
    }
  }
  return counts;
}

/** The answer of one comet, or undefined: it has no link, fails, or takes longer than `confirmMs`. */
export async function askComet<T>(
  parts: CometParts,
  node: NodeId,
  question: (comet: CometService) => Promise<T>,
): Promise<T | undefined> {
  const comet = parts.cometFor(node);
  if (comet === undefined) return undefined;
  const aborter = new AbortController();
  const late = pause(parts.clock, parts.options.confirmMs, aborter.signal).then(() => undefined);
  const answer = question(comet).catch(() => undefined);
  const first = await Promise.race([answer, late]);
  aborter.abort();
  return first;
}
