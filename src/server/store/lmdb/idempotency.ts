// Which id an idempotency key got: bounded in bytes, forgotten after a day, oldest first. Scope: API key and log.

import { crc32 } from 'node:zlib';
import type { MessageId } from '../../../protocol/ids.js';
import type { BucketsOptions, Idempotency } from '../buckets.js';
import { getId, putId, type Slab } from './layout.js';
import type { Tables } from './tables.js';

const HEADER = 24;
/** What a record costs beside its bytes, in both tables. */
const OVERHEAD = 80;
const TOTAL_KEY = Buffer.from('idempotency');
const NOTHING = Buffer.from([0]);

export interface Idempotent {
  readonly id: MessageId;
  readonly bodyHash: string;
  readonly expiresAt: number;
}

export class IdempotencyTable {
  readonly #tables: Tables;
  readonly #options: BucketsOptions['idempotency'];
  /** Written in the transaction that is being built or on its way. */
  readonly #pending = new Map<string, Idempotent>();
  #bytes: number;
  #durableBytes: number;

  constructor(tables: Tables, options: BucketsOptions['idempotency']) {
    this.#tables = tables;
    this.#options = options;
    const total = tables.meta.get(TOTAL_KEY)?.readDoubleLE(0) ?? 0;
    this.#bytes = total >= 0 && Number.isFinite(total) ? total : 0;
    this.#durableBytes = this.#bytes;
  }

  get bytes(): number {
    return this.#durableBytes;
  }

  static key(log: string, { scope, key }: Pick<Idempotency, 'scope' | 'key'>): string {
    return `${scope}\0${log}\0${key}`;
  }

  /** The live record of a key. */
  find(key: string, now: number): Idempotent | undefined {
    const found = this.#pending.get(key) ?? this.#stored(Buffer.from(key, 'utf8'));
    return found !== undefined && found.expiresAt > now ? found : undefined;
  }

  /** The same, of what is durable. */
  durable(key: string, now: number): Idempotent | undefined {
    return this.#pending.has(key) ? undefined : this.find(key, now);
  }

  /** Remembers the key in the transaction that is being built. False: there is no room. */
  put(slab: Slab, key: string, id: MessageId, bodyHash: string, now: number): boolean {
    const name = Buffer.from(key, 'utf8');
    const cost = costOf(name, bodyHash.length);
    const replaced = this.#tables.idempotency.get(name);
    const freed = replaced === undefined ? 0 : costOf(name, replaced.length - HEADER);
    if (this.#bytes + cost - freed > this.#options.bytes) return false;
    const expiresAt = now + this.#options.forMs;
    const size = HEADER + bodyHash.length;
    const at = slab.reserve(size);
    putId(slab.view, at + 4, id);
    slab.view.setFloat64(at + 16, expiresAt, true);
    slab.bytes.write(bodyHash, at + HEADER, 'latin1');
    const value = slab.take(at, size);
    slab.view.setUint32(at, crc32(value.subarray(4)), true);
    void this.#tables.idempotency.put(name, value);
    void this.#tables.expiry.put(expiryKey(expiresAt, name), NOTHING);
    this.#pending.set(key, { id, bodyHash, expiresAt });
    this.#bytes += cost - freed;
    return true;
  }

  /** Forgets up to `limit` records that expired, in the transaction that is being built. Returns how many. */
  expire(now: number, limit: number): number {
    let gone = 0;
    for (const key of this.#tables.expiry.getKeys({
      start: Buffer.from([0]),
      end: expiryKey(now, Buffer.alloc(0)),
      limit,
    })) {
      const name = key.subarray(8);
      void this.#tables.expiry.remove(key);
      const value = this.#tables.idempotency.get(name);
      const record = value === undefined ? undefined : decode(value);
      // A key that was used again after its first life has another expiry, and another entry there.
      if (value === undefined || (record !== undefined && record.expiresAt > now)) continue;
      if (this.#pending.has(name.toString('utf8'))) continue;
      void this.#tables.idempotency.remove(name);
      this.#bytes -= costOf(name, value.length - HEADER);
      gone += 1;
    }
    return gone;
  }

  /** Writes the total, if it changed. */
  finish(slab: Slab): void {
    if (this.#bytes === this.#durableBytes) return;
    const at = slab.reserve(8);
    slab.view.setFloat64(at, this.#bytes, true);
    void this.#tables.meta.put(TOTAL_KEY, slab.take(at, 8));
  }

  committed(): void {
    this.#pending.clear();
    this.#durableBytes = this.#bytes;
  }

  failed(): void {
    this.#pending.clear();
    this.#bytes = this.#durableBytes;
  }

  #stored(name: Buffer): Idempotent | undefined {
    const value = this.#tables.idempotency.get(name);
    return value === undefined ? undefined : decode(value);
  }
}

function costOf(name: Buffer, hashBytes: number): number {
  return 2 * name.length + hashBytes + HEADER + OVERHEAD;
}

function expiryKey(expiresAt: number, name: Buffer): Buffer {
  const key = Buffer.allocUnsafe(8 + name.length);
  key.writeDoubleBE(expiresAt, 0);
  key.set(name, 8);
  return key;
}

function decode(value: Buffer): Idempotent | undefined {
  if (value.length < HEADER) return undefined;
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  if (view.getUint32(0, true) !== crc32(value.subarray(4))) return undefined;
  return { id: getId(view, 4), expiresAt: view.getFloat64(16, true), bodyHash: value.toString('latin1', HEADER) };
}
