// Secrets that imgo makes and how it knows them again: 256 random bits in base64url behind a prefix that scanners of
// leaked secrets can recognise; only the sha256 is ever kept, and compared in constant time.

import { hash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../clock.js';

/** A client's token. */
export const TOKEN_PREFIX = 'imgo_t_';
/** A caller's API key. */
export const KEY_PREFIX = 'imgo_k_';

/** A new secret. */
export function newSecret(clock: Clock, prefix: string): string {
  return prefix + Buffer.from(clock.randomBytes(32)).toString('base64url');
}

/** A public name, e.g. `t_9fK2…`: 96 random bits. */
export function newName(clock: Clock, prefix: string): string {
  return prefix + Buffer.from(clock.randomBytes(12)).toString('base64url');
}

/** sha256 of a secret, hex. */
export function secretHash(secret: string): string {
  return hash('sha256', secret, 'hex');
}

/** True when both hashes are the same; takes the same time whatever differs. */
export function sameHash(a: string, b: string): boolean {
  const left = Buffer.from(a, 'latin1');
  const right = Buffer.from(b, 'latin1');
  return left.length === right.length && timingSafeEqual(left, right);
}
