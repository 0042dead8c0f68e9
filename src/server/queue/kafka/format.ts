// What a record in the topic says, as bytes. One record is one payload for one or several logs of a partition, at most one
// log of each bucket: so bucket and offset name one message, and the rule of marks (an id at or below the mark is applied)
// holds without exception. A reader skips extensions that it does not know; only what it must not skip raises `needs`, and
// writers write that one release after readers read it, so that N and N-1 run together.
//
//   u8 0xc1 | u8 needs | u8 flags | u48 acceptedAt | u48 ms to expiry | n, n x log | operation u32? | scope, key, hash? | extensions | payload
//
// Lengths and n are LEB128; a log is (bytes of the name << 2 | kind) and the name; extensions are their total length, then
// (tag, length, bytes) each. Big endian, UTF-8. Extension 1 is the mark of a message that is traced, in hex.

import type { LogName } from '../../../protocol/ids.js';
import type { Idempotency } from '../../store/buckets.js';

/** First of every record: no text and no JSON begins with it, so what others write is told from what a later version does. */
const MAGIC = 0xc1;
/** The highest `needs` that this version reads. */
const KNOWN = 1;

const EPHEMERAL = 1;
const OPERATION = 2;
const IDEMPOTENCY = 4;
const ALL_FLAGS = EPHEMERAL | OPERATION | IDEMPOTENCY;

/** Tags of extensions. */
const TRACE = 1;
/** The longest mark that is read. */
const MARK_MAX = 64;

const U48_MAX = 2 ** 48 - 1;
/** Everything before the logs, and the length of the extensions. */
const FIXED_BYTES = 16;

/** One payload for several logs. */
export interface Parcel {
  readonly logs: readonly LogName[];
  readonly payload: Uint8Array;
  readonly operation: number | undefined;
  /** Wall ms. */
  readonly acceptedAt: number;
  /** Wall ms. Of no meaning for ephemeral ones. */
  readonly expiresAt: number;
  readonly idempotency: Idempotency | undefined;
  readonly ephemeral: boolean;
  /** Its mark, when it is traced: hex. */
  readonly trace?: string | undefined;
}

/** The record was written by a later version and says that this one must not read it. */
export class NewerRecord extends Error {
  constructor(needs: number) {
    super(`format ${needs}; this version reads up to ${KNOWN}`);
    this.name = 'NewerRecord';
  }
}

/** At least what a parcel without logs takes as bytes; `logBytes` for each log comes to it. */
export function emptyBytes({ payload, idempotency, trace }: Pick<Parcel, 'payload' | 'idempotency' | 'trace'>): number {
  const named = idempotency === undefined ? 0 : 3 * (idempotency.key.length + idempotency.scope.length) + 128;
  const marked = trace === undefined ? 0 : MARK_MAX + 4;
  return FIXED_BYTES + 8 + named + marked + payload.byteLength;
}

/** At least what one more log takes. */
export function logBytes(log: LogName): number {
  return 3 + 3 * log.length;
}

export function encodeParcel(parcel: Parcel): Buffer {
  const { logs, payload, operation, acceptedAt, expiresAt, idempotency, ephemeral, trace } = parcel;
  let room = emptyBytes(parcel) + 8;
  for (const log of logs) room += logBytes(log);
  const bytes = Buffer.allocUnsafe(room);
  bytes[0] = MAGIC;
  bytes[1] = 1;
  bytes[2] =
    (ephemeral ? EPHEMERAL : 0) |
    (operation === undefined ? 0 : OPERATION) |
    (idempotency === undefined ? 0 : IDEMPOTENCY);
  bytes.writeUIntBE(u48(acceptedAt), 3, 6);
  bytes.writeUIntBE(u48(expiresAt - acceptedAt), 9, 6);
  let at = putVarint(bytes, 15, logs.length);
  for (const log of logs) at = putLog(bytes, at, log);
  if (operation !== undefined) at = bytes.writeUInt32BE(operation, at);
  if (idempotency !== undefined) {
    at = putText(bytes, at, idempotency.scope);
    at = putText(bytes, at, idempotency.key);
    at = putText(bytes, at, idempotency.bodyHash);
  }
  at = trace === undefined ? putVarint(bytes, at, 0) : putMark(bytes, at, trace);
  bytes.set(payload, at);
  return bytes.subarray(0, at + payload.byteLength);
}

