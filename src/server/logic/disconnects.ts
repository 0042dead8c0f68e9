// Closing sessions through their comets: a comet confirms, or its lease runs out; then, and only then, the caller is told
// that the sessions are gone.

import type { DisconnectName } from '../../protocol/disconnect.js';
import { ImgoError } from '../../protocol/errors.js';
import type { NodeId } from '../../protocol/ids.js';
import { pause } from '../clock.js';
import type { CometService, DisconnectTarget } from '../rpc/services.js';
import type { SessionRecord } from '../store/buckets.js';
import type { LogicParts } from './options.js';

/** Rounds of `confirmMs` before a comet that renews its lease and does not confirm is an error. */
const ROUNDS = 30;

type ClosingParts = Pick<LogicParts, 'registry' | 'clock' | 'options' | 'cometFor'>;

/** A comet as a session names it. */
interface Holder {
  readonly comet: NodeId;
  readonly incarnation: number;
}

/**
 * Closes what `target` names on one comet. Resolves with how many the comet closed; 0 when it is gone.
 * @throws ImgoError overloaded when the comet is alive and does not confirm.
 */
export async function disconnectOn(
  parts: ClosingParts,
  holder: Holder,
  target: DisconnectTarget,
  code: DisconnectName,
): Promise<number> {
  for (let round = 0; round < ROUNDS; round++) {
    const comet = parts.cometFor(holder.comet);
    const closed = comet === undefined ? undefined : await within(parts, comet, target, code);
    if (closed !== undefined) return closed;
    if (!(await isLive(parts, holder))) return 0;
    if (comet === undefined) await pause(parts.clock, parts.options.confirmMs);
  }
  throw new ImgoError('overloaded', { reason: `comet ${holder.comet} does not confirm` });
}

/** Closes these sessions, each comet once per target; all comets at the same time. */
export async function disconnectSessions(
  parts: ClosingParts,
  sessions: readonly SessionRecord[],
  code: DisconnectName,
  targetOf: (session: SessionRecord) => DisconnectTarget,
): Promise<number> {
  const calls = new Map<string, { holder: Holder; target: DisconnectTarget }>();
  for (const session of sessions) {
    const target = targetOf(session);
    calls.set(JSON.stringify([session.comet, session.incarnation, target]), { holder: session, target });
  }
  const closed = await Promise.all(
    [...calls.values()].map(({ holder, target }) => disconnectOn(parts, holder, target, code)),
  );
  return closed.reduce((sum, count) => sum + count, 0);
}

/** One session by its id. */
export function bySession(session: SessionRecord): DisconnectTarget {
  return { kind: 'session', session: session.session };
}

/** undefined: no answer in time, or the link failed. */
async function within(
  parts: ClosingParts,
  comet: CometService,
  target: DisconnectTarget,
  code: DisconnectName,
): Promise<number | undefined> {
  const aborter = new AbortController();
  const answer = comet.disconnect(target, code).catch(async () => {
    await pause(parts.clock, parts.options.confirmMs, aborter.signal);
    return undefined;
  });
  const late = pause(parts.clock, parts.options.confirmMs, aborter.signal).then(() => undefined);
  const closed = await Promise.race([answer, late]);
  aborter.abort();
  return closed;
}

async function isLive(parts: ClosingParts, holder: Holder): Promise<boolean> {
  const comets = await parts.registry.comets();
  return comets.some((node) => node.node === holder.comet && node.incarnation === holder.incarnation);
}
