// The three of Kafka's requests that are written and read here, as bytes: Produce version 7, with record batches of format 2,
// and Metadata version 12. kafkajs frames and sends them. Source of the layouts: https://kafka.apache.org/protocol.html and
// https://kafka.apache.org/documentation/#messageformat

export const PRODUCE = 0;
export const PRODUCE_VERSION = 7;
export const METADATA = 3;
/** The first that tells ids of topics that were asked for by name, in all brokers from 3.1 on. */
export const METADATA_VERSION = 12;

/** From the length of a batch on to what the checksum covers. */
const BEFORE_CHECKED = 21;
const BATCH_HEADER = 61;
/** A record's own length, attributes, timestamp, offset, key, value's length, headers: at most. */
export const RECORD_OVERHEAD = 21;
export { BATCH_HEADER };

export interface BatchHeader {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  /** Wall ms, of all records. */
  readonly timestamp: number;
}

/** The records of one partition, as they stand in its log. `crc32c`: of bytes, unsigned. */
export function encodeBatch(
  header: BatchHeader,
  values: readonly Uint8Array[],
  crc32c: (bytes: Buffer) => number,
): Buffer {
  let room = BATCH_HEADER;
  for (const value of values) room += value.byteLength + RECORD_OVERHEAD;
  const bytes = Buffer.allocUnsafe(room);
  let at = BATCH_HEADER;
  for (const [index, value] of values.entries()) at = putRecord(bytes, at, index, value);
  bytes.writeBigInt64BE(0n, 0);
  bytes.writeInt32BE(at - 12, 8);
  bytes.writeInt32BE(-1, 12);
  bytes.writeInt8(2, 16);
  bytes.writeInt16BE(0, 21);
  bytes.writeInt32BE(values.length - 1, 23);
  bytes.writeBigInt64BE(BigInt(header.timestamp), 27);
  bytes.writeBigInt64BE(BigInt(header.timestamp), 35);
  bytes.writeBigInt64BE(header.producerId, 43);
  bytes.writeInt16BE(header.producerEpoch, 51);
  bytes.writeInt32BE(header.firstSequence, 53);
  bytes.writeInt32BE(values.length, 57);
  bytes.writeUInt32BE(crc32c(bytes.subarray(BEFORE_CHECKED, at)), 17);
  return bytes.subarray(0, at);
}

function putRecord(bytes: Buffer, start: number, index: number, value: Uint8Array): number {
  // Attributes, no difference of time, and no headers are a byte each, as is the length -1 of no key.
  const length = 4 + signedSize(index) + signedSize(value.byteLength) + value.byteLength;
  let at = putSigned(bytes, start, length);
  bytes[at++] = 0;
  bytes[at++] = 0;
  at = putSigned(bytes, at, index);
  bytes[at++] = 1;
  at = putSigned(bytes, at, value.byteLength);
  bytes.set(value, at);
  at += value.byteLength;
  bytes[at++] = 0;
  return at;
}

function signedSize(value: number): number {
  let size = 1;
  for (let rest = value * 2; rest > 0x7f; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Zigzag, for what is not negative. */
function putSigned(bytes: Buffer, start: number, value: number): number {
  return putUnsigned(bytes, start, value * 2);
}

function putUnsigned(bytes: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 128);
  }
  bytes[at++] = rest;
  return at;
}

/** Acknowledged by all replicas in sync, within `timeoutMs`. */
export function encodeProduce(
  topic: string,
  parts: readonly { readonly partition: number; readonly batch: Buffer }[],
  timeoutMs: number,
): Buffer {
  const name = Buffer.from(topic);
  const head = Buffer.allocUnsafe(18 + name.length);
  head.writeInt16BE(-1, 0);
  head.writeInt16BE(-1, 2);
  head.writeInt32BE(timeoutMs, 4);
  head.writeInt32BE(1, 8);
  head.writeInt16BE(name.length, 12);
  name.copy(head, 14);
  head.writeInt32BE(parts.length, 14 + name.length);
  const pieces: Buffer[] = [head];
  for (const { partition, batch } of parts) {
    const before = Buffer.allocUnsafe(8);
    before.writeInt32BE(partition, 0);
    before.writeInt32BE(batch.length, 4);
    pieces.push(before, batch);
  }
  return Buffer.concat(pieces);
}

