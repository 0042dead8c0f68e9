/**
 * Counts what each connection is sent, without an object a message: a stream is cut into units (a frame, or a WebSocket message),
 * and as long as a unit looks like the one before it, it is stepped over. What a read ends in the middle of waits for the next.
 * Of every push the last eight bytes are folded into the connection's mark (payload.ts). About 2 ns a message of 26 bytes.
 */
import { factorOf, fingerprint } from '../payload.js';

/** No server sends more in one unit. */
export const MOST_BYTES = 16 * 1024 * 1024;
/** Enough of a unit to know its length. */
const ENOUGH = 64;

/** Bytes, and the same as words. */
export interface Bytes {
  readonly buffer: Buffer;
  readonly view: DataView;
}

/** What a walker tells of. Offsets are of `bytes`, which are good until it returns. */
export interface WalkEvents {
  /** `count` pushes, each a unit after the other, the first at `at`. Told of watched connections only. */
  pushes(connection: number, bytes: Bytes, at: number, count: number, unit: Unit): void;
  /** A frame that is no push; its body is at [from, end). */
  control(connection: number, op: number, bytes: Bytes, from: number, end: number): void;
  /** What a WebSocket says about itself: its upgrade, a ping, a close. */
  socket(connection: number, what: 'upgraded' | 'ping' | 'close', bytes: Bytes, from: number, end: number): void;
}

/** A unit that holds exactly one push. All offsets count from where it begins. */
export interface Unit {
  length: number;
  /** Where words stand, besides the first one, that are the same in the next unit if it is of the same shape. */
  a: number;
  b: number;
  c: number;
  /** Of the frame that holds the push; of the text, in JSON. */
  frame: number;
  body: number;
  bodyEnd: number;
}

export function bytesOf(buffer: Buffer): Bytes {
  return { buffer, view: new DataView(buffer.buffer, buffer.byteOffset, buffer.length) };
}

export abstract class Walker {
  /** Pushes of each connection, and their fingerprints folded. */
  readonly counts: Uint32Array;
  readonly marks: Int32Array;
  /** Connections whose pushes are told one by one. */
  readonly watched: Uint8Array;
  /** Pushes of all connections together. */
  pushes = 0;
  protected readonly events: WalkEvents;
  protected readonly unit: Unit = { length: 0, a: 0, b: 0, c: 0, frame: 0, body: 0, bodyEnd: 0 };
  readonly #factor: number;
  readonly #read: Bytes;
  /** Connections whose last unit is not whole, and what there is of it. */
  readonly #cut: Uint8Array;
  readonly #tails = new Map<number, Buffer>();
  #joined = bytesOf(Buffer.allocUnsafeSlow(4_096));

  /** `read`: where every read puts its bytes. `ordered`: marks tell the order, too. */
  constructor(connections: number, read: Buffer, ordered: boolean, events: WalkEvents) {
    this.counts = new Uint32Array(connections);
    this.marks = new Int32Array(connections);
    this.watched = new Uint8Array(connections);
    this.#cut = new Uint8Array(connections);
    this.#factor = factorOf(ordered);
    this.#read = bytesOf(read);
    this.events = events;
  }

  /** The first `length` bytes of what was read are a connection's. False for what is not the protocol. */
  walk(connection: number, length: number): boolean {
    let at = 0;
    if (this.#cut[connection] === 1) {
      at = this.#join(connection, length);
      if (at < 0) return false;
    }
    at = this.take(connection, this.#read, at, length);
    if (at < 0) return false;
    if (at < length) this.#keep(connection, Buffer.from(this.#read.buffer.subarray(at, length)));
    return true;
  }

  /** The connection begins anew, on another socket. */
  restart(connection: number): void {
    this.#cut[connection] = 0;
    this.#tails.delete(connection);
  }

  /** Takes the whole units of [from, end). Returns where the first that is not whole begins, or -1. */
  protected abstract take(connection: number, bytes: Bytes, from: number, end: number): number;

  /** Bytes of the unit at `from`; 0: not known yet; -1: it is none. */
  protected abstract lengthAt(connection: number, bytes: Bytes, from: number, end: number): number;

  /** Takes units like the one at `from`, which is described in `unit` and whole. Returns where the last one ends. */
  protected run(connection: number, bytes: Bytes, from: number, end: number): number {
    const { length, a, b, c, bodyEnd } = this.unit;
    const { view } = bytes;
    const first = view.getInt32(from);
    const wordA = view.getInt32(from + a);
    const wordB = view.getInt32(from + b);
    const wordC = view.getInt32(from + c);
    const factor = this.#factor;
    let mark = this.marks[connection] as number;
    let at = from;
    do {
      const low = at + bodyEnd - 4;
      mark = (Math.imul(mark, factor) + fingerprint(view.getInt32(low - 4), view.getInt32(low))) | 0;
      at += length;
    } while (
      at + length <= end &&
      view.getInt32(at) === first &&
      view.getInt32(at + a) === wordA &&
      view.getInt32(at + b) === wordB &&
      view.getInt32(at + c) === wordC
    );
    const count = (at - from) / length;
    this.count(connection, count, mark);
    if (this.watched[connection] === 1) this.events.pushes(connection, bytes, from, count, this.unit);
    return at;
  }

  /** More pushes of a connection, and its mark with them. */
  protected count(connection: number, more: number, mark: number): void {
    this.marks[connection] = mark;
    this.counts[connection] = (this.counts[connection] as number) + more;
    this.pushes += more;
  }

  #keep(connection: number, tail: Buffer): void {
    this.#cut[connection] = 1;
    this.#tails.set(connection, tail);
  }

  /** Makes the unit that was cut whole and takes it. Returns where the next one begins, `length` when it still is not whole, or -1. */
  #join(connection: number, length: number): number {
    const tail = this.#tails.get(connection) as Buffer;
    const from = this.#read.buffer;
    let have = tail.length + Math.min(length, ENOUGH);
    const head = this.#room(have);
    tail.copy(head.buffer);
    from.copy(head.buffer, tail.length, 0, have - tail.length);
    // An upgrade's answer is as long as it is; what has a length says it within the first bytes.
    let unit = this.lengthAt(connection, head, 0, have);
    if (unit === 0 && have < tail.length + length) {
      have = tail.length + length;
      const whole = this.#room(have);
      tail.copy(whole.buffer);
      from.copy(whole.buffer, tail.length, 0, length);
      unit = this.lengthAt(connection, whole, 0, have);
    }
    if (unit < 0) return -1;
    if (unit === 0 || unit > tail.length + length) {
      this.#keep(connection, Buffer.concat([tail, from.subarray(0, length)]));
      return length;
    }
    const taken = unit - tail.length;
    const whole = this.#room(unit);
    tail.copy(whole.buffer);
    from.copy(whole.buffer, tail.length, 0, taken);
    this.#cut[connection] = 0;
    this.#tails.delete(connection);
    return this.take(connection, whole, 0, unit) === unit ? taken : -1;
  }

  #room(bytes: number): Bytes {
    if (bytes > this.#joined.buffer.length) this.#joined = bytesOf(Buffer.allocUnsafeSlow(bytes * 2));
    return this.#joined;
  }
}
