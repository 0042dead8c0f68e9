// Looks at Redis once a second: whether it is fit to be used, how full it is, and whether it is still the same. A primary
// that was restarted or took over from another may have lost its newest writes, registrations among them; it has another
// lineage then, which is told, again and again until it was heard, so that every comet re-reads.

import type { Redis } from 'ioredis';
import { ImgoError } from '../../../protocol/errors.js';
import type { Clock, Timer } from '../../clock.js';
import type { StoreHealth } from '../buckets.js';
import type { RedisLink } from './connect.js';
import { asRedisError } from './failures.js';

export interface WatchOptions {
  readonly link: RedisLink;
  readonly clock: Clock;
  /** How often it is looked at, ms. */
  readonly everyMs?: number;
  /** Redis's time, wall ms, and when it was asked, monotonic ms: with every look. */
  readonly onTime?: ((said: number, askedAt: number) => void) | undefined;
}

/** Redis 6.2: the oldest that still gets fixes; 5.0 is what the scripts need. */
const NEEDED = [6, 2] as const;
/** Of maxmemory: above it no more pushes are accepted, so that what was accepted and cursors still fit. */
const FULL_AT = 0.9;

/** Looks without an answer after which the connection is taken for dead. */
const SILENT_LOOKS = 3;

/** What INFO says of one primary. */
interface Seen {
  readonly lineage: string;
  readonly usedBytes: number;
  /** 0: no bound. */
  readonly maxBytes: number;
  readonly durable: boolean;
}

/** Called with a lineage that was not seen before; a rejection has it called again. */
export type LineageListener = (lineage: string) => Promise<unknown>;

export class RedisWatch implements Disposable {
  readonly #link: RedisLink;
  readonly #clock: Clock;
  readonly #onTime: WatchOptions['onTime'];
  readonly #told = new Set<string>();
  readonly #listeners: LineageListener[] = [];
  #seen: readonly Seen[] = [];
  #failure: ImgoError | undefined;
  #failed = 0;
  #timer: Timer | undefined;
  #looking = false;

  private constructor({ link, clock, everyMs = 1_000, onTime }: WatchOptions) {
    this.#link = link;
    this.#clock = clock;
    this.#onTime = onTime;
    this.#timer = clock.every(everyMs, () => void this.look());
  }

  /**
   * Looks once, and goes on looking.
   * @throws ImgoError redis_unfit, redis_unreachable
   */
  static async start(options: WatchOptions): Promise<RedisWatch> {
    const seen = await lookAt(options.link);
    const watch = new RedisWatch(options);
    await watch.#lookAtTime();
    watch.#seen = seen;
    return watch;
  }

  /** What an operator should know though everything works; sentences. */
  get warnings(): readonly string[] {
    if (this.#seen.every(({ durable }) => durable)) return [];
    return [
      `Redis at ${this.#link.address} writes nothing down as it goes (appendonly no): what it has is lost when it restarts`,
    ];
  }

  health(): Omit<StoreHealth, 'counters'> {
    let usedBytes = 0;
    let freeBytes: number | undefined;
    for (const { usedBytes: used, maxBytes } of this.#seen) {
      usedBytes += used;
      if (maxBytes > 0) freeBytes = Math.min(freeBytes ?? maxBytes, Math.max(0, maxBytes * FULL_AT - used));
    }
    const failure = this.#failure;
    const full = freeBytes === 0 ? { writable: false, code: 'store_full' as const } : { writable: true };
    const state = failure === undefined ? full : { writable: false, code: 'store_failed' as const };
    return { ...state, ...(freeBytes === undefined ? {} : { freeBytes: Math.floor(freeBytes) }), usedBytes, failure };
  }

  /** The lineages of now are told to it too: they may be new since the last process looked. */
  onLineage(listener: LineageListener): void {
    this.#listeners.push(listener);
    this.#told.clear();
    void this.#tell();
  }

  /** One look. Never rejects. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      this.#seen = await lookAt(this.#link);
      await this.#lookAtTime();
      this.#failure = undefined;
      this.#failed = 0;
      await this.#tell();
    } catch (cause) {
      const error = asRedisError(cause, this.#link.address);
      this.#failure = error instanceof ImgoError ? error : new ImgoError('store_failed', {}, { cause });
      this.#failed++;
      if (this.#failed % SILENT_LOOKS === 0) this.#link.renew();
    } finally {
      this.#looking = false;
    }
  }

  async #lookAtTime(): Promise<void> {
    if (this.#onTime === undefined) return;
    const askedAt = this.#clock.monotonic();
    const [seconds, micros] = (await this.#link.command('time')) as readonly Buffer[];
    this.#onTime(Number(seconds) * 1_000 + Number(micros) / 1_000, askedAt);
  }

  async #tell(): Promise<void> {
    for (const { lineage } of this.#seen) {
      if (this.#told.has(lineage)) continue;
      this.#told.add(lineage);
      try {
        for (const listener of this.#listeners) await listener(lineage);
      } catch {
        this.#told.delete(lineage);
      }
    }
    for (const lineage of this.#told) {
      if (!this.#seen.some((one) => one.lineage === lineage)) this.#told.delete(lineage);
    }
  }

  [Symbol.dispose](): void {
    this.#clock.clear(this.#timer);
  }
}

async function lookAt(link: RedisLink): Promise<readonly Seen[]> {
  return Promise.all(link.primaries().map((server) => lookAtOne(link, server)));
}

async function lookAtOne(link: RedisLink, server: Redis): Promise<Seen> {
  const { address } = link;
  const text = String(await link.ask(server, 'info'));
  const info = new Map(text.split('\r\n').map((line) => [line.slice(0, line.indexOf(':')), afterColon(line)]));
  const unfit = (detail: string): ImgoError => new ImgoError('redis_unfit', { address, detail });
  const version = info.get('redis_version') ?? '0';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
    throw unfit(`it is ${version}, and ${NEEDED.join('.')} is the oldest that will do`);
  }
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  if (policy !== 'noeviction') throw unfit(`it may evict what it was given (maxmemory-policy ${policy})`);
  return {
    lineage: `${info.get('run_id')}:${info.get('master_replid')}`,
    usedBytes: Number(info.get('used_memory') ?? 0),
    maxBytes: Number(info.get('maxmemory') ?? 0),
    durable: info.get('aof_enabled') === '1',
  };
}

function afterColon(line: string): string {
  return line.slice(line.indexOf(':') + 1);
}
