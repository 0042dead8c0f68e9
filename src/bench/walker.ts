/**
 * Counts what a connection received by walking its frame boundaries, without looking at payloads: a few numbers for each
 * connection, in arrays. A frame of the header alone is a heartbeat's reply; every other one counts as a push.
 */
import { HEADER_BYTES } from '../protocol/frame.js';

/** No server sends more in one frame. */
const MOST_BYTES = 16 * 1024 * 1024;

export class Walker {
  /** Pushes of each connection. */
  readonly counts: Uint32Array;
  /** Bytes of the frame at hand that are still to come; its length field included until it is known. */
  readonly #rest: Int32Array;
  /** Of a length field that is cut: how many bytes are there, and their value. */
  readonly #have: Uint8Array;
  readonly #value: Uint32Array;
  /** Length of the frame at hand. */
  readonly #length: Int32Array;

  constructor(connections: number) {
    this.counts = new Uint32Array(connections);
    this.#rest = new Int32Array(connections);
    this.#have = new Uint8Array(connections);
    this.#value = new Uint32Array(connections);
    this.#length = new Int32Array(connections);
  }

  /** The first `length` bytes of `bytes` arrived. Returns the pushes that became complete, or -1 for what is no frame. */
  walk(connection: number, bytes: Buffer, length: number): number {
    let at = 0;
    let complete = 0;
    let rest = this.#rest[connection] as number;
    let frame = this.#length[connection] as number;
    while (at < length) {
      if (rest === 0) {
        if (this.#have[connection] === 0 && length - at >= 4) {
          frame = rest = bytes.readUInt32BE(at);
        } else {
          this.#value[connection] = ((this.#value[connection] as number) << 8) | (bytes[at++] as number);
          const have = (this.#have[connection] as number) + 1;
          this.#have[connection] = have % 4;
          if (have < 4) continue;
          frame = this.#value[connection] as number;
          rest = frame - 4;
          this.#value[connection] = 0;
        }
        if (frame < HEADER_BYTES || frame > MOST_BYTES) return -1;
      }
      const taken = Math.min(rest, length - at);
      at += taken;
      rest -= taken;
      if (rest === 0 && frame !== HEADER_BYTES) complete++;
    }
    this.#rest[connection] = rest;
    this.#length[connection] = frame;
    this.counts[connection] = (this.counts[connection] as number) + complete;
    return complete;
  }
}
