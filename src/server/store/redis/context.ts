// What the parts of the store in Redis share: the connection, the names of keys, the options as scripts take them, counters.
// All keys of a bucket have its hash tag, so one script may touch them together, on a cluster as well.

import { type LogName, type MessageId, userLog } from '../../../protocol/ids.js';
import type { Clock } from '../../clock.js';
import { bucketOf, fnv1a } from '../bucket.js';
import { BUCKETS, type BucketsOptions, type SessionRecord } from '../buckets.js';
import { Counters } from '../counters.js';
import type { Argument, RedisLink } from './connect.js';
import { Packer } from './pack.js';
import type { Script } from './script.js';

/** [acknowledged, expired, over the cap, devices forgotten], as scripts count them. */
export type Counts = readonly [number, number, number, number];

/** Whose sessions are one value: a user, or a session that has none. */
export type Owner = Pick<SessionRecord, 'session' | 'user'>;

export class StoreContext {
  readonly link: RedisLink;
  readonly prefix: string;
  readonly options: BucketsOptions;
  readonly epoch: number;
  readonly clock: Clock;
  readonly counters = new Counters();
  readonly #packedOptions: Buffer;
  readonly #now: (() => number) | undefined;
  readonly #pending = new Set<Promise<unknown>>();

  constructor(parts: {
    readonly link: RedisLink;
    readonly prefix: string;
    readonly options: BucketsOptions;
    readonly epoch: number;
    readonly clock: Clock;
    readonly now?: (() => number) | undefined;
  }) {
    this.link = parts.link;
    this.prefix = parts.prefix;
    this.options = parts.options;
    this.epoch = parts.epoch;
    this.clock = parts.clock;
    this.#now = parts.now;
    const { keep, rooms, devicesPerUser, newDevice, idempotency, forgetLogAfterMs } = parts.options;
    const packer = new Packer().array(10);
    for (const { messages, bytes, ageMs } of [keep, rooms]) packer.number(messages).number(bytes).number(ageMs);
    packer.number(forgetLogAfterMs).number(idempotency.forMs);
    this.#packedOptions = packer
      .number(devicesPerUser)
      .number(newDevice === 'kept' ? 1 : 0)
      .take();
  }

  /** meta, idempotent, expiring */
  bucketKeys(bucket: number): [string, string, string] {
    const tag = this.#tag(bucket);
    return [`${tag}m`, `${tag}k`, `${tag}q`];
  }

  /** record, entries, sessions */
  logKeys(log: LogName, bucket = bucketOf(log)): [string, string, string] {
    const tag = this.#tag(bucket);
    return [`${tag}l:${log}`, `${tag}e:${log}`, `${tag}s:${log}`];
  }

  /** index, comets */
  indexKeys(bucket: number): [string, string] {
    const tag = this.#tag(bucket);
    return [`${tag}x`, `${tag}c`];
  }

  /** Of a record that was put aside. */
  asideKey(bucket: number, { epoch, n }: MessageId): string {
    return `${this.#tag(bucket)}a:${epoch}-${n}`;
  }

  /** What a session script touches: sessions, index, comets, record, entries, meta. */
  sessionKeys({ session, user }: Owner): string[] {
    const log = user === undefined ? (`session:${session}` as LogName) : userLog(user);
    const bucket = user === undefined ? fnv1a(log) % BUCKETS : bucketOf(log);
    const [record, entries, sessions] = this.logKeys(log, bucket);
    const [meta] = this.bucketKeys(bucket);
    return [sessions, ...this.indexKeys(bucket), record, entries, meta];
  }

  /** Records of all logs, as SCAN takes it. */
  get recordPattern(): string {
    return `${this.prefix.replace(/[*?[\]\\^]/g, '\\$&')}{b*}l:*`;
  }

  /** The log and the bucket of a record's key. */
  recordOf(key: string): { readonly log: LogName; readonly bucket: number } | undefined {
    const match = /^\{b(\d+)\}l:(.*)$/s.exec(key.slice(this.prefix.length));
    return match === null ? undefined : { log: match[2] as LogName, bucket: Number(match[1]) };
  }

  run(script: Script, keys: readonly string[], args: readonly Argument[] = []): Promise<unknown> {
    return this.#track(this.link.run(script, keys, [this.time, this.#packedOptions, ...args]));
  }

  /** 0: Redis's own. */
  get time(): number {
    return this.#now?.() ?? 0;
  }

  /** About the same on this side, wall ms: for what is only read. */
  get about(): number {
    return this.#now?.() ?? this.clock.now();
  }

  /** Resolves when everything asked for before is answered, or will never be. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#pending]);
  }

  count([acknowledged, expired, capped, forgotten]: Counts): void {
    if (acknowledged > 0) this.counters.add('trimmed_acknowledged', acknowledged);
    if (expired > 0) this.counters.add('trimmed_expired', expired);
    if (capped > 0) this.counters.add('trimmed_cap', capped);
    if (forgotten > 0) this.counters.add('devices_forgotten', forgotten);
  }

  #track<T>(call: Promise<T>): Promise<T> {
    this.#pending.add(call);
    const done = (): void => {
      this.#pending.delete(call);
    };
    call.then(done, done);
    return call;
  }

  #tag(bucket: number): string {
    return `${this.prefix}{b${bucket}}`;
  }
}
