/**
 * The Credentials contract: tokens of clients and API keys of callers, kept only as sha256 hashes of 256-bit random
 * secrets, and which sessions were kicked. Engines stand beside (memory, lmdb, redis); test/conformance/credentials.ts proves
 * them. All writes are durable when they resolve, as far as one
 * server is. A revoked or expired one is found as such until it is forgotten, so that
 * the reason can be told.
 */
import type { DeviceId, SessionId, TokenId, UserId } from '../../protocol/ids.js';

export interface TokenRecord {
  readonly id: TokenId;
  /** sha256 of the secret, hex. */
  readonly hash: string;
  readonly user: UserId;
  readonly device: DeviceId | undefined;
  /** Exact names or `prefix*`; also the rooms that imgo's AUTH joins. */
  readonly rooms: readonly string[];
  /** Wall ms. */
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly revokedAt: number | undefined;
  /** Chosen by the caller through /1/admin/token/new rather than random. */
  readonly chosen: boolean;
}

export type Scope = 'push' | 'token' | 'read' | 'admin';

export interface KeyRecord {
  readonly id: string;
  readonly hash: string;
  readonly name: string;
  /** admin implies the others. */
  readonly scopes: readonly Scope[];
  readonly createdAt: number;
  /** undefined: never. */
  readonly expiresAt: number | undefined;
  readonly revokedAt: number | undefined;
}

export interface Credentials {
  /** Adds or replaces (same hash). */
  putTokens(tokens: readonly TokenRecord[]): Promise<void>;
  tokenByHash(hash: string): Promise<TokenRecord | undefined>;
  tokenById(id: TokenId): Promise<TokenRecord | undefined>;
  /** By id, page by page; `user` narrows. */
  tokens(page: {
    readonly after: TokenId | undefined;
    readonly limit: number;
    readonly user?: UserId;
  }): Promise<readonly TokenRecord[]>;
  /** Sets revokedAt where it is not set; returns the records that changed or were revoked already. */
  revokeTokens(
    which: { readonly id: TokenId } | { readonly user: UserId },
    at: number,
  ): Promise<readonly TokenRecord[]>;

  putKey(key: KeyRecord): Promise<void>;
  keyByHash(hash: string): Promise<KeyRecord | undefined>;
  keys(): Promise<readonly KeyRecord[]>;
  revokeKey(id: string, at: number): Promise<KeyRecord | undefined>;

  /** An operator closed these sessions, `at` wall ms: they must not go on, wherever they are. */
  kick(sessions: readonly SessionId[], at: number): Promise<void>;
  /** Those of these sessions that were kicked. */
  kicked(sessions: readonly SessionId[]): Promise<ReadonlySet<SessionId>>;
  /**
   * Engines whose server another one may take over from: whether everything that was written before is there, too. false: not
   * confirmed in a second or so. An engine without it forgets nothing that was durable.
   */
  outlive?(): Promise<boolean>;
  /** Forgets what expired, was revoked or was kicked before `before`. */
  forget(before: number): Promise<void>;
}
