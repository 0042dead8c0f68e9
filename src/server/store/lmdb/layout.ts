// Bytes of the store, written by hand: keys that sort as ids do, values with a checksum each. Big endian in keys,
// little endian in values. The drawing of the tables:
//
//   entries   epoch u32 | n u64 | log name           -> entry      in order of acceptance: appending is sequential
//   logs      log name                               -> log record head, what is kept, the devices' cursors
//   marks     chunk u8                               -> 64 marks   a bucket's mark: everything up to it is applied
//   keys      scope, log, idempotency key            -> id, expiry, body hash
//   expiry    time f64 | the same key                -> nothing    idempotency records, oldest first

import { crc32 } from 'node:zlib';
import { type LogName, type MessageId, ZERO_ID } from '../../../protocol/ids.js';
import type { Entry } from '../buckets.js';

const TWO_32 = 0x1_0000_0000;
/** Bytes of an entry beside its payload. */
export const ENTRY_HEADER = 45;
const SLAB_BYTES = 256 * 1024;

/** Where the values of one commit are laid out; reused when the commit is over. */
export class Slab {
  #buffers: Buffer[] = [];
  #views: DataView[] = [];
  #current = -1;
  #at = 0;
  bytes: Buffer = Buffer.alloc(0);
  view: DataView = new DataView(new ArrayBuffer(0));

  /** Room for `size` bytes: their offset in `bytes` and `view`. */
  reserve(size: number): number {
    if (this.#at + size > this.bytes.length) this.#next(size);
    const start = this.#at;
    this.#at += size;
    return start;
  }

  take(start: number, size: number): Buffer {
    return this.bytes.subarray(start, start + size);
  }

  /** The commit is over: nothing refers to its values any more. */
  reset(): void {
    this.#current = -1;
    this.#at = 0;
    this.bytes = Buffer.alloc(0);
    this.#buffers = this.#buffers.filter((buffer) => buffer.length === SLAB_BYTES).slice(0, 64);
    this.#views = this.#buffers.map((buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.length));
  }

  #next(size: number): void {
    this.#current += 1;
    let buffer = this.#buffers[this.#current];
    if (buffer === undefined || buffer.length < size) {
      buffer = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, size));
      this.#buffers.splice(this.#current, 0, buffer);
      this.#views.splice(this.#current, 0, new DataView(buffer.buffer, buffer.byteOffset, buffer.length));
    }
    this.bytes = buffer;
    this.view = this.#views[this.#current] as DataView;
    this.#at = 0;
  }
}

/** The key of an entry, as lmdb writes it: no buffer is made for it. */
export interface EntryKey {
  id: MessageId;
  /** UTF-8 of the log's name. */
  log: Uint8Array;
}

interface KeyTarget extends Uint8Array {
  dataView?: DataView;
}

/** lmdb's interface for keys. */
export const entryKeys = {
  writeKey(key: EntryKey | Uint8Array, target: KeyTarget, start: number): number {
    if (key instanceof Uint8Array) {
      target.set(key, start);
      return start + key.length;
    }
    target.dataView ??= new DataView(target.buffer, target.byteOffset, target.byteLength);
    const { dataView: view } = target;
    view.setUint32(start, key.id.epoch);
    view.setUint32(start + 4, key.id.n / TWO_32);
    view.setUint32(start + 8, key.id.n >>> 0);
    target.set(key.log, start + 12);
    return start + 12 + key.log.length;
  },
  readKey(target: Uint8Array, start: number, end: number): Buffer {
    return Buffer.from(target.subarray(start, end));
  },
};

/** The id and the log's name of an entry's key; undefined when it is none. */
export function parseEntryKey(key: Buffer): { id: MessageId; log: LogName } | undefined {
  if (key.length < 13) return undefined;
  const id = { epoch: key.readUInt32BE(0), n: key.readUInt32BE(4) * TWO_32 + key.readUInt32BE(8) };
  return { id, log: key.toString('utf8', 12) as LogName };
}

export function putId(view: DataView, at: number, id: MessageId): void {
  view.setUint32(at, id.epoch, true);
  view.setUint32(at + 4, id.n >>> 0, true);
  view.setUint32(at + 8, id.n / TWO_32, true);
}

export function getId(view: DataView, at: number): MessageId {
  const epoch = view.getUint32(at, true);
  const n = view.getUint32(at + 8, true) * TWO_32 + view.getUint32(at + 4, true);
  return epoch === 0 && n === 0 ? ZERO_ID : { epoch, n };
}

/** An entry's value: checksum, flags, prev, mid, times, operation, payload. */
export function encodeEntry(slab: Slab, entry: Entry): Buffer {
  const size = ENTRY_HEADER + entry.payload.length;
  const at = slab.reserve(size);
  const { view } = slab;
  view.setUint8(at + 4, entry.operation === undefined ? 0 : 1);
  putId(view, at + 5, entry.prev);
  view.setFloat64(at + 17, entry.mid, true);
  view.setFloat64(at + 25, entry.acceptedAt, true);
  view.setFloat64(at + 33, entry.expiresAt, true);
  view.setUint32(at + 41, entry.operation ?? 0, true);
  slab.bytes.set(entry.payload, at + ENTRY_HEADER);
  const value = slab.take(at, size);
  view.setUint32(at, checksum(value, entry.id), true);
  return value;
}

/** The entry that was written under this id, or undefined when it is not what was written. The payload is not copied. */
export function decodeEntry(value: Uint8Array, id: MessageId): Entry | undefined {
  if (value.length < ENTRY_HEADER) return undefined;
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  if (view.getUint32(0, true) !== checksum(value, id)) return undefined;
  return {
    id,
    prev: getId(view, 5),
    payload: value.subarray(ENTRY_HEADER),
    operation: view.getUint8(4) === 0 ? undefined : view.getUint32(41, true),
    acceptedAt: view.getFloat64(25, true),
    expiresAt: view.getFloat64(33, true),
    mid: view.getFloat64(17, true),
  };
}

/** CRC-32 of everything after the checksum, begun with the id: a value under another's key is found too. */
function checksum(value: Uint8Array, id: MessageId): number {
  return crc32(value.subarray(4), (id.n ^ id.epoch) >>> 0);
}
