// Who is connected, and what rooms there are: listings over the API.

import { type Api, pages, path } from './api.js';
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

/** Prints live sessions: of one user, of one node, or all; at most `limit`. */
export async function listSessions(
  api: Api,
  filter: { readonly user: string | undefined; readonly node: string | undefined; readonly limit: number },
  output: Output,
): Promise<void> {
  const { user, node } = filter;
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
  await listPages(
    pages<ShownSession>(api, '/v1/sessions', { user, node, limit: String(Math.min(filter.limit, 1_000)) }),
    columns,
    filter.limit,
    output,
  );
}

/** Prints rooms that somebody is in; at most `limit`. */
export async function listRooms(api: Api, limit: number, output: Output): Promise<void> {
  const columns = [
    { title: 'room', value: (one: ShownRoom) => one.room },
    { title: 'members', value: (one: ShownRoom) => String(one.members), right: true },
  ];
  await listPages(
    pages<ShownRoom>(api, '/v1/rooms', { limit: String(Math.min(limit, 1_000)) }),
    columns,
    limit,
    output,
  );
}

type Columns<T> = readonly { readonly title: string; readonly value: (item: T) => string; readonly right?: boolean }[];

async function listPages<T extends object>(
  source: AsyncGenerator<readonly T[]>,
  columns: Columns<T>,
  limit: number,
  output: Output,
): Promise<void> {
  let shown = 0;
  for await (const page of source) {
    const items = page.slice(0, limit - shown);
    if (items.length > 0) await output.items(items, { columns, none: '' });
    shown += items.length;
    if (shown < limit) continue;
    output.note(`At most ${limit} are shown; --limit N allows more.`);
    break;
  }
  if (shown === 0 && !output.json) output.note('Nobody.');
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

/** Closes sessions: one, or all of a user. */
export async function kick(
  api: Api,
  which: { readonly session: string } | { readonly user: string },
  output: Output,
): Promise<void> {
  const at = 'session' in which ? path('v1', 'sessions', which.session) : path('v1', 'users', which.user, 'sessions');
  const result = await api.json<{ readonly closed: number }>({ method: 'DELETE', path: at });
  if (output.json) return output.object(result);
  await output.line(String(result.closed));
  output.note(
    `${result.closed} session${result.closed === 1 ? '' : 's'} closed. A token that is good lets them come back: token revoke ends that.`,
  );
}
