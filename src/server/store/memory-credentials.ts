// The Credentials engine in memory: tokens and keys by hash, kicked sessions; gone with the process.

import type { SessionId, TokenId, UserId } from '../../protocol/ids.js';
import type { Credentials, KeyRecord, TokenRecord } from './credentials.js';

/** A Credentials engine in memory. */
export function createMemoryCredentials(): Credentials {
  return new MemoryCredentials();
}

/** A million tokens without rooms share it. */
const NO_ROOMS: readonly string[] = Object.freeze([]);

class MemoryCredentials implements Credentials {
  readonly #tokens = new Map<string, TokenRecord>();
  readonly #byId = new Map<TokenId, TokenRecord>();
  /** One, or several. */
  readonly #byUser = new Map<UserId, TokenRecord | Set<TokenRecord>>();
  readonly #keys = new Map<string, KeyRecord>();
  readonly #kicked = new Map<SessionId, number>();

  async putTokens(tokens: readonly TokenRecord[]): Promise<void> {
    for (const token of tokens) this.#put(token);
  }

  async tokenByHash(hash: string): Promise<TokenRecord | undefined> {
    return this.#tokens.get(hash);
  }

  async tokenById(id: TokenId): Promise<TokenRecord | undefined> {
    return this.#byId.get(id);
  }

  async tokens(page: {
    readonly after: TokenId | undefined;
    readonly limit: number;
    readonly user?: UserId;
  }): Promise<readonly TokenRecord[]> {
    const { after, limit, user } = page;
    const source = user === undefined ? this.#byId.values() : this.#ofUser(user);
    const found = [...source].filter((token) => after === undefined || token.id > after);
    return found.sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit);
  }

  async revokeTokens(
    which: { readonly id: TokenId } | { readonly user: UserId },
    at: number,
  ): Promise<readonly TokenRecord[]> {
    const one = 'id' in which ? this.#byId.get(which.id) : undefined;
    const found = 'user' in which ? [...this.#ofUser(which.user)] : one === undefined ? [] : [one];
    found.sort((a, b) => (a.id < b.id ? -1 : 1));
    return found.map((token) => {
      if (token.revokedAt !== undefined) return token;
      const revoked = { ...token, revokedAt: at };
      this.#put(revoked);
      return revoked;
    });
  }

  async putKey(key: KeyRecord): Promise<void> {
    for (const [hash, other] of this.#keys) if (other.id === key.id) this.#keys.delete(hash);
    this.#keys.set(key.hash, key);
  }

  async keyByHash(hash: string): Promise<KeyRecord | undefined> {
    return this.#keys.get(hash);
  }

  async keys(): Promise<readonly KeyRecord[]> {
    return [...this.#keys.values()].sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }

  async revokeKey(id: string, at: number): Promise<KeyRecord | undefined> {
    for (const key of this.#keys.values()) {
      if (key.id !== id) continue;
      const revoked = { ...key, revokedAt: key.revokedAt ?? at };
      this.#keys.set(key.hash, revoked);
      return revoked;
    }
    return undefined;
  }

  async kick(sessions: readonly SessionId[], at: number): Promise<void> {
    for (const session of sessions) this.#kicked.set(session, at);
  }

  async kicked(sessions: readonly SessionId[]): Promise<ReadonlySet<SessionId>> {
    return new Set(sessions.filter((session) => this.#kicked.has(session)));
  }

  async forget(before: number): Promise<void> {
    for (const token of [...this.#tokens.values()]) {
      if ((token.revokedAt ?? token.expiresAt) < before || token.expiresAt < before) this.#drop(token);
    }
    for (const [hash, key] of this.#keys) {
      if (Math.min(key.revokedAt ?? Infinity, key.expiresAt ?? Infinity) < before) this.#keys.delete(hash);
    }
    for (const [session, at] of this.#kicked) if (at < before) this.#kicked.delete(session);
  }

  #put(given: TokenRecord): void {
    const token = given.rooms.length === 0 ? { ...given, rooms: NO_ROOMS } : given;
    const old = this.#tokens.get(token.hash);
    if (old !== undefined) this.#drop(old);
    const sameId = this.#byId.get(token.id);
    if (sameId !== undefined) this.#drop(sameId);
    this.#tokens.set(token.hash, token);
    this.#byId.set(token.id, token);
    const ofUser = this.#byUser.get(token.user);
    if (ofUser === undefined) this.#byUser.set(token.user, token);
    else if (ofUser instanceof Set) ofUser.add(token);
    else this.#byUser.set(token.user, new Set([ofUser, token]));
  }

  #drop(token: TokenRecord): void {
    this.#tokens.delete(token.hash);
    this.#byId.delete(token.id);
    const ofUser = this.#byUser.get(token.user);
    if (ofUser instanceof Set) {
      ofUser.delete(token);
      if (ofUser.size === 0) this.#byUser.delete(token.user);
    } else if (ofUser === token) this.#byUser.delete(token.user);
  }

  #ofUser(user: UserId): Iterable<TokenRecord> {
    const tokens = this.#byUser.get(user);
    return tokens === undefined ? [] : tokens instanceof Set ? tokens : [tokens];
  }
}
