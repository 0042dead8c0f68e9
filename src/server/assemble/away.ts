// What is waited for: it is away, and comes back without anybody's doing anything here.

import { ImgoError } from '../../protocol/errors.js';

const AWAY: ReadonlySet<string> = new Set(['redis_unreachable', 'kafka_unreachable', 'node_unreachable']);

export function isAway(error: unknown): error is ImgoError {
  return error instanceof ImgoError && AWAY.has(error.code);
}
