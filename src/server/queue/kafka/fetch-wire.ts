// Kafka's Fetch request, version 11, written and read here as bytes, in one pass: kafkajs makes an object of each field of
// each partition, whether it has anything or not. Sources of the layouts: as in wire.ts.

export const FETCH = 1;
export const FETCH_VERSION = 11;

/** Of a request: everything but its partitions. */
const FIXED_BYTES = 4 + 4 + 4 + 4 + 1 + 4 + 4 + 4 + 2 + 4 + 4 + 2;
const PARTITION_BYTES = 28;
/** Of a record batch: from its first offset to its number of records. */
const BATCH_BYTES = 61;
/** Offset, and the length of what follows: before every batch. */
const BEFORE_BATCH = 12;
/** Attributes of a batch that is compressed, in a transaction or of control records: never one that the project wrote. */
const FOREIGN = 0x37;

export interface FetchRequest {
  readonly topic: string;
  readonly partitions: readonly {
    readonly partition: number;
    /** Decimal. */
    readonly fetchOffset: string;
    readonly maxBytes: number;
  }[];
  /** How long the broker waits for `minBytes`, ms. */
  readonly maxWaitTime: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly isolationLevel: number;
}

/** One topic, outside of any session. */
export function encodeFetch(request: FetchRequest): Buffer {
  const { topic, partitions, maxWaitTime, minBytes, maxBytes, isolationLevel } = request;
  const name = Buffer.from(topic);
  const bytes = Buffer.allocUnsafe(FIXED_BYTES + name.length + partitions.length * PARTITION_BYTES);
  let at = bytes.writeInt32BE(-1, 0);
  at = bytes.writeInt32BE(maxWaitTime, at);
  at = bytes.writeInt32BE(minBytes, at);
  at = bytes.writeInt32BE(maxBytes, at);
  at = bytes.writeInt8(isolationLevel, at);
  at = bytes.writeInt32BE(0, at);
  at = bytes.writeInt32BE(-1, at);
  at = bytes.writeInt32BE(1, at);
  at = bytes.writeInt16BE(name.length, at);
  at += name.copy(bytes, at);
  at = bytes.writeInt32BE(partitions.length, at);
  for (const { partition, fetchOffset, maxBytes: most } of partitions) {
    at = bytes.writeInt32BE(partition, at);
    at = bytes.writeInt32BE(-1, at);
    at = writeOffset(bytes, Number(fetchOffset), at);
    at = writeOffset(bytes, -1, at);
    at = bytes.writeInt32BE(most, at);
  }
  at = bytes.writeInt32BE(0, at);
  bytes.writeInt16BE(0, at);
  return bytes;
}

/** As kafkajs hands them out. */
export interface FetchedRecord {
  /** Decimal. */
  readonly offset: string;
  readonly value: Buffer | null;
}

export interface FetchedPartition {
  readonly partition: number;
  readonly errorCode: number;
  /** Decimal. */
  readonly highWatermark: string;
  readonly abortedTransactions: readonly { readonly producerId: string; readonly firstOffset: string }[];
  readonly preferredReadReplica: number;
  /** Undefined: not what the project writes; `records` has it as it is. */
  readonly messages: readonly FetchedRecord[] | undefined;
  readonly records: Buffer;
}

export interface FetchAnswer {
  readonly throttleMs: number;
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly FetchedPartition[] }[];
}

/** Partitions that have nothing and are well are left out. */
export function decodeFetch(bytes: Buffer): FetchAnswer {
  const throttleMs = bytes.readInt32BE(0);
  const topics: FetchAnswer['topics'][number][] = [];
  let at = 14;
  for (let left = bytes.readInt32BE(10); left > 0; left--) {
    const length = bytes.readInt16BE(at);
    const topic = bytes.toString('utf8', at + 2, at + 2 + length);
    at += 2 + length;
    const partitions: FetchedPartition[] = [];
    let some = bytes.readInt32BE(at);
    at += 4;
    for (; some > 0; some--) {
      const start = at;
      const aborted = Math.max(0, bytes.readInt32BE(at + 30));
      at += 34 + 16 * aborted;
      const size = Math.max(0, bytes.readInt32BE(at + 4));
      const records = bytes.subarray(at + 8, at + 8 + size);
      const error = bytes.readInt16BE(start + 4);
      if (size > 0 || error !== 0) partitions.push(partitionOf(bytes, start, at, aborted, records));
      at += 8 + size;
    }
    if (partitions.length > 0) topics.push({ topic, partitions });
  }
  return { throttleMs, topics };
}

function partitionOf(bytes: Buffer, start: number, end: number, aborted: number, records: Buffer): FetchedPartition {
  const abortedTransactions = Array.from({ length: aborted }, (_, index) => {
    const at = start + 34 + 16 * index;
    return { producerId: String(bytes.readBigInt64BE(at)), firstOffset: String(bytes.readBigInt64BE(at + 8)) };
  });
  return {
    partition: bytes.readInt32BE(start),
    errorCode: bytes.readInt16BE(start + 4),
    highWatermark: String(readOffset(bytes, start + 6)),
    abortedTransactions,
    preferredReadReplica: bytes.readInt32BE(end),
    messages: recordsOf(records),
    records,
  };
}

/** Of all batches that are there as a whole: the last one may be cut. Undefined: one is not as the project writes them. */
function recordsOf(bytes: Buffer): readonly FetchedRecord[] | undefined {
  const records: FetchedRecord[] = [];
  for (let start = 0; start + BATCH_BYTES <= bytes.length; ) {
    if (bytes[start + 16] !== 2 || (bytes.readInt16BE(start + 21) & FOREIGN) !== 0) return undefined;
    const end = start + BEFORE_BATCH + bytes.readInt32BE(start + 8);
    if (end > bytes.length) break;
    const first = readOffset(bytes, start);
    const reader = new VarintReader(bytes, start + BATCH_BYTES);
    for (let left = bytes.readInt32BE(start + 57); left > 0; left--) records.push(reader.record(first));
    start = end;
  }
  return records;
}

class VarintReader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** Key, time and headers say nothing here. */
  record(first: number): FetchedRecord {
    const length = this.#signed();
    const end = this.#at + length;
    this.#at++;
    this.#signed();
    const offset = first + this.#signed();
    const key = this.#signed();
    this.#at += Math.max(0, key);
    const size = this.#signed();
    const value = size < 0 ? null : this.#bytes.subarray(this.#at, this.#at + size);
    this.#at = end;
    return { offset: String(offset), value };
  }

  /** Zigzag. Exact below 2^53: differences of time may be longer, and are skipped. */
  #signed(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes.readUInt8(this.#at++);
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
  }
}

/** Exact below 2^53, which ids keep to. */
function readOffset(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
}

function writeOffset(bytes: Buffer, value: number, at: number): number {
  bytes.writeInt32BE(Math.floor(value / 0x1_0000_0000), at);
  return bytes.writeUInt32BE(value - Math.floor(value / 0x1_0000_0000) * 0x1_0000_0000, at + 4);
}
