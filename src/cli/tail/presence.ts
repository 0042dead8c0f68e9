// Who is watched: sessions as the server lists them, for the table above the events. Asked for now and then, never for more
// than are shown; what cannot be had is left out, as events go on without it.

import { ImgoError } from '../../protocol/errors.js';
import { type Api, path } from '../api.js';
import type { ShownSession } from '../presence.js';
import { nobodyText, type TailOptions } from './options.js';

/** A list never has more. */
const MOST_SESSIONS = 50;
/** Sessions that are asked for one by one. */
const MOST_SINGLE = 10;

interface Listing {
  readonly items: readonly ShownSession[];
}

/** What is known of sessions now. */
export interface Presence {
  readonly listed: readonly ShownSession[];
  /** Of those that were asked for by their ids: they have ended. */
  readonly ended: readonly string[];
}

/** The sessions that the options name, and `seen`: those whose ids came with events. */
export async function watchedSessions(
  api: Api,
  options: TailOptions,
  seen: readonly string[],
  signal: AbortSignal,
): Promise<Presence> {
  const { users, nodes, sessions } = options;
  const lists = [
    ...users.map((user) => ({ user })),
    // Of a node that is watched for one user or one session those are enough.
    ...(users.length + sessions.length > 0 ? [] : nodes.map((node) => ({ node }))),
  ].slice(0, MOST_SINGLE);
  const found = new Map<string, ShownSession>();
  const ended: string[] = [];
  for (const query of lists) {
    const search = new URLSearchParams({ ...query, limit: String(MOST_SESSIONS) });
    const { items = [] } = (await asked<Listing>(api, `/v1/sessions?${search}`, signal)) ?? {};
    for (const item of items) if (found.size < MOST_SESSIONS) found.set(item.session, item);
  }
  for (const session of [...sessions, ...seen].filter((one) => !found.has(one)).slice(0, MOST_SINGLE)) {
    const info = await asked<ShownSession>(api, path('v1', 'sessions', session), signal, () => ended.push(session));
    if (info !== undefined) found.set(session, info);
  }
  return { listed: [...found.values()], ended };
}

/** Why nobody is there, in a sentence. A room that is not there at all may be misspelled, and is told from an empty one. */
export async function nobodyThere(options: TailOptions, api: Api, signal: AbortSignal): Promise<string> {
  const [room, ...more] = options.rooms;
  if (room === undefined || more.length + options.users.length + options.sessions.length > 0)
    return nobodyText(options);
  const info = await asked<{ readonly members: number; readonly log: unknown }>(
    api,
    `/v1/rooms?room=${encodeURIComponent(room)}`,
    signal,
  );
  if (info === undefined || info.members > 0 || info.log !== null) return nobodyText(options);
  return `Room ${room} does not exist: nobody is in it, and nothing of it is kept. Waiting for somebody to join.`;
}

/** `missing`: called when the server says that there is no such thing. */
async function asked<T>(
  api: Api,
  at: string,
  signal: AbortSignal,
  missing: () => void = () => {},
): Promise<T | undefined> {
  try {
    return await api.json<T>({ path: at, signal });
  } catch (error) {
    if (error instanceof ImgoError && error.http === 404) missing();
    return undefined;
  }
}
