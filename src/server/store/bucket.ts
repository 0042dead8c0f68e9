// Which bucket a log belongs to: FNV-1a (32 bits) over the UTF-8 of its name, modulo 1,024. Fixed for ever: records
// in queues and stores are found by it. Constants: http://www.isthe.com/chongo/tech/comp/fnv/

import type { LogName } from '../../protocol/ids.js';
import { BUCKETS } from './buckets.js';

const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

/** FNV-1a of the text's UTF-8, as an unsigned 32-bit number. Lone surrogates count as U+FFFD. */
export function fnv1a(text: string): number {
  let hash = OFFSET_BASIS;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) {
      hash = Math.imul(hash ^ unit, PRIME);
      continue;
    }
    let point = text.codePointAt(at) ?? unit;
    if (point > 0xffff) at++;
    else if (point >= 0xd800 && point <= 0xdfff) point = 0xfffd;
    if (point < 0x800) {
      hash = Math.imul(hash ^ (0xc0 | (point >> 6)), PRIME);
    } else {
      if (point < 0x10000) {
        hash = Math.imul(hash ^ (0xe0 | (point >> 12)), PRIME);
      } else {
        hash = Math.imul(hash ^ (0xf0 | (point >> 18)), PRIME);
        hash = Math.imul(hash ^ (0x80 | ((point >> 12) & 0x3f)), PRIME);
      }
      hash = Math.imul(hash ^ (0x80 | ((point >> 6) & 0x3f)), PRIME);
    }
    hash = Math.imul(hash ^ (0x80 | (point & 0x3f)), PRIME);
  }
  return hash >>> 0;
}

/** The bucket of a log, 0 to 1,023. */
export function bucketOf(log: LogName): number {
  return fnv1a(log) % BUCKETS;
}
