// The engines: of this process (memory or lmdb), or outside of it (Redis and Kafka, apart.ts). Each is loaded only where it
// is used.

import type { Clock } from '../clock.js';
import { type Config, isEmbedded } from '../config.js';
import { createEmbeddedQueue } from '../queue/embedded.js';
import { createMemoryRegistry } from '../router/memory.js';
import type { Buckets, BucketsOptions } from '../store/buckets.js';
import type { Credentials } from '../store/credentials.js';
import type { Engines, EnginesOptions } from './engine-set.js';
import type { Undo } from './undo.js';

const QUEUE_BYTES = 64 * 1024 * 1024;
const FORGET_LOG_AFTER_MS = 30 * 86_400_000;

/** Opens all of them. `opened` takes what closes each, in order, as soon as it is open. */
export async function openEngines(
  config: Config,
  options: EnginesOptions,
  opened: (close: Undo) => void,
): Promise<Engines> {
  const { clock, version, leaseMs } = options;
  if (!isEmbedded(config)) {
    const { openApart } = await import('./apart.js');
    return openApart(config, { ...options, buckets: bucketsOptions(config), queueBytes: QUEUE_BYTES }, opened);
  }
  const { buckets, credentials, close } = await openStore(config, clock, version);
  opened(close);
  const registry = createMemoryRegistry({ clock, leaseMs });
  const queue = createEmbeddedQueue({ epoch: buckets.epoch, clock, maxWaitingBytes: QUEUE_BYTES });
  return { buckets, credentials, registry, queue };
}

interface OpenedStore {
  readonly buckets: Buckets;
  readonly credentials: Credentials;
  readonly close: Undo;
}

function bucketsOptions(config: Config): BucketsOptions {
  return {
    keep: config.delivery.keep,
    rooms: config.rooms.keep,
    devicesPerUser: config.limits.devicesPerUser,
    newDevice: config.delivery.newDevice,
    idempotency: config.delivery.idempotency,
    forgetLogAfterMs: FORGET_LOG_AFTER_MS,
  };
}

/** Opens the store of a process alone: for servers, and for `key create` without one. */
export async function openStore(config: Config, clock: Clock, version: string): Promise<OpenedStore> {
  const options = bucketsOptions(config);
  if (config.data.kind === 'memory') {
    const { createMemoryBuckets } = await import('../store/memory.js');
    const { createMemoryCredentials } = await import('../store/memory-credentials.js');
    const buckets = createMemoryBuckets(options, clock);
    return { buckets, credentials: createMemoryCredentials(), close: () => buckets[Symbol.asyncDispose]() };
  }
  const { openLmdbStore } = await import('../store/lmdb.js');
  const { reserveBytes } = config.store;
  const store = await openLmdbStore({ path: config.data.folder, options, clock, version, reserveBytes });
  return {
    buckets: store.buckets,
    credentials: store.credentials,
    close: () => store[Symbol.asyncDispose](),
  };
}
