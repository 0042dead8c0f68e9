// Up to which id everything of a bucket is applied: all 1,024 in memory, on disk in chunks of 64, of which a transaction
// writes those that it moved.

import { crc32 } from 'node:zlib';
import { type MessageId, ZERO_ID } from '../../../protocol/ids.js';
import { BUCKETS } from '../buckets.js';
import { getId, putId, type Slab } from './layout.js';
import type { Tables } from './tables.js';

const CHUNK = 64;
const ID_BYTES = 12;
const SIZE = 4 + CHUNK * ID_BYTES;

export class Marks {
  readonly #tables: Tables;
  readonly #marks: MessageId[] = new Array<MessageId>(BUCKETS).fill(ZERO_ID);
  readonly #durable: MessageId[];
  readonly #moved = new Set<number>();

  /** @throws Error when a chunk is not what was written: without marks nothing may be applied. */
  constructor(tables: Tables) {
    this.#tables = tables;
    for (let chunk = 0; chunk < BUCKETS / CHUNK; chunk++) {
      const value = tables.marks.get(Buffer.from([chunk]));
      if (value === undefined) continue;
      const view = new DataView(value.buffer, value.byteOffset, value.length);
      if (value.length !== SIZE || view.getUint32(0, true) !== crc32(value.subarray(4))) {
        throw new Error(`marks of buckets ${chunk * CHUNK} to ${chunk * CHUNK + CHUNK - 1}`);
      }
      for (let at = 0; at < CHUNK; at++) this.#marks[chunk * CHUNK + at] = getId(view, 4 + at * ID_BYTES);
    }
    this.#durable = [...this.#marks];
  }

  /** Also what the transaction on its way moves. */
  get(bucket: number): MessageId {
    return this.#marks[bucket] ?? ZERO_ID;
  }

  durable(bucket: number): MessageId {
    return this.#durable[bucket] ?? ZERO_ID;
  }

  set(bucket: number, mark: MessageId): void {
    this.#marks[bucket] = mark;
    this.#moved.add(bucket);
  }

  /** Puts the chunks that moved. */
  build(slab: Slab): void {
    const chunks = new Set<number>();
    for (const bucket of this.#moved) chunks.add(Math.floor(bucket / CHUNK));
    for (const chunk of chunks) {
      const at = slab.reserve(SIZE);
      for (let i = 0; i < CHUNK; i++) putId(slab.view, at + 4 + i * ID_BYTES, this.get(chunk * CHUNK + i));
      const value = slab.take(at, SIZE);
      slab.view.setUint32(at, crc32(value.subarray(4)), true);
      void this.#tables.marks.put(Buffer.from([chunk]), value);
    }
  }

  committed(): void {
    for (const bucket of this.#moved) this.#durable[bucket] = this.get(bucket);
    this.#moved.clear();
  }

  failed(): void {
    for (const bucket of this.#moved) this.#marks[bucket] = this.durable(bucket);
    this.#moved.clear();
  }
}
