// Pages of live sessions. All, and a user's, come from the store, by session id; those of a node or of a room from the comets
// that hold them, comet by comet, so that a page costs what it holds. A comet that does not answer is named.

import { ImgoError } from '../../protocol/errors.js';
import type { NodeId, RoomId, SessionId, UserId } from '../../protocol/ids.js';
import type { SessionInfo } from '../rpc/services.js';
import type { SessionState } from '../store/buckets.js';
import { askComet } from './comets.js';
import type { LogicParts } from './options.js';

type PageParts = Pick<LogicParts, 'buckets' | 'registry' | 'clock' | 'options' | 'cometFor'>;

export interface SessionQuery {
  readonly user: UserId | undefined;
  readonly node: NodeId | undefined;
  readonly room: RoomId | undefined;
  /** `next` of the page before. */
  readonly after: string | undefined;
  readonly limit: number;
}

/** A session, and what its comet says of it; undefined: no answer. */
export interface PagedSession {
  readonly state: SessionState;
  readonly info: SessionInfo | undefined;
}

export interface SessionPage {
  readonly items: readonly PagedSession[];
  /** undefined: that was the last. */
  readonly next: string | undefined;
  /** Comets that did not answer: their sessions, or what there is to say of them, are not here. */
  readonly missing: readonly NodeId[];
}

/** @throws ImgoError node_not_found */
export async function sessionPage(parts: PageParts, query: SessionQuery): Promise<SessionPage> {
  const { user, node, room } = query;
  if (node !== undefined) await assertComet(parts, node);
  if (user === undefined && (room !== undefined || node !== undefined)) {
    const page = await pageOfComets(parts, query);
    if (page !== undefined) return page;
  }
  const states = await parts.buckets.sessions({
    after: query.after?.split('@')[0] as SessionId | undefined,
    limit: query.limit,
    ...(user === undefined ? {} : { user }),
    ...(node === undefined ? {} : { comet: node }),
  });
  const { items, missing } = await withInfos(parts, states);
  // A user has few sessions, and a room many: which of them are in it their comets say.
  const there = room === undefined ? items : items.filter(({ info }) => info?.rooms.includes(room) === true);
  return { items: there, next: states.length < query.limit ? undefined : states.at(-1)?.session, missing };
}

/** What their comets say of them, asked once a comet. */
export async function withInfos(
  parts: PageParts,
  states: readonly SessionState[],
): Promise<Pick<SessionPage, 'items' | 'missing'>> {
  const byComet = new Map<NodeId, SessionId[]>();
  for (const { comet, session } of states) {
    const ids = byComet.get(comet);
    if (ids === undefined) byComet.set(comet, [session]);
    else ids.push(session);
  }
  const infos = new Map<SessionId, SessionInfo>();
  const missing: NodeId[] = [];
  const asked = [...byComet].map(async ([node, ids]) => {
    const found = await askComet(parts, node, (comet) => comet.sessionsOf(ids));
    if (found === undefined) missing.push(node);
    for (const info of found ?? []) if (info !== undefined && info !== null) infos.set(info.session, info);
  });
  await Promise.all(asked);
  return { items: states.map((state) => ({ state, info: infos.get(state.session) })), missing: missing.sort() };
}

/** By comet, the newest first or so: `next` is ROW@NODE. Undefined: the one comet that is asked about does not answer. */
async function pageOfComets(
  parts: PageParts,
  { node, room, after, limit }: SessionQuery,
): Promise<SessionPage | undefined> {
  const at = after === undefined ? -1 : after.indexOf('@');
  const position = at < 0 ? undefined : { row: after?.slice(0, at), node: after?.slice(at + 1) ?? '' };
  const holders =
    room === undefined ? await parts.registry.comets() : ((await parts.registry.cometsOf([room]))[0] ?? []);
  const names = holders.map((holder) => holder.node).filter((name) => node === undefined || name === node);
  const items: PagedSession[] = [];
  const missing: NodeId[] = [];
  for (const name of names.sort()) {
    if (position !== undefined && name < position.node) continue;
    const from = name === position?.node ? position.row : undefined;
    const wanted = limit - items.length;
    const found = await askComet(parts, name, (comet) => comet.sessionPage(room, from, wanted));
    if (found === undefined && node !== undefined && room === undefined) return undefined;
    if (found === undefined) missing.push(name);
    for (const info of found ?? []) items.push({ state: info, info });
    const last = found?.at(-1);
    if (items.length >= limit) return { items, next: `${last?.row ?? last?.session}@${name}`, missing };
  }
  return { items, next: undefined, missing };
}

async function assertComet({ registry }: PageParts, node: NodeId): Promise<void> {
  const known = (await registry.comets()).some((comet) => comet.node === node);
  if (!known) throw new ImgoError('node_not_found', { node: printableName(node) });
}

/** A name as an error shows it. */
function printableName(node: string): string {
  return /^[\w./-]{1,80}$/.test(node) ? node : 'of that name';
}
