// API keys: over the API of a running server, or, to begin with, straight in the data folder of one that does not run.

import { ImgoError } from '../protocol/errors.js';
import type { Scope } from '../server/store/credentials.js';
import type { Api } from './api.js';
import { readPackage } from './oclif.js';
import { age, type Output } from './output.js';
import { ownName } from './own-name.js';
import { reserveSecretFile } from './secrets.js';
import type { ConfigFlagValues } from './serve/config-flags.js';

/** A key that was just made. */
interface MadeKey {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly expires: string | null;
}

/** A key without its secret. */
export interface ShownKey extends Omit<MadeKey, 'key'> {
  readonly created: string;
  readonly state: 'valid' | 'expired' | 'revoked';
}

/** What a key shall be. */
export interface KeyWishes {
  readonly scopes: readonly Scope[];
  readonly name: string;
  readonly ttlMs: number | undefined;
  /** As it was written, for the API. */
  readonly ttl: string | undefined;
}

/** Makes a key and prints it, or writes it to a new file that only its owner reads. */
export async function createKey(make: () => Promise<MadeKey>, out: string | undefined, output: Output): Promise<void> {
  const file = out === undefined ? undefined : reserveSecretFile(out);
  let made: MadeKey;
  try {
    made = await make();
  } catch (error) {
    file?.discard();
    throw error;
  }
  file?.write(made.key);
  const { key, ...rest } = made;
  if (output.json) await output.object(file === undefined ? made : { ...rest, file: out });
  else await output.line(file === undefined ? key : made.id);
  const until = made.expires === null ? 'until it is revoked' : `until ${made.expires}`;
  const where = file === undefined ? 'It is not shown again' : `It is in ${out}`;
  if (!output.json) output.note(`May ${made.scopes.join(', ')} ${until}. ${where}; its id is ${made.id}.`);
}

/** Through a running server. */
export function makeOverApi(api: Api, { scopes, name, ttl }: KeyWishes): Promise<MadeKey> {
  const body = JSON.stringify({ name, scopes, ...(ttl === undefined ? {} : { ttl }) });
  return api.json<MadeKey>({ method: 'POST', path: '/v1/keys', body });
}

/** In the data folder, which no server may have. @throws ImgoError data_locked, usage */
export async function makeInFolder(flags: ConfigFlagValues, wishes: KeyWishes): Promise<MadeKey> {
  const [{ loadFromFlags }, { openStore }, keys, { systemClock }] = await Promise.all([
    import('./serve/config-flags.js'),
    import('../server/assemble.js'),
    import('../server/logic/keys.js'),
    import('../server/clock.js'),
  ]);
  const { config } = await loadFromFlags(flags);
  if (config.data.kind === 'memory') {
    const detail = `A server in memory has no folder for keys: start it with ${ownName()} serve --key-file.`;
    throw new ImgoError('usage', { detail, command: 'key create' });
  }
  const { credentials, close } = await openStore(config, systemClock, readPackage().version);
  try {
    const { scopes, name, ttlMs } = wishes;
    const { record, secret } = await keys.createKey(credentials, systemClock, { scopes, name, ttlMs });
    const expires = record.expiresAt === undefined ? null : new Date(record.expiresAt).toISOString();
    return { id: record.id, key: secret, name, scopes, expires };
  } finally {
    await close();
  }
}

/** Prints all keys. */
export async function listKeys(api: Api, output: Output): Promise<void> {
  const { items } = await api.json<{ readonly items: readonly ShownKey[] }>({ path: '/v1/keys' });
  await output.items(items, {
    columns: [
      { title: 'id', value: (key) => key.id },
      { title: 'name', value: (key) => key.name },
      { title: 'scopes', value: (key) => key.scopes.join(' ') },
      { title: 'state', value: (key) => key.state },
      { title: 'since', value: (key) => age(Date.now() - Date.parse(key.created)) },
      { title: 'expires', value: (key) => key.expires ?? 'never' },
    ],
    none: 'No keys: this is development.',
  });
}
