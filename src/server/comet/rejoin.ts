// What a comet does when its lease was lost, or when something was dropped for it: register again, check tokens again, read
// heads again, in batches that leave the event loop to others. Until it is registered again it writes nothing.

import { DISCONNECT } from '../../protocol/disconnect.js';
import { pause } from '../clock.js';
import type { SessionHandle } from '../rpc/services.js';
import type { CometCore } from './core.js';
import type { Session } from './session.js';

const BATCH = 250;
const PAUSE_MS = 5;
const RETRY_MS = 500;

/** Sessions in batches, as they are when their turn comes. Ids are kept meanwhile, not sessions that have closed. */
function* batches(core: CometCore): IterableIterator<Session[]> {
  const ids = [...core.sessions.keys()];
  for (let from = 0; from < ids.length; from += BATCH) {
    yield ids.slice(from, from + BATCH).flatMap((id) => core.sessions.get(id) ?? []);
  }
}

/** Every topic and every user log is read from where it is. Resolves when all reads are under way or remembered. */
export async function rereadHeads(core: CometCore): Promise<void> {
  await Promise.all([...core.topics].map((topic) => topic.resync()));
  for (const batch of batches(core)) {
    for (const session of batch) {
      session.log?.recheck(core.follow, session);
      if (!session.held && !session.closed) core.ready(session);
    }
    await pause(core.clock, PAUSE_MS);
  }
}

/** Closes what must not go on: expired, revoked, kicked. Throws what logic throws. */
export async function revalidate(core: CometCore, sessions: readonly Session[]): Promise<void> {
  const claims = sessions.flatMap(({ handle }) =>
    handle === undefined ? [] : { session: handle.session, user: handle.user, token: handle.token },
  );
  for (const { session, code } of await core.logic.revalidate(claims)) {
    core.sessions.get(session)?.close(DISCONNECT[code]);
  }
}

/**
 * All sessions, in batches that are spread over `withinMs`: a million sessions are as much work at any moment as in any
 * other. A failure is counted and the next round tries again.
 */
export async function revalidateAll(core: CometCore, withinMs: number): Promise<void> {
  const until = core.clock.monotonic() + withinMs;
  let left = Math.ceil(core.sessions.size / BATCH);
  for (const batch of batches(core)) {
    try {
      await revalidate(core, batch);
    } catch {
      core.counters.count('failed_revalidate');
    }
    const rest = Math.max(0, until - core.clock.monotonic());
    await pause(core.clock, Math.max(PAUSE_MS, rest / Math.max(1, left--)));
  }
}

/**
 * Something was lost or dropped on the way to this comet: the router may have forgotten its sessions and topics as well, so
 * they are registered again before heads are read. Throws what logic throws; nothing is answered for then.
 */
export async function resync(core: CometCore): Promise<void> {
  for (const batch of batches(core)) {
    await register(core, batch);
    // A revocation that came while a session was not registered did not find it.
    await revalidate(core, batch);
    await pause(core.clock, PAUSE_MS);
  }
  await core.topics.reregister();
  await rereadHeads(core);
}

/**
 * A session whose open was answered before a resync, and that came in after it: the same for it alone. Its log is read
 * from where it is, because nothing may have been notified meanwhile. Throws what logic throws.
 */
export async function resyncOne(core: CometCore, session: Session): Promise<void> {
  await register(core, [session]);
  await revalidate(core, [session]);
  session.log?.recheck(core.follow, session);
}

/**
 * After a new incarnation (the fence is suspended): sessions and topics are registered under it and tokens checked; then
 * the fence opens and heads are read. Stops when `stillCurrent` says that the lease was lost once more.
 */
export async function rejoin(core: CometCore, stillCurrent: () => boolean): Promise<void> {
  core.counters.fences++;
  for (const batch of batches(core)) {
    for (;;) {
      if (!stillCurrent()) return;
      try {
        await register(core, batch);
        await revalidate(core, batch);
        break;
      } catch {
        core.counters.count('failed_reregister');
        await pause(core.clock, RETRY_MS);
      }
    }
    await pause(core.clock, PAUSE_MS);
  }
  for (;;) {
    if (!stillCurrent()) return;
    try {
      await core.topics.reregister();
      break;
    } catch {
      await pause(core.clock, RETRY_MS);
    }
  }
  if (!stillCurrent()) return;
  core.fence.suspended = false;
  await rereadHeads(core);
}

async function register(core: CometCore, batch: readonly Session[]): Promise<void> {
  const handles: SessionHandle[] = [];
  for (const session of batch) {
    if (session.closed || session.handle === undefined) continue;
    const { incarnation, seq } = core.identity();
    session.handle = { ...session.handle, incarnation, seq };
    handles.push(session.handle);
  }
  await core.logic.reregister(handles);
}
