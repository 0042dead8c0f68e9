// The Credentials engine in Redis: tokens, API keys and kicks, each call one script in one slot; lists in bounded steps. As
// durable as Redis is; that a replica has them too is asked for apart.

import type { SessionId, TokenId, UserId } from '../../../protocol/ids.js';
import type { Credentials, KeyRecord, TokenRecord } from '../credentials.js';
import type { Argument, RedisLink } from './connect.js';
import * as scripts from './credential-scripts.js';
import { Packer, unpack } from './pack.js';
import type { Script } from './script.js';

/** Tokens that one script puts or forgets: others are answered in between. */
const STEP = 200;

/** [record as JSON, revokedAt or -1] */
type Packed = readonly [string, number];

export class RedisCredentials implements Credentials {
  readonly #link: RedisLink;
  readonly #keys: readonly string[];
  readonly #packer = new Packer();

  constructor(link: RedisLink, prefix: string) {
    this.#link = link;
    const names = ['tokens', 'hashes', 'ids', 'users', 'ends', 'keys', 'owners', 'kicks'];
    this.#keys = names.map((name) => `${prefix}{credentials}${name}`);
  }

  async putTokens(tokens: readonly TokenRecord[]): Promise<void> {
    const packed = tokens.map(({ revokedAt, ...rest }) => {
      const packer = this.#packer.array(6).text(rest.id).text(rest.hash).text(rest.user).text(JSON.stringify(rest));
      return packer
        .number(rest.expiresAt)
        .number(revokedAt ?? -1)
        .take();
    });
    for (let at = 0; at < packed.length; at += STEP) {
      await this.#run(scripts.PUT_TOKENS, ...packed.slice(at, at + STEP));
    }
  }

  async tokenByHash(hash: string): Promise<TokenRecord | undefined> {
    return tokenOf(await this.#run(scripts.TOKEN_BY_HASH, hash));
  }

  async tokenById(id: TokenId): Promise<TokenRecord | undefined> {
    return tokenOf(await this.#run(scripts.TOKEN_BY_ID, id));
  }

  async tokens(page: {
    readonly after: TokenId | undefined;
    readonly limit: number;
    readonly user?: UserId;
  }): Promise<readonly TokenRecord[]> {
    return tokensOf(await this.#run(scripts.TOKENS, page.user ?? '', page.after ?? '', page.limit));
  }

  async revokeTokens(
    which: { readonly id: TokenId } | { readonly user: UserId },
    at: number,
  ): Promise<readonly TokenRecord[]> {
    const [id, user] = 'id' in which ? [which.id, ''] : ['', which.user];
    return tokensOf(await this.#run(scripts.REVOKE_TOKENS, id, user, at));
  }

  async putKey({ revokedAt, ...rest }: KeyRecord): Promise<void> {
    const { id, hash, expiresAt } = rest;
    await this.#run(scripts.PUT_KEY, id, hash, JSON.stringify(rest), expiresAt ?? -1, revokedAt ?? -1);
  }

  async keyByHash(hash: string): Promise<KeyRecord | undefined> {
    return keyOf(await this.#run(scripts.KEY_BY_HASH, hash));
  }

  async keys(): Promise<readonly KeyRecord[]> {
    const packed = unpack<readonly Packed[]>(await this.#run(scripts.API_KEYS));
    return packed.map(keyFrom).sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }

  async revokeKey(id: string, at: number): Promise<KeyRecord | undefined> {
    return keyOf(await this.#run(scripts.REVOKE_KEY, id, at));
  }

  async kick(sessions: readonly SessionId[], at: number): Promise<void> {
    if (sessions.length > 0) await this.#link.command('zadd', this.#kicks, ...sessions.flatMap((one) => [at, one]));
  }

  async kicked(sessions: readonly SessionId[]): Promise<ReadonlySet<SessionId>> {
    if (sessions.length === 0) return new Set();
    const scores = (await this.#link.command('zmscore', this.#kicks, ...sessions)) as readonly (Buffer | null)[];
    return new Set(sessions.filter((_session, at) => scores[at] !== null));
  }

  async forget(before: number): Promise<void> {
    while (Number(await this.#run(scripts.FORGET, before, STEP)) >= STEP);
  }

  outlive(): Promise<boolean> {
    return this.#link.copied(`${this.#kicks}:copied`);
  }

  get #kicks(): string {
    return this.#keys.at(-1) ?? '';
  }

  #run(script: Script, ...args: readonly Argument[]): Promise<unknown> {
    return this.#link.run(script, this.#keys, args);
  }
}

function tokensOf(answer: unknown): readonly TokenRecord[] {
  return unpack<readonly Packed[]>(answer).map(tokenFrom);
}

function tokenOf(answer: unknown): TokenRecord | undefined {
  return answer === null ? undefined : tokenFrom(unpack<Packed>(answer));
}

function keyOf(answer: unknown): KeyRecord | undefined {
  return answer === null ? undefined : keyFrom(unpack<Packed>(answer));
}

/** JSON leaves out what is undefined. */
function tokenFrom([json, revokedAt]: Packed): TokenRecord {
  const record = JSON.parse(json) as Omit<TokenRecord, 'revokedAt'>;
  return { ...record, device: record.device, revokedAt: revokedAt < 0 ? undefined : revokedAt };
}

function keyFrom([json, revokedAt]: Packed): KeyRecord {
  const record = JSON.parse(json) as Omit<KeyRecord, 'revokedAt'>;
  return { ...record, expiresAt: record.expiresAt, revokedAt: revokedAt < 0 ? undefined : revokedAt };
}
