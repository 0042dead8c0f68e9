// A strict JSON scanner over bytes: it says where values begin and end, so that the bytes of a message travel as they came
// (integers above 2^53, spaces, escapes), and validates every byte of the grammar (RFC 8259) on the way.
// One pass, no allocation but for the texts that are asked for. UTF-8 is checked by who calls `start`.

import { isUtf8 } from 'node:buffer';
import { ImgoError } from '../../protocol/errors.js';
import { MAX_JSON_DEPTH } from '../../protocol/text.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const MINUS = 0x2d;

/** Scans one text at a time; `at` is the next byte. */
export class JsonScanner {
  at = 0;
  #bytes: Buffer = Buffer.alloc(0);
  #end = 0;

  /** Begins with these bytes. @throws ImgoError invalid_json when they are not UTF-8 */
  start(bytes: Buffer): void {
    if (!isUtf8(bytes)) throw new ImgoError('invalid_json', { detail: 'not valid UTF-8' });
    this.#bytes = bytes;
    this.#end = bytes.length;
    this.at = 0;
  }

  /** Lets go of the bytes. */
  stop(): void {
    this.#bytes = Buffer.alloc(0);
    this.#end = 0;
  }

  /** The next byte that is no white space, not consumed; -1 at the end. */
  peek(): number {
    const bytes = this.#bytes;
    let at = this.at;
    while (at < this.#end) {
      const byte = bytes[at] as number;
      if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) {
        this.at = at;
        return byte;
      }
      at++;
    }
    this.at = at;
    return -1;
  }

  /** @throws ImgoError invalid_json unless only white space is left */
  finish(): void {
    if (this.peek() !== -1) this.fail('more after the end');
  }

  /** True, and consumed, when the next is `{`. */
  takeObject(): boolean {
    return this.#take(OPEN_OBJECT);
  }

  /** True, and consumed, when the next is `[`. */
  takeArray(): boolean {
    return this.#take(OPEN_ARRAY);
  }

  /** The next key of an object, its colon consumed; undefined at the end of the object. `first`: no comma before it. */
  nextKey(first: boolean): string | undefined {
    if (!this.#more(CLOSE_OBJECT, first)) return undefined;
    const key = this.string();
    if (key === undefined) this.fail('a key must be a string');
    if (this.peek() !== COLON) this.fail('a colon is missing');
    this.at++;
    return key;
  }

  /** True when an array goes on; its end is consumed. */
  nextElement(first: boolean): boolean {
    return this.#more(CLOSE_ARRAY, first);
  }

  /** The next value when it is a string, consumed; else undefined and nothing consumed. */
  string(): string | undefined {
    if (this.peek() !== QUOTE) return undefined;
    const from = this.at;
    const plain = this.#skipString();
    if (plain) return this.#bytes.toString('utf8', from + 1, this.at - 1);
    return JSON.parse(this.#bytes.toString('utf8', from, this.at)) as string;
  }

  /** Consumes one value of any kind, validating all of it. `depth`: how deep it stands already. */
  skipValue(depth: number): void {
    const byte = this.peek();
    if (byte === QUOTE) this.#skipString();
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.#skipNested(byte, depth + 1);
    else if (byte === 0x74) this.#literal('true');
    else if (byte === 0x66) this.#literal('false');
    else if (byte === 0x6e) this.#literal('null');
    else this.#number(byte);
  }

  /** The text of a value that was skipped: numbers keep their digits. */
  textOf(from: number): string {
    return this.#bytes.toString('utf8', from, this.at);
  }

  /** The bytes of a value that was skipped: a view, no copy. */
  bytesOf(from: number): Buffer {
    return this.#bytes.subarray(from, this.at);
  }

  fail(detail: string): never {
    throw new ImgoError('invalid_json', { detail: `${detail}, at byte ${this.at}` });
  }

  #take(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.at++;
    return true;
  }

  #more(close: number, first: boolean): boolean {
    const byte = this.peek();
    if (byte === close) {
      this.at++;
      return false;
    }
    if (first) return true;
    if (byte !== COMMA) this.fail('a comma or the end is missing');
    this.at++;
    return true;
  }

  #skipNested(open: number, depth: number): void {
    if (depth > MAX_JSON_DEPTH) throw new ImgoError('json_too_deep', { limit: MAX_JSON_DEPTH });
    this.at++;
    const close = open === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY;
    for (let first = true; this.#more(close, first); first = false) {
      if (open === OPEN_OBJECT) {
        if (this.peek() !== QUOTE) this.fail('a key must be a string');
        this.#skipString();
        if (this.peek() !== COLON) this.fail('a colon is missing');
        this.at++;
      }
      this.skipValue(depth);
    }
  }

  /** True when the string has no escapes. */
  #skipString(): boolean {
    const bytes = this.#bytes;
    const end = this.#end;
    let plain = true;
    let at = this.at + 1;
    while (at < end) {
      const byte = bytes[at] as number;
      if (byte === QUOTE) {
        this.at = at + 1;
        return plain;
      }
      if (byte === BACKSLASH) {
        plain = false;
        at = this.#escape(at + 1);
      } else if (byte < 0x20) {
        this.at = at;
        this.fail('a control character in a string');
      } else at++;
    }
    this.at = at;
    return this.fail('a string has no end');
  }

  #escape(at: number): number {
    const byte = this.#bytes[at] ?? -1;
    if (byte === 0x75) {
      for (let digit = at + 1; digit <= at + 4; digit++) {
        if (digit >= this.#end || !isHex(this.#bytes[digit] as number)) {
          this.at = digit;
          this.fail('a bad \\u escape');
        }
      }
      return at + 5;
    }
    // " \ / b f n r t
    const known =
      byte === QUOTE ||
      byte === BACKSLASH ||
      byte === 0x2f ||
      byte === 0x62 ||
      byte === 0x66 ||
      byte === 0x6e ||
      byte === 0x72 ||
      byte === 0x74;
    if (!known || at >= this.#end) {
      this.at = at;
      this.fail('a bad escape');
    }
    return at + 1;
  }

  #literal(text: string): void {
    for (let i = 0; i < text.length; i++) {
      if (this.at + i >= this.#end || this.#bytes[this.at + i] !== text.charCodeAt(i)) this.fail('not a value');
    }
    this.at += text.length;
  }

  #number(first: number): void {
    if (first === MINUS) this.at++;
    if (this.#byte() === 0x30) this.at++;
    else if (this.#digits() === 0) this.fail(first === -1 ? 'a value is missing' : 'not a value');
    if (this.#byte() === 0x2e) {
      this.at++;
      if (this.#digits() === 0) this.fail('not a number');
    }
    const exponent = this.#byte();
    if (exponent === 0x65 || exponent === 0x45) {
      this.at++;
      const sign = this.#byte();
      if (sign === MINUS || sign === 0x2b) this.at++;
      if (this.#digits() === 0) this.fail('not a number');
    }
  }

  #digits(): number {
    const from = this.at;
    while (isDigit(this.#byte())) this.at++;
    return this.at - from;
  }

  #byte(): number {
    return this.at < this.#end ? (this.#bytes[this.at] as number) : -1;
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isHex(byte: number): boolean {
  return isDigit(byte) || (byte >= 0x61 && byte <= 0x66) || (byte >= 0x41 && byte <= 0x46);
}
