// From an AUTH to a session: ask logic, open the topics it joins, answer, then stream. The order is what delivery needs:
// logic registers and checks; the comet knows the session before it reads the log; nothing is pushed before the answer.

import { encodeAuthReply, encodingOf } from '../../protocol/dialect.js';
import { DISCONNECT, type DisconnectName, type DisconnectRow } from '../../protocol/disconnect.js';
import { ImgoError } from '../../protocol/errors.js';
import { ALL_LOG, type LogName, maxId, type RoomId, roomLog, userLog } from '../../protocol/ids.js';
import { encodeNativeAuthReply, type RoomState } from '../../protocol/native-json.js';
import { againOf, openBytes } from '../open-limit.js';
import type { OpenReply, OpenRequest } from '../rpc/services.js';
import type { Auth } from './auth.js';
import type { CometCore } from './core.js';
import { hearAgain } from './input.js';
import { NATIVE_HEARTBEAT_MS } from './options.js';
import type { Joined } from './outlet.js';
import { resyncOne } from './rejoin.js';
import { Aside, Phase, type Session } from './session.js';
import type { Topic } from './topic.js';
import { LogFollower } from './user-log.js';

/** Opens the session; its input waits meanwhile. Every failure ends in a close with a code. */
export function openSession(core: CometCore, session: Session, auth: Auth): void {
  session.phase = Phase.OPENING;
  session.busy = true;
  session.deaf = true;
  session.dialect = auth.dialect;
  session.encoding = encodingOf(auth.dialect, session.transport);
  const until = core.clock.monotonic() + core.options.limits.handshakeMs;
  const order = { bytes: openBytes(auth), until, isGone: () => session.closed };
  core.openPace.begin(() => {
    if (session.closed) return;
    core.openLimit
      .run(order, () => open(core, session, auth, until))
      .catch((error: unknown) => {
        count(core, session, error);
        if (!session.closed) session.close(refusal(error));
      });
  });
}

async function open(core: CometCore, session: Session, auth: Auth, until: number): Promise<void> {
  const { node, incarnation, seq } = core.identity();
  const ticket = core.unclaimed.begin();
  const { resyncs } = core.counters;
  const request: OpenRequest = {
    credential: auth.credential,
    comet: node,
    incarnation,
    seq,
    dialect: auth.dialect,
    transport: session.transport,
    peer: session.peer,
    device: auth.device,
    cursor: auth.cursor,
    rooms: auth.rooms,
    withinMs: Math.max(1, until - core.clock.monotonic()),
  };
  const open = core.opens.begin();
  core.asked.set(session, request);
  let reply: OpenReply;
  try {
    reply = await core.logic.open(request);
  } catch (error) {
    core.unclaimed.end(ticket, undefined);
    core.opens.end(open, undefined);
    throw error;
  } finally {
    core.asked.delete(session);
  }
  const log = reply.user === undefined ? undefined : userLog(reply.user);
  const { notified, mustRead } = core.unclaimed.end(ticket, log);
  const doomed = core.opens.end(open, reply);
  session.handle = reply.handle;
  session.log =
    log === undefined ? undefined : new LogFollower(log, reply.start, maxId(reply.head, notified ?? reply.head));
  session.drainedTo = session.taken = session.reportedTaken = session.reportedDrained = reply.start;
  if (session.closed) {
    core.release(session);
    return;
  }
  if (mustRead && session.log !== undefined) session.log.stale = true;
  session.session = reply.session;
  if (doomed !== undefined) {
    session.close(DISCONNECT[doomed]);
    return;
  }
  session.sentBefore = reply.sentBefore;
  session.expiresAt = reply.expiresAt;
  session.accepts = auth.accepts === undefined ? undefined : core.accepts.of(auth.accepts);
  core.add(session);
  if (!core.fence.open || core.fence.incarnation !== incarnation) {
    session.close(DISCONNECT.fenced);
    return;
  }
  await start(core, session, auth, reply);
  // The router may have forgotten it between its registration and now.
  if (core.counters.resyncs !== resyncs && !session.closed) await resyncOne(core, session);
}

