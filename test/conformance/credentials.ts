// What every Credentials engine promises: records are found by hash and by id, revocation is kept, forgetting is exact.

import { expect, test } from 'vitest';
import type { SessionId, TokenId, UserId } from '../../src/protocol/ids.js';
import type { Credentials, KeyRecord, TokenRecord } from '../../src/server/store/credentials.js';

export interface CredentialsEngine {
  create(): Promise<Credentials>;
  /** The same data after the process died. Missing: nothing outlives it. */
  readonly restart?: (credentials: Credentials) => Promise<Credentials>;
}

const hash = (name: string): string => Buffer.from(name.padEnd(32, '.')).toString('hex');

function token(name: string, more: Partial<TokenRecord> = {}): TokenRecord {
  return {
    id: name as TokenId,
    hash: hash(name),
    user: 'alice' as UserId,
    device: undefined,
    rooms: ['a', 'b*'],
    createdAt: 1_000,
    expiresAt: 9_000,
    revokedAt: undefined,
    chosen: false,
    ...more,
  };
}

function key(name: string, more: Partial<KeyRecord> = {}): KeyRecord {
  const scopes = ['push', 'read'] as const;
  return {
    id: name,
    hash: hash(name),
    name,
    scopes,
    createdAt: 1_000,
    expiresAt: undefined,
    revokedAt: undefined,
    ...more,
  };
}

