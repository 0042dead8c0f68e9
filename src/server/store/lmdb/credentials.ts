// The Credentials engine on lmdb: records as JSON under their hash, found by id and by user through keys that sort by
// id. Written through the committer: durable when it resolves.

import { crc32 } from 'node:zlib';
import type { SessionId, TokenId, UserId } from '../../../protocol/ids.js';
import type { Clock } from '../../clock.js';
import type { Credentials, KeyRecord, TokenRecord } from '../credentials.js';
import type { Committer } from './committer.js';
import type { Tables } from './tables.js';

/** Kinds of keys: the first byte. */
const KEY = { tokenByHash: 't', tokenById: 'i', tokenByUser: 'u', keyByHash: 'k', kicked: 's' } as const;
/** Above every byte of UTF-8: the end of a range of keys that share what is before it. */
const END = Buffer.from([0xff]);
/** How many records one look at the table takes. */
const PAGE = 1_000;
/** Tokens that are remembered as they were read. */
const RECENT = 256;

type Changes = Map<string, { readonly key: Buffer; readonly value: Buffer | undefined }>;

export class LmdbCredentials implements Credentials {
  readonly #tables: Tables;
  readonly #committer: Committer;
  readonly #clock: Clock;
  /** What is on its way to disk: looked at first, so that two writers see one another. */
  readonly #pending: Changes = new Map();
  /** Tokens that were just looked up: opening a session asks twice. Emptied by every change. */
  readonly #recent = new Map<string, TokenRecord>();

  constructor(tables: Tables, committer: Committer, clock: Clock) {
    this.#tables = tables;
    this.#committer = committer;
    this.#clock = clock;
  }

  async putTokens(tokens: readonly TokenRecord[]): Promise<void> {
    const changes: Changes = new Map();
    for (const token of tokens) this.#putToken(changes, token);
    await this.#write(changes);
  }

