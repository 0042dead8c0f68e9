// Which sessions are slow, and what is shown of them: looked up when somebody asks, in bounded time, whatever their number.
import { ALL_LOG, type LogName, ZERO_ID } from '../../protocol/ids.js';
import type { SlowSession } from '../rpc/services.js';
import type { CometCore } from './core.js';
import type { Session } from './session.js';

/** How many are looked at for one answer: those that are held the longest. */
const MAX_LOOKED_AT = 2_048;
/** The slowest sessions of a comet, as far behind as they are; where fewer lag, others stand for all the rest. */
export function slowest(core: CometCore, most: number, search: string | undefined): readonly SlowSession[] {
  const found = new Map<Session, SlowSession>();
  const now = core.clock.monotonic();
  const take = (sessions: Iterable<Session>, enough: number): void => {
    let looked = 0;
    for (const session of sessions) {
      if (found.size >= enough || ++looked > MAX_LOOKED_AT) return;
      if (found.has(session) || !matches(session, search)) continue;
      const shown = show(core, session, now);
      if (shown !== undefined) found.set(session, shown);
    }
  };
  take(core.load.held, MAX_LOOKED_AT);
  take(core.sessions.values(), most);
  return [...found.values()].sort((a, b) => b.lagBytes - a.lagBytes || b.heldMs - a.heldMs).slice(0, most);
}

function matches({ session, handle }: Session, search: string | undefined): boolean {
  return search === undefined || session.includes(search) || handle?.user?.includes(search) === true;
}

function show(core: CometCore, session: Session, now: number): SlowSession | undefined {
  const { handle, log, dialect, transport } = session;
  if (handle === undefined || session.closed) return undefined;
  const { maxBytes, policy } = core.options.limits.lag;
  const since = core.load.held.since(session);
  const heldMs = since === undefined ? 0 : now - since;
  let most = 0;
  let at: LogName | undefined = log?.log;
  let cursor = log?.last ?? ZERO_ID;
  let head = log?.target ?? ZERO_ID;
  let lagBytes = session.lagBytes + session.socket.writableLength;
  // What a user's log keeps is told by no position in a ring: only who is closed for lagging loses anything at a known time.
  let gapInMs = policy === 'disconnect' ? untilMs(session.lagBytes, maxBytes, heldMs) : undefined;
  for (const { log: name } of session.topics) {
    const topic = core.topics.get(name);
    const bytes = topic?.lagBytes(session) ?? 0;
    if (topic === undefined || bytes === 0) continue;
    lagBytes += bytes;
    const loses = untilMs(bytes, Math.min(maxBytes, core.topicContext.options.ringBytes), heldMs);
    if (loses !== undefined && (gapInMs === undefined || loses < gapInMs)) gapInMs = loses;
    if (bytes <= most || (name === ALL_LOG && most > 0)) continue;
    most = bytes;
    at = name;
    cursor = topic.position(session);
    head = topic.head;
  }
  return {
    session: session.session,
    user: handle.user,
    dialect,
    transport,
    since: handle.since,
    log: at,
    cursor,
    head,
    lagBytes,
    heldMs,
    gapInMs,
  };
}

/** When something that grew to `bytes` in `inMs` reaches its bound. */
function untilMs(bytes: number, bound: number, inMs: number): number | undefined {
  if (bytes <= 0 || inMs <= 0) return undefined;
  return Math.max(0, (inMs * (bound - bytes)) / bytes);
}