/** What the leader said of one partition. */
export interface ProduceAnswer {
  readonly partition: number;
  /** 0: appended, its first record at `baseOffset`. */
  readonly errorCode: number;
  readonly baseOffset: number;
}

/** For a request of one topic. */
export function decodeProduce(bytes: Buffer): {
  readonly answers: readonly ProduceAnswer[];
  /** How long the broker asks this client to be quiet, ms. */
  readonly throttleMs: number;
} {
  const answers: ProduceAnswer[] = [];
  if (bytes.readInt32BE(0) !== 1) return { answers, throttleMs: 0 };
  let at = 6 + bytes.readInt16BE(4);
  const count = bytes.readInt32BE(at);
  at += 4;
  for (let index = 0; index < count; index++, at += 30) {
    answers.push({
      partition: bytes.readInt32BE(at),
      errorCode: bytes.readInt16BE(at + 4),
      baseOffset: Number(bytes.readBigInt64BE(at + 6)),
    });
  }
  return { answers, throttleMs: bytes.readInt32BE(at) };
}

/** Asks for one topic by name, and never makes it. The empty tagged fields in front end the header. */
export function encodeMetadata(topic: string): Buffer {
  const name = Buffer.from(topic);
  const bytes = Buffer.alloc(24 + name.length + 8);
  let at = 1;
  at = putUnsigned(bytes, at, 2);
  at += 16;
  at = putUnsigned(bytes, at, name.length + 1);
  at += name.copy(bytes, at);
  // No tagged fields of the topic; no automatic creation, no authorized operations, no tagged fields.
  return bytes.subarray(0, at + 4);
}

export interface DescribedTopic {
  readonly clusterId: string;
  /** Base64url, without padding. */
  readonly topicId: string;
  readonly partitions: number;
  /** The smallest number of replicas that a partition has. */
  readonly replicas: number;
  readonly brokers: number;
}

/** The one topic that was asked for. Undefined: there is none. @throws Error any other error code of Kafka */
export function decodeMetadata(bytes: Buffer): DescribedTopic | undefined {
  const reader = new CompactReader(bytes);
  reader.tags();
  reader.skip(4);
  const brokers = reader.array(() => {
    reader.skip(4);
    reader.text();
    reader.skip(4);
    reader.text();
    reader.tags();
  });
  const clusterId = reader.text() ?? '';
  reader.skip(4);
  let found: DescribedTopic | undefined;
  reader.array(() => {
    const error = reader.int16();
    reader.text();
    const topicId = reader.bytes(16).toString('base64url');
    reader.skip(1);
    let replicas = Number.POSITIVE_INFINITY;
    const partitions = reader.array(() => {
      reader.skip(14);
      replicas = Math.min(
        replicas,
        reader.array(() => reader.skip(4)),
      );
      reader.array(() => reader.skip(4));
      reader.array(() => reader.skip(4));
      reader.tags();
    });
    reader.skip(4);
    reader.tags();
    if (error === UNKNOWN_TOPIC) return;
    if (error !== 0) throw new Error(`Kafka's error ${error}`);
    found = { clusterId, topicId, partitions, replicas, brokers };
  });
  return found;
}

const UNKNOWN_TOPIC = 3;

/** Reads what Kafka calls flexible versions. */
class CompactReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  skip(length: number): void {
    this.#at += length;
  }

  int16(): number {
    this.#at += 2;
    return this.#bytes.readInt16BE(this.#at - 2);
  }

  unsigned(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes.readUInt8(this.#at++);
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  bytes(length: number): Buffer {
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  text(): string | undefined {
    const length = this.unsigned();
    return length === 0 ? undefined : this.bytes(length - 1).toString('utf8');
  }

  /** Calls `read` for each element. Returns how many there were. */
  array(read: () => void): number {
    const count = Math.max(0, this.unsigned() - 1);
    for (let index = 0; index < count; index++) read();
    return count;
  }

  tags(): void {
    for (let left = this.unsigned(); left > 0; left--) {
      this.unsigned();
      this.skip(this.unsigned());
    }
  }
}