  async tokenByHash(hash: string): Promise<TokenRecord | undefined> {
    const recent = this.#recent.get(hash);
    if (recent !== undefined) return recent;
    const token = this.#record<TokenRecord>(keyOf(KEY.tokenByHash, hash));
    if (token === undefined) return undefined;
    if (this.#recent.size >= RECENT) this.#recent.clear();
    this.#recent.set(hash, token);
    return token;
  }

  async tokenById(id: TokenId): Promise<TokenRecord | undefined> {
    const hash = this.#get(keyOf(KEY.tokenById, id))?.toString('latin1');
    return hash === undefined ? undefined : this.#record<TokenRecord>(keyOf(KEY.tokenByHash, hash));
  }

  async tokens(page: {
    readonly after: TokenId | undefined;
    readonly limit: number;
    readonly user?: UserId;
  }): Promise<readonly TokenRecord[]> {
    const prefix = page.user === undefined ? keyOf(KEY.tokenById, '') : userPrefix(page.user);
    const tokens: TokenRecord[] = [];
    for (const hash of this.#hashes(prefix, page.after, page.limit)) {
      const token = this.#record<TokenRecord>(keyOf(KEY.tokenByHash, hash));
      if (token !== undefined) tokens.push(token);
    }
    return tokens;
  }

  async revokeTokens(
    which: { readonly id: TokenId } | { readonly user: UserId },
    at: number,
  ): Promise<readonly TokenRecord[]> {
    const found: TokenRecord[] = [];
    if ('id' in which) {
      const token = await this.tokenById(which.id);
      if (token !== undefined) found.push(token);
    } else {
      for (let after: TokenId | undefined; ; ) {
        const page = await this.tokens({ after, limit: PAGE, user: which.user });
        found.push(...page);
        after = page[page.length - 1]?.id;
        if (page.length < PAGE) break;
      }
    }
    const changes: Changes = new Map();
    const revoked = found.map((token) => (token.revokedAt === undefined ? { ...token, revokedAt: at } : token));
    for (const token of revoked) {
      const key = keyOf(KEY.tokenByHash, token.hash);
      changes.set(key.toString('latin1'), { key, value: encode(token) });
    }
    await this.#write(changes);
    return revoked;
  }

  async putKey(key: KeyRecord): Promise<void> {
    const changes: Changes = new Map();
    for (const other of await this.keys()) {
      if (other.id === key.id && other.hash !== key.hash) drop(changes, keyOf(KEY.keyByHash, other.hash));
    }
    const name = keyOf(KEY.keyByHash, key.hash);
    changes.set(name.toString('latin1'), { key: name, value: encode(key) });
    await this.#write(changes);
  }

  async keyByHash(hash: string): Promise<KeyRecord | undefined> {
    return this.#record<KeyRecord>(keyOf(KEY.keyByHash, hash));
  }

  async keys(): Promise<readonly KeyRecord[]> {
    const keys: KeyRecord[] = [];
    for (const name of this.#names(keyOf(KEY.keyByHash, ''), undefined)) {
      const key = this.#record<KeyRecord>(name);
      if (key !== undefined) keys.push(key);
    }
    return keys.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }

  async revokeKey(id: string, at: number): Promise<KeyRecord | undefined> {
    const key = (await this.keys()).find((one) => one.id === id);
    if (key === undefined) return undefined;
    const revoked = { ...key, revokedAt: key.revokedAt ?? at };
    await this.putKey(revoked);
    return revoked;
  }

  async kick(sessions: readonly SessionId[], at: number): Promise<void> {
    const changes: Changes = new Map();
    for (const session of sessions) {
      const key = keyOf(KEY.kicked, session);
      changes.set(key.toString('latin1'), { key, value: encode({ at }) });
    }
    await this.#write(changes);
  }

  async kicked(sessions: readonly SessionId[]): Promise<ReadonlySet<SessionId>> {
    // A damaged record is a kick all the same.
    return new Set(sessions.filter((session) => this.#get(keyOf(KEY.kicked, session)) !== undefined));
  }

  async forget(before: number): Promise<void> {
    const changes: Changes = new Map();
    let seen = 0;
    for (const name of this.#names(keyOf(KEY.tokenByHash, ''), undefined)) {
      if (++seen % PAGE === 0) {
        // There may be millions, and all else waits for this turn to end. What was seen goes first: it may be renewed.
        await this.#write(changes);
        changes.clear();
        await new Promise<void>((resolve) => this.#clock.soon(resolve));
      }
      const token = this.#record<TokenRecord>(name);
      if (token !== undefined && Math.min(token.revokedAt ?? Infinity, token.expiresAt) < before) {
        this.#dropToken(changes, token);
      }
    }
    for (const key of await this.keys()) {
      const over = Math.min(key.revokedAt ?? Infinity, key.expiresAt ?? Infinity);
      if (over < before) drop(changes, keyOf(KEY.keyByHash, key.hash));
    }
    for (const name of this.#names(keyOf(KEY.kicked, ''), undefined)) {
      if ((this.#record<{ at: number }>(name)?.at ?? 0) < before) drop(changes, name);
    }
    await this.#write(changes);
  }

  #putToken(changes: Changes, token: TokenRecord): void {
    const old = this.#record<TokenRecord>(keyOf(KEY.tokenByHash, token.hash));
    if (old !== undefined) this.#dropToken(changes, old);
    const sameId = this.#get(keyOf(KEY.tokenById, token.id))?.toString('latin1');
    if (sameId !== undefined && sameId !== token.hash) drop(changes, keyOf(KEY.tokenByHash, sameId));
    const hash = Buffer.from(token.hash, 'latin1');
    for (const [key, value] of [
      [keyOf(KEY.tokenByHash, token.hash), encode(token)],
      [keyOf(KEY.tokenById, token.id), hash],
      [Buffer.concat([userPrefix(token.user), Buffer.from(token.id, 'utf8')]), hash],
    ] as const) {
      changes.set(key.toString('latin1'), { key, value });
    }
  }

  #dropToken(changes: Changes, token: TokenRecord): void {
    drop(changes, keyOf(KEY.tokenByHash, token.hash));
    drop(changes, keyOf(KEY.tokenById, token.id));
    drop(changes, Buffer.concat([userPrefix(token.user), Buffer.from(token.id, 'utf8')]));
  }

  /** Hashes under names that begin with `prefix`, after `after`, in order. */
  #hashes(prefix: Buffer, after: string | undefined, limit: number): string[] {
    const hashes: string[] = [];
    for (const name of this.#names(prefix, after)) {
      if (hashes.length >= limit) break;
      const hash = this.#get(name)?.toString('latin1');
      if (hash !== undefined) hashes.push(hash);
    }
    return hashes;
  }

  /** Names on disk, a page at a time: no snapshot is held while the caller works. */
  *#names(prefix: Buffer, after: string | undefined): Generator<Buffer> {
    let start = after === undefined ? prefix : Buffer.concat([prefix, Buffer.from(`${after}\0`, 'utf8')]);
    const end = Buffer.concat([prefix, END]);
    for (;;) {
      const page = [...this.#tables.credentials.getKeys({ start, end, limit: PAGE })];
      yield* page;
      const last = page[page.length - 1];
      if (last === undefined || page.length < PAGE) return;
      start = Buffer.concat([last, Buffer.from([0])]);
    }
  }

  #record<T>(key: Buffer): T | undefined {
    const value = this.#get(key);
    return value === undefined ? undefined : decode<T>(value);
  }

  #get(key: Buffer): Buffer | undefined {
    const pending = this.#pending.size === 0 ? undefined : this.#pending.get(key.toString('latin1'));
    return pending === undefined ? this.#tables.credentials.get(key) : pending.value;
  }

  async #write(changes: Changes): Promise<void> {
    if (changes.size === 0) return;
    const mine = [...changes];
    for (const [name, change] of mine) this.#pending.set(name, change);
    this.#recent.clear();
    const settle = (): void => {
      // Also after a failure: what was read meanwhile was the change that did not happen.
      this.#recent.clear();
      for (const [name, change] of mine) if (this.#pending.get(name) === change) this.#pending.delete(name);
    };
    await new Promise<void>((resolve, reject) => {
      this.#committer.add({
        build: () => {
          for (const [, { key, value }] of mine) {
            if (value === undefined) void this.#tables.credentials.remove(key);
            else void this.#tables.credentials.put(key, value);
          }
        },
        committed: resolve,
        failed: reject,
      });
    }).finally(settle);
  }
}

function keyOf(kind: string, name: string): Buffer {
  return Buffer.from(kind + name, 'utf8');
}

/** NUL cannot be part of a user's name: no user's prefix begins another's. */
function userPrefix(user: UserId): Buffer {
  return Buffer.from(`${KEY.tokenByUser}${user}\0`, 'utf8');
}

function drop(changes: Changes, key: Buffer): void {
  changes.set(key.toString('latin1'), { key, value: undefined });
}

function encode(record: object): Buffer {
  const json = Buffer.from(JSON.stringify(record), 'utf8');
  const value = Buffer.allocUnsafe(4 + json.length);
  value.writeUInt32LE(crc32(json), 0);
  value.set(json, 4);
  return value;
}

/** A damaged record is one that nobody has: access is refused, never granted. */
function decode<T>(value: Buffer): T | undefined {
  const json = value.subarray(4);
  if (value.length < 4 || value.readUInt32LE(0) !== crc32(json)) return undefined;
  return JSON.parse(json.toString('utf8')) as T;
}
