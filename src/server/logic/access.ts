// Who may call: API keys with scopes (Bearer, or the password of Basic), and what browsers say about themselves. In
// development (loopback, no key) nobody needs a key, but Host must name this machine; a foreign Origin is refused always,
// because the legacy routes read form-typed bodies and any web page could send those.

import type { FastifyRequest } from 'fastify';
import { ImgoError } from '../../protocol/errors.js';
import type { Clock } from '../clock.js';
import type { Credentials, KeyRecord, Scope } from '../store/credentials.js';
import { sameHash, secretHash } from './secrets.js';

/** Who calls. */
export interface Caller {
  /** '' without keys. Idempotency keys of different callers never collide. */
  readonly keyId: string;
  /** What the key is called; '' without keys. */
  readonly keyName: string;
  readonly scopes: readonly Scope[];
}

/** Nobody in particular, who may do everything: development, and the keyless listener. */
export const KEYLESS: Caller = { keyId: '', keyName: '', scopes: ['admin'] };

export interface AccessOptions {
  readonly credentials: Credentials;
  readonly clock: Clock;
  /** Loopback and no key. Ends when a key is made. */
  readonly development: boolean;
  /** `listen.origins`: "same-host", "*" or origins. */
  readonly origins: readonly string[];
}

/** How long a key is believed without asking the store, ms: what another process revoked is noticed after it. */
const FRESH_MS = 1_000;
const CACHE_MAX = 1_024;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/i;

export class Access {
  readonly #options: AccessOptions;
  readonly #cache = new Map<string, { readonly key: KeyRecord; readonly until: number }>();
  #development: boolean;
  /** The Host that was found good last: nearly always the next one. */
  #goodHost: string | undefined;

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#development = options.development;
  }

  get development(): boolean {
    return this.#development;
  }

  /** A key exists now: from here on one is needed. */
  leaveDevelopment(): void {
    this.#development = false;
  }

  /** A key changed. */
  forget(hash: string): void {
    this.#cache.delete(hash);
  }

  /** @throws ImgoError host_refused, origin_refused */
  checkBrowser(request: FastifyRequest): void {
    const { origin, host } = request.headers;
    if (this.#development && host !== this.#goodHost) {
      if (!LOOPBACK.test(hostName(host ?? ''))) throw new ImgoError('host_refused');
      this.#goodHost = host;
    }
    if (origin !== undefined && !this.#originAllowed(origin, host)) throw new ImgoError('origin_refused');
  }

  /** The caller, at once when the key is known already. @throws ImgoError key_missing, key_invalid, scope_missing */
  caller(request: FastifyRequest, needed: Scope): Caller | Promise<Caller> {
    if (this.#development) return KEYLESS;
    const secret = secretOf(request.headers.authorization);
    if (secret === undefined) throw new ImgoError('key_missing');
    const hash = secretHash(secret);
    const cached = this.#cache.get(hash);
    if (cached !== undefined && cached.until > this.#options.clock.monotonic()) return this.#allow(cached.key, needed);
    return this.#lookUp(hash).then((key) => this.#allow(key, needed));
  }

  async #lookUp(hash: string): Promise<KeyRecord> {
    const key = await this.#options.credentials.keyByHash(hash);
    if (key === undefined || !sameHash(key.hash, hash)) throw new ImgoError('key_invalid');
    for (const oldest of this.#cache.keys()) {
      if (this.#cache.size < CACHE_MAX) break;
      this.#cache.delete(oldest);
    }
    this.#cache.set(hash, { key, until: this.#options.clock.monotonic() + FRESH_MS });
    return key;
  }

  #allow(key: KeyRecord, needed: Scope): Caller {
    const expired = key.expiresAt !== undefined && key.expiresAt <= this.#options.clock.now();
    if (key.revokedAt !== undefined || expired) throw new ImgoError('key_invalid');
    if (!key.scopes.includes(needed) && !key.scopes.includes('admin')) {
      throw new ImgoError('scope_missing', { scopes: key.scopes.join(', '), needed, scope: needed });
    }
    return { keyId: key.id, keyName: key.name, scopes: key.scopes };
  }

  #originAllowed(origin: string, host: string | undefined): boolean {
    const { origins } = this.#options;
    if (origins.includes('*') || origins.includes(origin)) return true;
    return origins.includes('same-host') && host !== undefined && hostOfOrigin(origin) === host.toLowerCase();
  }
}

function hostName(host: string): string {
  return host.replace(/:\d{1,5}$/, '');
}

function hostOfOrigin(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host.toLowerCase() : undefined;
}

/** The key or token of a request. */
export function secretOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const [scheme = '', value = ''] = header.split(' ', 2);
  if (/^bearer$/i.test(scheme) && value !== '') return value;
  if (!/^basic$/i.test(scheme)) return undefined;
  const pair = Buffer.from(value, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon < 0 || colon === pair.length - 1 ? undefined : pair.slice(colon + 1);
}
