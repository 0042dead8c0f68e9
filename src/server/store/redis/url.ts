// Where Redis is, as redis.url says it: one server, the primary that Sentinels know, or a cluster. Strict: what is not
// understood is refused, and no message ever shows the password.

import { ImgoError } from '../../../protocol/errors.js';

/** A host and its port. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

export interface RedisTarget {
  readonly kind: 'single' | 'sentinel' | 'cluster';
  /** Of servers, of Sentinels, or of nodes to start from: at least one. */
  readonly addresses: readonly RedisAddress[];
  /** Of the primary, as the Sentinels know it. */
  readonly name: string | undefined;
  readonly db: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: boolean;
  /** For people: without user and password. */
  readonly shown: string;
}

const URL_FORM = /^(redis|sentinel|cluster)(s?):\/\/(?:([^@/]*)@)?([^/?#]+)(?:\/([^?#]*))?$/;
const PORT = 6_379;
const SENTINEL_PORT = 26_379;

/**
 * Reads `redis://HOST[/DB]`, `sentinel://A,B/NAME[/DB]` and `cluster://A,B`; with TLS `rediss://`, `sentinels://`, `clusters://`.
 * @throws ImgoError redis_url
 */
export function parseRedisUrl(url: string): RedisTarget {
  const match = URL_FORM.exec(url);
  if (match === null) throw unusable('it begins with none of redis://, rediss://, sentinel://, cluster://');
  const [, scheme = '', secured = '', user, hosts = '', path = ''] = match;
  const kind = scheme === 'sentinel' || scheme === 'cluster' ? scheme : 'single';
  const fallback = kind === 'sentinel' ? SENTINEL_PORT : PORT;
  const addresses = hosts.split(',').map((text) => addressOf(text, fallback));
  if (kind === 'single' && addresses.length > 1) throw unusable('redis:// names one server');
  const parts = path === '' ? [] : path.split('/').map(decoded);
  const name = kind === 'sentinel' ? parts.shift() : undefined;
  if (kind === 'sentinel' && (name === undefined || name === '')) throw unusable('sentinel:// needs /NAME');
  if (parts.length > (kind === 'cluster' ? 0 : 1)) throw unusable('its path has too many parts');
  const db = Number(parts[0] ?? '0');
  if (!Number.isInteger(db) || db < 0) throw unusable('the database is not a number');
  const { username, password } = credentialsOf(user);
  const tls = secured === 's';
  const at = addresses.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',');
  return { kind, addresses, name, db, username, password, tls, shown: name === undefined ? at : `${at}/${name}` };
}

function addressOf(text: string, fallback: number): RedisAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? fallback);
  if (host === undefined || port < 1 || port > 65_535) throw unusable(`${JSON.stringify(text)} is not HOST:PORT`);
  return { host, port };
}

function credentialsOf(user: string | undefined): Pick<RedisTarget, 'username' | 'password'> {
  if (user === undefined || user === '') return { username: undefined, password: undefined };
  const at = user.indexOf(':');
  const name = at < 0 ? user : user.slice(0, at);
  return {
    username: name === '' ? undefined : decoded(name),
    password: at < 0 ? undefined : decoded(user.slice(at + 1)),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw unusable('a % in it has to be written %25');
  }
}

function unusable(detail: string): ImgoError {
  return new ImgoError('redis_url', { detail });
}
