// What nobody waits for: retention, credentials that ended, sessions of comets that are gone.

import type { Logger } from 'pino';
import type { NodeId } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import { Failures } from '../failures.js';
import type { Engines } from './engine-set.js';

const MAINTAIN_MS = 1_000;
const CREDENTIALS_KEPT_MS = 30 * 86_400_000;

/** Begins; `clear` of what it returns ends it. `alone`: comets of this process are given up by whoever starts them. */
export function keepUp(
  { buckets, credentials, registry }: Engines,
  clock: Clock,
  log: Logger,
  alone: boolean,
): ReturnType<Clock['every']> {
  const failures = new Failures(clock, log, 'upkeep of the store');
  let busy = false;
  let turns = 0;
  /** Comets whose sessions were given up, by the incarnation that is kept. */
  const swept = new Map<NodeId, number>();

  /** For look-ups their sessions are gone with the lease; this takes them out of the store. */
  async function sweep(): Promise<void> {
    const nodes = (await registry.nodes()).filter(({ roles }) => roles.includes('comet'));
    for (const { node, incarnation, state } of nodes) {
      // Of one that is gone, only what it had until then: it may be joining again while its sessions are given up.
      const keep = state === 'gone' ? incarnation + 1 : incarnation;
      if (swept.get(node) === keep) continue;
      // One that is there already when this process starts has been looked after by the others.
      if (state === 'gone' || swept.has(node)) {
        const sessions = await buckets.dropComet(node, keep);
        if (sessions > 0) log.warn({ node, sessions }, 'sessions of a comet that is gone were given up');
      }
      swept.set(node, keep);
    }
    const listed = new Set(nodes.map(({ node }) => node));
    for (const node of swept.keys()) if (!listed.has(node)) swept.delete(node);
  }

  return clock.every(MAINTAIN_MS, () => {
    if (busy) return;
    busy = true;
    turns++;
    const work: Promise<unknown>[] = [buckets.maintain()];
    if (turns % 3_600 === 0) work.push(credentials.forget(clock.now() - CREDENTIALS_KEPT_MS));
    if (!alone) work.push(sweep());
    Promise.all(work)
      .then(() => failures.over())
      .catch((error: unknown) => failures.report(error))
      .finally(() => {
        busy = false;
      });
  });
}
