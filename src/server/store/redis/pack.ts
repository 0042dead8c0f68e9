// MessagePack for the arguments of scripts, in the part that Redis's Lua reads: byte strings as strings (its library knows
// no other kind), numbers, arrays. Written into one buffer that grows: a batch is packed without an object per record.
// https://github.com/msgpack/msgpack/blob/master/spec.md

import { Unpackr } from 'msgpackr';

const unpackr = new Unpackr({ int64AsType: 'number', useRecords: false });

/** What a script packed: texts as strings, numbers as numbers. */
export function unpack<T>(packed: unknown): T {
  return unpackr.unpack(packed as Buffer) as T;
}

export class Packer {
  #buffer: Buffer;
  #end = 0;

  constructor(capacity = 1_024) {
    this.#buffer = Buffer.allocUnsafe(capacity);
  }

  /** What was packed since the last time. The memory is the caller's. */
  take(): Buffer {
    const packed = Buffer.from(this.#buffer.subarray(0, this.#end));
    this.#end = 0;
    return packed;
  }

  array(length: number): this {
    this.#room(5);
    if (length < 16) this.#buffer[this.#end++] = 0x90 | length;
    else this.#long(0xdc, 0xdd, length);
    return this;
  }

  /** A whole number from 0 is short when small, anything else is a double. */
  number(value: number): this {
    this.#room(9);
    if (Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff && !Object.is(value, -0)) {
      if (value < 128) this.#buffer[this.#end++] = value;
      else this.#long(0xcd, 0xce, value);
    } else {
      this.#buffer[this.#end] = 0xcb;
      this.#buffer.writeDoubleBE(value, this.#end + 1);
      this.#end += 9;
    }
    return this;
  }

  text(value: string): this {
    const length = Buffer.byteLength(value);
    this.#string(length);
    this.#end += this.#buffer.write(value, this.#end);
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#string(value.length);
    this.#buffer.set(value, this.#end);
    this.#end += value.length;
    return this;
  }

  #string(length: number): void {
    this.#room(length + 5);
    if (length < 32) this.#buffer[this.#end++] = 0xa0 | length;
    else this.#long(0xda, 0xdb, length);
  }

  /** A kind and 16 bits, or the kind for 32. */
  #long(short: number, long: number, value: number): void {
    if (value <= 0xffff) {
      this.#buffer[this.#end] = short;
      this.#end = this.#buffer.writeUInt16BE(value, this.#end + 1);
    } else {
      this.#buffer[this.#end] = long;
      this.#end = this.#buffer.writeUInt32BE(value, this.#end + 1);
    }
  }

  #room(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#end + bytes, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#end);
    this.#buffer = larger;
  }
}
