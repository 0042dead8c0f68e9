/**
 * What message n says: `{"test":n}`, padded in front so that its end, where the number stands, is at the end of every
 * body. Its last eight bytes are its fingerprint: folded one after the other they tell which messages came, and in which order,
 * in four bytes a connection.
 */
import { HEADER_BYTES } from '../protocol/frame.js';

/** A number above all that are parsed here. */
const MOST_DIGITS = 10;
const ZERO = 0x30;
const SCRATCH = Buffer.alloc(64);

/** The text of message n; `sizeBytes` is that of its frame as imgo's TCP clients get it, at least. */
export function payloadOf(n: number, sizeBytes: number): string {
  const bare = `"test":${n}}`;
  return `{${' '.repeat(Math.max(0, sizeBytes - HEADER_BYTES - 1 - bare.length))}${bare}`;
}

/** The number of the body that ends at `end`, its last byte `}`; 0 for what is none of ours. */
export function numberAt(bytes: Uint8Array, from: number, end: number): number {
  let n = 0;
  let scale = 1;
  let at = end - 2;
  for (; at >= from && scale < 10 ** MOST_DIGITS; at--, scale *= 10) {
    const digit = (bytes[at] as number) - ZERO;
    if (digit < 0 || digit > 9) break;
    n += digit * scale;
  }
  return bytes[at] === 0x3a ? n : 0;
}

/** How many times more the messages before count when order matters: what is folded is no sum then. */
const ORDERED = 0x01000193;

/** What a fold is multiplied by before the next fingerprint is added. */
export function factorOf(ordered: boolean): number {
  return ordered ? ORDERED : 1;
}

/** A fingerprint, of the last eight bytes of a body as two big-endian words. */
export function fingerprint(high: number, low: number): number {
  const mixed = Math.imul(high ^ (low >>> 15), 0x2c1b3c6d) ^ low;
  return Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
}

/** The fingerprint of message n. */
export function fingerprintOf(n: number): number {
  const end = SCRATCH.write(`"test":${n}}`, 'latin1');
  return fingerprint(SCRATCH.readInt32BE(end - 8), SCRATCH.readInt32BE(end - 4));
}
