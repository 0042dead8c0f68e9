// What is waited for: it is away, and comes back without anybody's doing anything here.

import { ImgoError } from '../../protocol/errors.js';
import { type Clock, pause } from '../clock.js';
import type { Config } from '../config.js';
import { startProbes } from '../probes.js';

const AWAY: ReadonlySet<string> = new Set(['redis_unreachable', 'kafka_unreachable', 'node_unreachable']);

export function isAway(error: unknown): error is ImgoError {
  return error instanceof ImgoError && AWAY.has(error.code);
}

/** Between two tries to reach what is away, each of which may itself take seconds. */
export const AGAIN_MS = 1_000;

/** Waits before the next try; meanwhile probes say what is away. Ends early when `signal` aborts. */
export async function waitAway(
  code: string,
  { listen: { http }, roles }: Config,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<void> {
  const probes =
    http === undefined ? undefined : await startProbes(http, () => [code], { api: roles.includes('logic') });
  await pause(clock, AGAIN_MS, signal);
  await probes?.stop();
}
