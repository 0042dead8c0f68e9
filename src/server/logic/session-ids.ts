// Ids of sessions: random, but for a byte that the name of their comet gives. So whoever has nothing but an id knows which comets
// to ask first: one, or a few whose names happen to give the same byte.

import type { NodeId, SessionId } from '../../protocol/ids.js';
import { fnv1a } from '../store/bucket.js';

/** Of what is random in an id; a multiple of three. */
export const ID_BYTES = 12;
/** As it is written. */
const ID_CHARACTERS = (ID_BYTES / 3) * 4;

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const BASE64URL = Buffer.from(DIGITS, 'latin1');
const spelling = Buffer.alloc(64);

/** `bytes`: its own from here on. */
export function sessionId(prefix: string, comet: NodeId, bytes: Uint8Array): SessionId {
  bytes[0] = byteOf(comet);
  let end = spelling.write(prefix, 'latin1');
  // As one piece: a string put together would keep its parts.
  for (let at = 0; at < ID_BYTES; at += 3) {
    const three = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
    for (let shift = 18; shift >= 0; shift -= 6) spelling[end++] = BASE64URL[(three >> shift) & 63] as number;
  }
  return spelling.toString('latin1', 0, end) as SessionId;
}

/** Those that may have made it, and the others: ids of an earlier version say nothing of their comets. */
export function byLikelihood<C extends { readonly node: NodeId }>(
  session: SessionId,
  comets: readonly C[],
): readonly (readonly C[])[] {
  const at = session.length - ID_CHARACTERS;
  const byte = (DIGITS.indexOf(session[at] ?? ' ') << 2) | (DIGITS.indexOf(session[at + 1] ?? ' ') >> 4);
  const likely = comets.filter(({ node }) => byteOf(node) === byte);
  return [likely, comets.filter((comet) => !likely.includes(comet))];
}

function byteOf(comet: NodeId): number {
  return fnv1a(comet) & 0xff;
}
