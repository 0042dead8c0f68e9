// What keeps the store in Redis within its bounds between calls: expired entries and forgotten logs, found by going through
// the records a few at a time, and idempotency keys, bucket by bucket. Redis expires whatever nobody comes by for: this is
// for exact counts, and for memory that comes back early. Any number of nodes may do it, at any time.

import { BUCKETS } from '../buckets.js';
import { isUserLog } from '../retention.js';
import { dueAt } from './codec.js';
import type { Counts, StoreContext } from './context.js';
import { RECORD_BYTES } from './lua/log.js';
import { unpack } from './pack.js';
import { TEND, TIDY } from './scripts.js';

/**
 * How many bytes of idempotency records each bucket has. The bound is one for all buckets, so an apply is told what the
 * others leave; what they hold is known from this node's own calls and from upkeep, so it may be exceeded by what other
 * nodes add between two rounds.
 */
export class IdempotencyRoom {
  readonly #bytes = new Float64Array(BUCKETS);
  readonly #context: StoreContext;
  #total = 0;

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /** What this bucket may hold. */
  of(bucket: number): number {
    const others = this.#total - (this.#bytes[bucket] ?? 0);
    return Math.max(0, this.#context.options.idempotency.bytes - others);
  }

  /** What this bucket holds, and how many keys went since. */
  is(bucket: number, bytes: number, expired: number): void {
    this.#total += bytes - (this.#bytes[bucket] ?? 0);
    this.#bytes[bucket] = bytes;
    if (expired > 0) this.#context.counters.add('idempotency_expired', expired);
  }
}

export interface UpkeepSteps {
  /** Keys that Redis looks at in one step, a server. */
  readonly keys: number;
  /** Buckets whose idempotency keys are looked at in one step. */
  readonly buckets: number;
}

const STEPS: UpkeepSteps = { keys: 500, buckets: 32 };

export class Upkeep {
  readonly #context: StoreContext;
  readonly #room: IdempotencyRoom;
  readonly #steps: UpkeepSteps;
  /** By server: where its keys are gone on with. */
  #cursors = new Map<object, string>();
  #bucket = 0;

  constructor(context: StoreContext, room: IdempotencyRoom, steps: UpkeepSteps = STEPS) {
    this.#context = context;
    this.#room = room;
    this.#steps = steps;
  }

  /** One bounded step: a second or so apart it goes through everything again and again. */
  async step(): Promise<void> {
    await Promise.all([this.#logs(), this.tidy(this.#steps.buckets)]);
  }

  /** Learns what these many buckets hold, and forgets what expired. */
  async tidy(buckets: number): Promise<void> {
    const from = this.#bucket;
    this.#bucket = (from + buckets) % BUCKETS;
    const work = Array.from({ length: buckets }, async (_, at) => {
      const bucket = (from + at) % BUCKETS;
      const answer = await this.#context.run(TIDY, this.#context.bucketKeys(bucket));
      const [bytes, expired] = unpack<readonly [number, number]>(answer);
      this.#room.is(bucket, bytes, expired);
    });
    await Promise.all(work);
  }

  async #logs(): Promise<void> {
    const servers = this.#context.link.primaries();
    const cursors = new Map<object, string>();
    const scans = servers.map(async (server) => {
      const cursor = this.#cursors.get(server) ?? '0';
      const pattern = this.#context.recordPattern;
      const [next, keys] = await server.scan(cursor, 'MATCH', pattern, 'COUNT', this.#steps.keys);
      cursors.set(server, next);
      return keys;
    });
    const keys = (await Promise.all(scans)).flat();
    this.#cursors = cursors;
    await Promise.all(keys.map((key) => this.#tendIfDue(key)));
  }

  async #tendIfDue(key: string): Promise<void> {
    const { link, options } = this.#context;
    const packed = (await link.command('getrange', key, 0, RECORD_BYTES - 1)) as Buffer;
    const now = this.#context.about;
    const found = this.#context.recordOf(key);
    if (packed.length < RECORD_BYTES || found === undefined || dueAt(packed, options.forgetLogAfterMs) > now) return;
    const keys = this.#context.logKeys(found.log, found.bucket);
    const answer = await this.#context.run(TEND, keys, [isUserLog(found.log) ? 1 : 0]);
    const [counts, forgotten] = unpack<readonly [Counts, number]>(answer);
    this.#context.count(counts);
    if (forgotten === 1) this.#context.counters.add('logs_forgotten');
  }
}