/**
 * The parcel; its payload shares the memory of `bytes`.
 * @throws NewerRecord; RangeError or TypeError for what no version wrote
 */
export function decodeParcel(bytes: Buffer): Parcel {
  if (bytes.readUInt8(0) !== MAGIC) throw new TypeError('not a record of this topic');
  const needs = bytes.readUInt8(1);
  if (needs > KNOWN) throw new NewerRecord(needs);
  const flags = bytes.readUInt8(2);
  if (needs === 0 || (flags & ~ALL_FLAGS) !== 0) throw new TypeError('not a record of this topic');
  const acceptedAt = bytes.readUIntBE(3, 6);
  const expiresAt = acceptedAt + bytes.readUIntBE(9, 6);
  const reader = new Reader(bytes, 15);
  const count = reader.varint();
  if (count === 0 || count > bytes.length) throw new RangeError('a record for no log');
  const logs: LogName[] = [];
  for (let index = 0; index < count; index++) logs.push(reader.log());
  const operation = (flags & OPERATION) === 0 ? undefined : reader.u32();
  const idempotency =
    (flags & IDEMPOTENCY) === 0 ? undefined : { scope: reader.text(), key: reader.text(), bodyHash: reader.text() };
  const trace = reader.mark(reader.varint());
  return {
    logs,
    payload: reader.rest(),
    operation,
    acceptedAt,
    expiresAt,
    idempotency,
    ephemeral: (flags & EPHEMERAL) !== 0,
    trace,
  };
}

const PREFIXES = ['all', 'user:', 'room:'] as const;

function putLog(bytes: Buffer, at: number, log: LogName): number {
  const kind = log === 'all' ? 0 : log.startsWith('user:') ? 1 : 2;
  const name = kind === 0 ? '' : log.slice(5);
  const next = putVarint(bytes, at, (Buffer.byteLength(name) << 2) | kind);
  return next + bytes.write(name, next);
}

function putText(bytes: Buffer, at: number, text: string): number {
  const next = putVarint(bytes, at, Buffer.byteLength(text));
  return next + bytes.write(text, next);
}

/** All extensions: the mark alone. */
function putMark(bytes: Buffer, start: number, mark: string): number {
  const raw = Buffer.from(mark, 'hex');
  let at = putVarint(bytes, start, raw.length + 2);
  at = putVarint(bytes, at, TRACE);
  at = putVarint(bytes, at, raw.length);
  return at + raw.copy(bytes, at);
}

function putVarint(bytes: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

function u48(value: number): number {
  return Math.min(U48_MAX, Math.max(0, Math.trunc(value)));
}

/** Reads on from a position; never past the end. */
class Reader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#at++);
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a length without an end');
  }

  u32(): number {
    this.#at += 4;
    return this.#bytes.readUInt32BE(this.#at - 4);
  }

  skip(length: number): number {
    const start = this.#at;
    if (start + length > this.#bytes.length) throw new RangeError('a length beyond the end');
    this.#at = start + length;
    return start;
  }

  text(length = this.varint()): string {
    const start = this.skip(length);
    return this.#bytes.toString('utf8', start, this.#at);
  }

  /** The mark among extensions of so many bytes; whatever else is there is passed over. */
  mark(length: number): string | undefined {
    const start = this.skip(length);
    if (length === 0) return undefined;
    const bytes = this.#bytes.subarray(start, this.#at);
    const extensions = new Reader(bytes, 0);
    try {
      while (extensions.#at < length) {
        const tag = extensions.varint();
        const size = extensions.varint();
        const at = extensions.skip(size);
        if (tag === TRACE && size > 0 && size <= MARK_MAX / 2) return bytes.toString('hex', at, at + size);
      }
    } catch {
      // Not written by any version: the record is good without.
    }
    return undefined;
  }

  log(): LogName {
    const head = this.varint();
    const prefix = PREFIXES[head % 4];
    if (prefix === undefined || (head % 4 === 0) !== (head === 0)) throw new TypeError('a log of no known kind');
    return (prefix + this.text(Math.floor(head / 4))) as LogName;
  }

  rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }
}
