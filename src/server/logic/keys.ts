// Callers' API keys: made, listed, revoked. A key is told once, when it is made. `importKey` is what `serve --key-file`
// and `key create` without a server use.

import { ImgoError } from '../../protocol/errors.js';
import type { Clock } from '../clock.js';
import type { Credentials, KeyRecord, Scope } from '../store/credentials.js';
import { KEY_PREFIX, newName, newSecret, secretHash } from './secrets.js';

export const SCOPES: readonly Scope[] = ['push', 'token', 'read', 'admin'];

export interface KeyRequest {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** undefined: never expires. */
  readonly ttlMs: number | undefined;
}

/** A key that was just made, with its secret. */
export interface NewKey {
  readonly record: KeyRecord;
  readonly secret: string;
}

/** Makes a random key; durable when it resolves. */
export async function createKey(credentials: Credentials, clock: Clock, request: KeyRequest): Promise<NewKey> {
  const secret = newSecret(clock, KEY_PREFIX);
  const record = keyRecord(clock, secret, request);
  await credentials.putKey(record);
  return { record, secret };
}

/** Keeps a key that exists elsewhere (a file), unless it is known already; one that was revoked stays so. */
export async function importKey(
  credentials: Credentials,
  clock: Clock,
  secret: string,
  request: KeyRequest,
): Promise<KeyRecord> {
  const known = await credentials.keyByHash(secretHash(secret));
  if (known !== undefined) return known;
  const record = keyRecord(clock, secret, request);
  await credentials.putKey(record);
  return record;
}

/** @throws ImgoError key_not_found */
export async function revokeKey(credentials: Credentials, clock: Clock, id: string): Promise<KeyRecord> {
  const revoked = await credentials.revokeKey(id, clock.now());
  if (revoked === undefined) {
    // A key pasted in place of its id is not repeated.
    throw new ImgoError('key_not_found', { id: /^k_[\w-]{1,64}$/.test(id) ? id : 'of that name' });
  }
  return revoked;
}

function keyRecord(clock: Clock, secret: string, request: KeyRequest): KeyRecord {
  const createdAt = clock.now();
  return {
    id: newName(clock, 'k_'),
    hash: secretHash(secret),
    name: request.name,
    scopes: request.scopes,
    createdAt,
    expiresAt: request.ttlMs === undefined ? undefined : createdAt + request.ttlMs,
    revokedAt: undefined,
  };
}
