// Who is connected, and what rooms there are: listings over the API.

import { type Api, type Page, pages, path } from './api.js';
import { age, type Output } from './output.js';

/** A live session. */
export interface ShownSession {
  readonly session: string;
  readonly user: string | null;
  readonly device: string;
  readonly node: string;
  readonly dialect: string;
  readonly transport: string;
  readonly peer: string;
  readonly since: string;
  readonly position: string;
  readonly sentTo: string | null;
  readonly lagBytes: number | null;
  readonly rooms: readonly string[] | null;
  readonly state: string | null;
}

interface ShownRoom {
  readonly room: string;
  readonly members: number;
}

/** Which sessions. */
export interface SessionFilter {
  readonly user: string | undefined;
  readonly node: string | undefined;
  readonly room: string | undefined;
  readonly limit: number;
  /** Where an earlier listing ended. */
  readonly cursor: string | undefined;
}

/** Prints live sessions, at most `limit`; then where it goes on. @throws ImgoError node_not_found */
export async function listSessions(api: Api, filter: SessionFilter, output: Output): Promise<void> {
  const { user, node, room, limit, cursor } = filter;
  const columns = [
    { title: 'session', value: (one: ShownSession) => one.session },
    { title: 'user', value: (one: ShownSession) => one.user ?? '-' },
    { title: 'device', value: (one: ShownSession) => one.device || '-' },
    { title: 'dialect', value: (one: ShownSession) => `${one.dialect} ${one.transport}` },
    { title: 'since', value: (one: ShownSession) => age(Date.now() - Date.parse(one.since)), right: true },
    { title: 'position', value: (one: ShownSession) => one.position },
    { title: 'lag', value: (one: ShownSession) => (one.lagBytes === null ? '?' : `${one.lagBytes} B`), right: true },
    { title: 'state', value: (one: ShownSession) => one.state ?? '?' },
    { title: 'peer', value: (one: ShownSession) => one.peer },
    { title: 'node', value: (one: ShownSession) => one.node },
  ];
  const query = { user, node, room, after: cursor };
  const none =
    user !== undefined ? 'That user has no sessions.' : room !== undefined ? 'Nobody is in that room.' : 'Nobody.';
  await listPages(pages<ShownSession>(api, '/v1/sessions', query, limit), columns, none, output);
}

/** Prints rooms that somebody is in, at most `limit`; then where it goes on. */
export async function listRooms(
  api: Api,
  filter: { readonly prefix: string | undefined; readonly limit: number; readonly cursor: string | undefined },
  output: Output,
): Promise<void> {
  const { prefix, limit, cursor } = filter;
  const columns = [
    { title: 'room', value: (one: ShownRoom) => one.room },
    { title: 'members', value: (one: ShownRoom) => String(one.members), right: true },
  ];
  const query = { prefix, after: cursor };
  await listPages(pages<ShownRoom>(api, '/v1/rooms', query, limit), columns, 'No rooms.', output);
}

type Columns<T> = readonly { readonly title: string; readonly value: (item: T) => string; readonly right?: boolean }[];

async function listPages<T extends object>(
  source: AsyncGenerator<Page<T>>,
  columns: Columns<T>,
  none: string,
  output: Output,
): Promise<void> {
  let some = false;
  let rest: string | undefined;
  const silent = new Set<string>();
  for await (const { items, next, missing } of source) {
    for (const node of missing) silent.add(node);
    if (items.length > 0) await output.items(items, { columns, none: '' });
    some ||= items.length > 0;
    rest = next;
  }
  for (const node of silent) output.warn(`${node} did not answer: what it knows is not here.`);
  if (rest !== undefined) output.note(`There are more: --cursor ${rest}`);
  if (!some && silent.size === 0 && !output.json) output.note(none);
}

/** One room with its members and history. */
export async function showRoom(api: Api, room: string, output: Output): Promise<void> {
  const info = await api.json<
    ShownRoom & { readonly log: { readonly head: string; readonly messages: number; readonly bytes: number } | null }
  >({
    path: `/v1/rooms?room=${encodeURIComponent(room)}`,
  });
  if (output.json || !output.isTerminal) return output.object(info);
  const log =
    info.log === null
      ? 'no messages'
      : `${info.log.messages} messages kept (${info.log.bytes} bytes), the last is ${info.log.head}`;
  await output.line(`${info.room}: ${info.members} member${info.members === 1 ? '' : 's'}, ${log}`);
}

/** Whose sessions are closed. */
export type KickTarget = { readonly session: string } | { readonly user: string } | { readonly token: string };

/** Closes sessions: one, all of a user, or those of a token. @throws ImgoError session_not_found, token_not_found */
export async function kick(api: Api, which: KickTarget, output: Output): Promise<void> {
  const result = await api.json<{ readonly closed: number }>({ method: 'DELETE', path: pathOf(which) });
  if (output.json) return output.object(result);
  await output.line(String(result.closed));
  if (result.closed === 0) {
    output.note(`${'user' in which ? 'That user' : 'That token'} has no sessions: nothing was closed.`);
    return;
  }
  output.note(
    `${result.closed} session${result.closed === 1 ? '' : 's'} closed. A token that is good lets them come back: token revoke ends that.`,
  );
}

function pathOf(which: KickTarget): string {
  if ('session' in which) return path('v1', 'sessions', which.session);
  return 'user' in which ? path('v1', 'users', which.user, 'sessions') : path('v1', 'tokens', which.token, 'sessions');
}
