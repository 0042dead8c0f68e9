// Who may call: everybody on this machine, or whoever has a key.

import { ImgoError } from '../../protocol/errors.js';
import type { Clock } from '../clock.js';
import { type Config, isLoopback, listeners } from '../config.js';
import { importKey } from '../logic/keys.js';
import type { Credentials, KeyRecord } from '../store/credentials.js';

/** development: every listener on loopback and no key. */
export type Mode = 'development' | 'production';

/** Imports the key that was given, and refuses to face a network without one. */
export async function chooseMode(
  config: Config,
  credentials: Credentials,
  clock: Clock,
  adminKey: string | undefined,
): Promise<Mode> {
  if (adminKey !== undefined) {
    const key = await importKey(credentials, clock, adminKey, {
      name: 'key file',
      scopes: ['admin'],
      ttlMs: undefined,
    });
    // Whoever gives a key wants it to be asked for: without it the server would be open to all of this machine.
    if (!isValid(key, clock.now())) throw new ImgoError('key_invalid');
  }
  const keys = await credentials.keys();
  if (keys.some((key) => isValid(key, clock.now()))) return 'production';
  const exposed = listeners(config).find(([, { host }]) => !isLoopback(host));
  if (exposed !== undefined) {
    const [, { host, port }] = exposed;
    throw new ImgoError('key_required', { host, port: String(port) });
  }
  return 'development';
}

function isValid({ revokedAt, expiresAt }: KeyRecord, now: number): boolean {
  return revokedAt === undefined && (expiresAt ?? now + 1) > now;
}