/** Joins, answers, streams. */
async function start(core: CometCore, session: Session, auth: Auth, reply: OpenReply): Promise<void> {
  const states = new Map<RoomId, RoomState>();
  for (const { room, code } of reply.refusedRooms) states.set(room, { error: code });
  const max = core.options.limits.roomsPerSession;
  for (const room of reply.rooms.slice(max)) states.set(room, { error: 'too_many_rooms' });
  const rooms = reply.rooms.slice(0, max);
  let all: Joined | undefined;
  const logs: LogName[] = [ALL_LOG, ...rooms.map((room) => roomLog(room))];
  const acquired = logs.map((log) => core.topics.acquire(log));
  try {
    const waits = acquired.some((topic) => topic instanceof Promise);
    const topics = waits ? await Promise.all(acquired) : (acquired as Topic[]);
    // Until the answer is written nothing else may be: a session that opens counts as held.
    session.held = true;
    for (let at = 0; at < topics.length; at++) {
      const topic = topics[at] as Topic;
      const room = rooms[at - 1];
      const since = room === undefined ? auth.all : auth.since?.get(room);
      if (session.closed) return;
      if (since === undefined) topic.join(session);
      const joined = since === undefined ? undefined : await topic.joinAfter(session, since);
      const state = joined ?? { head: topic.head, recovered: since === undefined };
      if (room === undefined) all = state;
      else states.set(room, state);
    }
    if (session.closed) return;
    session.held = false;
    answer(core, session, auth, reply, states, all);
    if (!session.held) session.resume();
    session.busy = false;
    hearAgain(session);
  } finally {
    for (const log of logs) core.topics.release(log);
  }
}

function answer(
  core: CometCore,
  session: Session,
  auth: Auth,
  reply: OpenReply,
  rooms: ReadonlyMap<RoomId, RoomState>,
  all: Joined | undefined,
): void {
  const body =
    auth.dialect === 'native' && reply.user !== undefined
      ? encodeNativeAuthReply({
          session: reply.session,
          user: reply.user,
          device: reply.device === '' ? undefined : reply.device,
          head: reply.head,
          heartbeatMs: Math.min(NATIVE_HEARTBEAT_MS, core.options.limits.idleMs / 2),
          rooms,
          all,
        })
      : undefined;
  session.phase = Phase.OPEN;
  core.opened(session);
  const paced = core.options.fanout.oneFramePerWrite.some((listener) => listener === session.listener);
  if (paced && session.transport === 'tcp' && auth.dialect !== 'native') {
    session.pace = [];
    session.aside |= Aside.PACED;
  }
  session.write(encodeAuthReply(auth.dialect, session.transport, auth.ver, auth.seq, body));
}

/**
 * A token that was refused is counted by how its connection was closed. Only a limit says when to come again: what failed before
 * anything was done, because the store does not answer, has failed all the same.
 */
function count(core: CometCore, session: Session, error: unknown): void {
  if (error instanceof ImgoError && againOf(error) !== undefined)
    core.counters.count(session.closed ? 'dropped_open' : 'refused_open');
  else if (!(error instanceof ImgoError && error.code === 'token_refused')) core.counters.count('failed_open');
}

/** Which row of the disconnect table a failed open is; where there is a time for it to come again, with that. */
function refusal(error: unknown): DisconnectRow {
  if (!(error instanceof ImgoError)) return DISCONNECT.unavailable;
  const reconnect = againOf(error);
  if (reconnect !== undefined) return { ...DISCONNECT.unavailable, reconnect };
  const named = error.details.disconnect;
  if (typeof named === 'string' && Object.hasOwn(DISCONNECT, named)) return DISCONNECT[named as DisconnectName];
  if (error.code === 'token_refused') return DISCONNECT.token_refused;
  return DISCONNECT.unavailable;
}
