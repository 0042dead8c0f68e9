/**
 * The store in Redis, for roles apart: Buckets and Credentials over one connection, and what watches it. Opened with the
 * epoch of the queue's topic (redis/history.ts). Keys: a bucket's have the hash tag {b0} to {b1023}, everything else is in
 * slots of its own, so it runs on one server, behind Sentinels and on a cluster alike.
 */
import { type MessageId, ZERO_ID } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import type { Buckets, BucketsOptions } from './buckets.js';
import { BUCKETS } from './buckets.js';
import type { Credentials } from './credentials.js';
import { Asides } from './redis/asides.js';
import { RedisBuckets } from './redis/buckets.js';
import type { RedisLink } from './redis/connect.js';
import { StoreContext } from './redis/context.js';
import { RedisCredentials } from './redis/credentials.js';
import { passOver } from './redis/loss.js';
import { IdempotencyRoom, Upkeep, type UpkeepSteps } from './redis/upkeep.js';
import type { RedisWatch } from './redis/watch.js';

export interface RedisStoreOptions {
  readonly link: RedisLink;
  readonly watch: RedisWatch;
  /** What all keys begin with: deployments that share a Redis have different ones. */
  readonly prefix: string;
  readonly options: BucketsOptions;
  /** Of the queue's ids. */
  readonly epoch: number;
  readonly clock: Clock;
  /** For tests that let time pass: wall ms, in place of Redis's own time. */
  readonly now?: () => number;
  readonly upkeep?: UpkeepSteps;
}

export interface RedisStore {
  readonly buckets: Buckets;
  readonly credentials: Credentials;
  /** Of records that it cannot keep. */
  readonly asides: Asides;
  /**
   * What was accepted for logs of these buckets, up to `upTo`, and not applied yet, will never be: readers are told a gap,
   * and the marks move over it. Resolves with how many logs it was.
   */
  lose(buckets: readonly number[], upTo: MessageId): Promise<number>;
}

/** Reads what idempotency keys take, and is ready. The connection and the watch stay the caller's. */
export async function openRedisStore(parts: RedisStoreOptions): Promise<RedisStore> {
  const context = new StoreContext(parts);
  const room = new IdempotencyRoom(context);
  const upkeep = new Upkeep(context, room, parts.upkeep);
  await upkeep.tidy(BUCKETS);
  const buckets = new RedisBuckets({ context, room, upkeep, memory: () => parts.watch.health() });
  const lose = async (lost: readonly number[], upTo: MessageId): Promise<number> => {
    const logs = await passOver(context, lost, upTo);
    await buckets.apply(lost.map((bucket) => ({ bucket, lastSeen: ZERO_ID, records: [], upTo })));
    return logs;
  };
  return { buckets, credentials: new RedisCredentials(parts.link, parts.prefix), asides: new Asides(context), lose };
}