export function credentialsConformance(engine: CredentialsEngine): void {
  const ids = (tokens: readonly TokenRecord[]): string[] => tokens.map((one) => one.id);

  test('a token is found by its hash and by its id, as it was put', async () => {
    const credentials = await engine.create();
    const full = token('full', { device: 'phone' as never, rooms: [], chosen: true, revokedAt: 5 });
    await credentials.putTokens([token('t'), full]);
    expect(await credentials.tokenByHash(hash('t'))).toEqual(token('t'));
    expect(await credentials.tokenById('full' as TokenId)).toEqual(full);
    expect(await credentials.tokenByHash(hash('x'))).toBeUndefined();
    expect(await credentials.tokenById('x' as TokenId)).toBeUndefined();
    await credentials.putTokens([]);
  });

  test('the same hash replaces: what it was before is not found any more', async () => {
    const credentials = await engine.create();
    await credentials.putTokens([token('old')]);
    const renewed = token('new', { hash: hash('old'), user: 'bob' as UserId, expiresAt: 20_000 });
    await credentials.putTokens([renewed]);
    expect(await credentials.tokenByHash(hash('old'))).toEqual(renewed);
    expect(await credentials.tokenById('old' as TokenId)).toBeUndefined();
    expect(await credentials.tokens({ after: undefined, limit: 9, user: 'alice' as UserId })).toEqual([]);
    expect(ids(await credentials.tokens({ after: undefined, limit: 9 }))).toEqual(['new']);
  });

  test('writers in flight together see one another', async () => {
    const credentials = await engine.create();
    await Promise.all([
      credentials.putTokens([token('a')]),
      credentials.putTokens([token('a', { expiresAt: 1 })]),
      credentials.revokeTokens({ id: 'a' as TokenId }, 7),
    ]);
    expect(await credentials.tokenByHash(hash('a'))).toEqual(token('a', { expiresAt: 1, revokedAt: 7 }));
  });

  test('tokens are paged by id, of all users or of one', async () => {
    const credentials = await engine.create();
    const all = Array.from({ length: 23 }, (_, at) => `t${String(at).padStart(2, '0')}`);
    const user = (at: number): UserId => (at % 2 === 0 ? 'alice' : 'alice2') as UserId;
    await credentials.putTokens([...all].reverse().map((name) => token(name, { user: user(all.indexOf(name)) })));
    const seen: string[] = [];
    for (let after: TokenId | undefined; ; ) {
      const page = await credentials.tokens({ after, limit: 5 });
      seen.push(...ids(page));
      after = page[page.length - 1]?.id;
      if (page.length < 5) break;
    }
    expect(seen).toEqual(all);
    const even = all.filter((_, at) => at % 2 === 0);
    const alice = 'alice' as UserId;
    expect(ids(await credentials.tokens({ after: undefined, limit: 99, user: alice }))).toEqual(even);
    expect(ids(await credentials.tokens({ after: 't04' as TokenId, limit: 2, user: alice }))).toEqual(['t06', 't08']);
  });

  test('a token revoked by id or with its user stays known as revoked, since the first time', async () => {
    const credentials = await engine.create();
    await credentials.putTokens([token('a'), token('b'), token('c', { user: 'bob' as UserId })]);
    expect(await credentials.revokeTokens({ id: 'a' as TokenId }, 50)).toEqual([token('a', { revokedAt: 50 })]);
    const both = await credentials.revokeTokens({ user: 'alice' as UserId }, 60);
    expect(both).toEqual([token('a', { revokedAt: 50 }), token('b', { revokedAt: 60 })]);
    expect(await credentials.tokenByHash(hash('b'))).toEqual(token('b', { revokedAt: 60 }));
    expect(await credentials.tokenByHash(hash('c'))).toEqual(token('c', { user: 'bob' as UserId }));
    expect(await credentials.revokeTokens({ id: 'nobody' as TokenId }, 60)).toEqual([]);
    expect(await credentials.revokeTokens({ user: 'nobody' as UserId }, 60)).toEqual([]);
  });

  test('keys are found by hash, listed by age, replaced by id, revoked by id', async () => {
    const credentials = await engine.create();
    await credentials.putKey(key('late', { createdAt: 2_000, expiresAt: 5_000 }));
    await credentials.putKey(key('early'));
    expect(await credentials.keys()).toEqual([key('early'), key('late', { createdAt: 2_000, expiresAt: 5_000 })]);
    expect(await credentials.keyByHash(hash('early'))).toEqual(key('early'));
    expect(await credentials.keyByHash(hash('x'))).toBeUndefined();
    await credentials.putKey(key('early', { hash: hash('other') }));
    expect(await credentials.keyByHash(hash('early'))).toBeUndefined();
    expect(await credentials.revokeKey('early', 70)).toMatchObject({ revokedAt: 70, hash: hash('other') });
    expect(await credentials.revokeKey('early', 80)).toMatchObject({ revokedAt: 70 });
    expect(await credentials.keyByHash(hash('other'))).toMatchObject({ revokedAt: 70 });
    expect(await credentials.revokeKey('nobody', 80)).toBeUndefined();
  });

  test('kicked sessions are known as such, and no others', async () => {
    const credentials = await engine.create();
    const [a, b, c] = ['s_a', 's_b', 's_c'] as SessionId[] as [SessionId, SessionId, SessionId];
    await credentials.kick([a, b], 50);
    await credentials.kick([], 50);
    expect(await credentials.kicked([c, b, a])).toEqual(new Set([a, b]));
    expect(await credentials.kicked([])).toEqual(new Set());
    await credentials.kick([b], 100);
    await credentials.forget(100);
    expect(await credentials.kicked([a, b])).toEqual(new Set([b]));
  });

  test('only what expired or was revoked before is forgotten', async () => {
    const credentials = await engine.create();
    await credentials.putTokens([
      token('live', { expiresAt: 100 }),
      token('expired', { expiresAt: 99 }),
      token('revoked', { expiresAt: 500, revokedAt: 99 }),
      token('lately', { expiresAt: 500, revokedAt: 100 }),
    ]);
    await credentials.putKey(key('kept'));
    await credentials.putKey(key('over', { expiresAt: 99 }));
    await credentials.putKey(key('out', { revokedAt: 99 }));
    await credentials.forget(100);
    expect(ids(await credentials.tokens({ after: undefined, limit: 9 }))).toEqual(['lately', 'live']);
    expect(await credentials.tokenByHash(hash('expired'))).toBeUndefined();
    expect(ids(await credentials.tokens({ after: undefined, limit: 9, user: 'alice' as UserId }))).toHaveLength(2);
    expect((await credentials.keys()).map((one) => one.id)).toEqual(['kept']);
  });

  if (engine.restart === undefined) return;
  const { restart } = engine;

  test('what was put, revoked or kicked is on disk when it resolves', async () => {
    const credentials = await engine.create();
    await credentials.putTokens([token('a'), token('b')]);
    await credentials.revokeTokens({ id: 'a' as TokenId }, 50);
    await credentials.putKey(key('k'));
    await credentials.kick(['s_a' as SessionId], 50);
    const again = await restart(credentials);
    expect(await again.tokenByHash(hash('a'))).toEqual(token('a', { revokedAt: 50 }));
    expect(await again.tokenById('b' as TokenId)).toEqual(token('b'));
    expect(await again.keyByHash(hash('k'))).toEqual(key('k'));
    expect(await again.kicked(['s_a' as SessionId])).toEqual(new Set(['s_a']));
  });
}
