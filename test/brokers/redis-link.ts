// A connection to Redis for tests of what engines promise, not of how long anything takes: answers are waited for as long as
// a loaded machine may need.
import { systemClock } from '../../src/server/clock.js';
import { connectRedis, type RedisLink } from '../../src/server/store/redis/connect.js';

/** What hangs. */
const HANGS_MS = 60_000;

export function patientLink(url: string): Promise<RedisLink> {
  return connectRedis({ url, clock: systemClock, connectForMs: HANGS_MS, commandTimeoutMs: HANGS_MS });
}
