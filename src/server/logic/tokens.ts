// Clients' tokens: made, listed, renewed and revoked. A token is told once, when it is made; afterwards only its hash is
// kept. Revoking is durable first, then closes live sessions, and is confirmed only when every comet concerned has.

import { ImgoError } from '../../protocol/errors.js';
import type { DeviceId, TokenId, UserId } from '../../protocol/ids.js';
import type { SessionRecord } from '../store/buckets.js';
import type { TokenRecord } from '../store/credentials.js';
import { disconnectSessions } from './disconnects.js';
import type { LogicParts } from './options.js';
import { outliving } from './outlive.js';
import { newName, newSecret, secretHash, TOKEN_PREFIX } from './secrets.js';

/** A token shorter than this can be guessed, and is allowed only by `auth.weak_tokens`. Bytes of UTF-8. */
export const CHOSEN_TOKEN_MIN = 16;
/** Existing servers take AUTH bodies of 1 KiB. */
export const CHOSEN_TOKEN_MAX = 1_024;

export interface TokenRequest {
  readonly user: UserId;
  readonly device: DeviceId | undefined;
  /** Exact names or `prefix*`. */
  readonly rooms: readonly string[];
  readonly ttlMs: number | undefined;
}

/** A token that was just made, with its secret. */
export interface NewToken {
  readonly record: TokenRecord;
  readonly secret: string;
}

export class Tokens {
  readonly #parts: LogicParts;
  /** By hash: the choice under way. The next one for the same token looks after it. */
  readonly #choosing = new Map<string, Promise<unknown>>();

  constructor(parts: LogicParts) {
    this.#parts = parts;
  }

  /** Makes random tokens; durable when it resolves. */
  async create(requests: readonly TokenRequest[]): Promise<readonly NewToken[]> {
    const { clock, credentials, options } = this.#parts;
    const createdAt = clock.now();
    const made = requests.map(({ user, device, rooms, ttlMs }): NewToken => {
      const secret = newSecret(clock, TOKEN_PREFIX);
      const record: TokenRecord = {
        id: newName(clock, 't_') as TokenId,
        hash: secretHash(secret),
        user,
        device,
        rooms,
        createdAt,
        expiresAt: createdAt + (ttlMs ?? options.tokenTtlMs),
        revokedAt: undefined,
        chosen: false,
      };
      return { record, secret };
    });
    await credentials.putTokens(made.map(({ record }) => record));
    return made;
  }

  /**
   * imgo's `/1/admin/token/new`: a token that the caller chose. The same (user, token) renews it, also when it had
   * expired or was revoked: whoever may call this may make tokens.
   * @throws ImgoError token_weak, token_taken, invalid_request
   */
  async choose(user: UserId, secret: string, ttlMs: number | undefined): Promise<TokenRecord> {
    const { options } = this.#parts;
    const bytes = Buffer.byteLength(secret);
    if (bytes === 0 || bytes > CHOSEN_TOKEN_MAX) {
      throw new ImgoError('invalid_request', { detail: `a token has 1 to ${CHOSEN_TOKEN_MAX} bytes` });
    }
    if (bytes < CHOSEN_TOKEN_MIN && !options.weakTokens) throw new ImgoError('token_weak', { limit: CHOSEN_TOKEN_MIN });
    const hash = secretHash(secret);
    const before = this.#choosing.get(hash) ?? Promise.resolve();
    const choice = before.then(() => this.#choose(user, hash, ttlMs));
    const over = choice.catch(() => undefined);
    this.#choosing.set(hash, over);
    void over.then(() => {
      if (this.#choosing.get(hash) === over) this.#choosing.delete(hash);
    });
    return choice;
  }

  async #choose(user: UserId, hash: string, ttlMs: number | undefined): Promise<TokenRecord> {
    const { clock, credentials, options } = this.#parts;
    const known = await credentials.tokenByHash(hash);
    if (known !== undefined && known.user !== user) throw new ImgoError('token_taken');
    const createdAt = clock.now();
    const record: TokenRecord = {
      id: known?.id ?? (newName(clock, 't_') as TokenId),
      hash,
      user,
      device: known?.device,
      rooms: known?.rooms ?? [],
      createdAt: known?.createdAt ?? createdAt,
      expiresAt: createdAt + (ttlMs ?? options.tokenTtlMs),
      revokedAt: undefined,
      chosen: true,
    };
    await credentials.putTokens([record]);
    return record;
  }

  /** The user's token, valid now, or undefined. */
  async valid(secret: string): Promise<TokenRecord | undefined> {
    const token = await this.#parts.credentials.tokenByHash(secretHash(secret));
    if (token === undefined || token.revokedAt !== undefined) return undefined;
    return token.expiresAt > this.#parts.clock.now() ? token : undefined;
  }

  /** @throws ImgoError token_not_found */
  async byId(id: TokenId): Promise<TokenRecord> {
    const token = await this.#parts.credentials.tokenById(id);
    if (token === undefined) throw new ImgoError('token_not_found', { id: shownTokenId(id) });
    return token;
  }

  /** @throws ImgoError token_not_found */
  async bySecret(secret: string): Promise<TokenRecord> {
    const token = await this.#parts.credentials.tokenByHash(secretHash(secret));
    if (token === undefined) throw new ImgoError('token_not_found', { id: 'like that' });
    return token;
  }

  /**
   * Revokes durably, then closes the live sessions of what was revoked. Resolves when every comet concerned has
   * confirmed or is gone, with the records and how many sessions were closed.
   * @throws ImgoError token_not_found, overloaded, redis_not_copied
   */
  async revoke(which: { readonly id: TokenId } | { readonly user: UserId }) {
    const records = await this.#parts.credentials.revokeTokens(which, this.#parts.clock.now());
    const revoked = new Set(records.map((record) => record.id));
    const users = [...new Set(records.map((record) => record.user))];
    // Looked up after the revocation: a session that registers later sees it when its token is checked.
    const live = (await this.#parts.buckets.sessionsOf(users)).flat();
    const concerned = live.filter((session) => session.token !== undefined && revoked.has(session.token));
    const closed = await disconnectSessions(this.#parts, concerned, 'token_revoked', byToken);
    await outliving(this.#parts.credentials);
    if (records.length === 0 && 'id' in which) throw new ImgoError('token_not_found', { id: shownTokenId(which.id) });
    return { records, closed };
  }
}

function byToken(session: SessionRecord) {
  return { kind: 'token', token: session.token as TokenId } as const;
}

/** An id as an error shows it: a token pasted in its place is not repeated. */
function shownTokenId(id: string): string {
  return /^t_[\w-]{1,32}$/.test(id) ? id : 'of that name';
}
