// Both engines keep every promise of the Credentials contract.

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import type { TokenId, UserId } from '../../../src/protocol/ids.js';
import type { Credentials } from '../../../src/server/store/credentials.js';
import { type LmdbStore, openLmdbStore } from '../../../src/server/store/lmdb.js';
import { createMemoryCredentials } from '../../../src/server/store/memory-credentials.js';
import { OPTIONS } from '../../conformance/buckets-stage.js';
import { credentialsConformance } from '../../conformance/credentials.js';
import { TestClock } from './test-clock.js';

const root = mkdtempSync(join(tmpdir(), 'imgo-credentials-'));
const running = new Map<Credentials, { store: LmdbStore; path: string }>();

afterEach(async () => {
  for (const { store } of running.values()) await store[Symbol.asyncDispose]();
  running.clear();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function start(path: string): Promise<Credentials> {
  const store = await openLmdbStore({ path, options: OPTIONS, clock: new TestClock() });
  running.set(store.credentials, { store, path });
  return store.credentials;
}

describe('memory', () => {
  credentialsConformance({ create: async () => createMemoryCredentials() });
});

describe('lmdb', () => {
  credentialsConformance({
    create: () => start(mkdtempSync(join(root, 'd-'))),
    restart: async (credentials) => {
      const copy = mkdtempSync(join(root, 'c-'));
      cpSync(join(running.get(credentials)?.path ?? '', 'store.mdb'), join(copy, 'store.mdb'));
      return start(copy);
    },
  });
});

test('forgetting takes turns: others go on while many tokens are looked at', async () => {
  const credentials = await start(mkdtempSync(join(root, 'd-')));
  const user = 'alice' as UserId;
  const common = {
    user,
    device: undefined,
    rooms: [],
    createdAt: 1,
    expiresAt: 9,
    revokedAt: undefined,
    chosen: false,
  };
  const tokens = Array.from({ length: 3_500 }, (_, n) => ({ ...common, id: `t${n}` as TokenId, hash: `h${n}` }));
  await credentials.putTokens(tokens.map((token, n) => (n < 1_500 ? { ...token, expiresAt: 3 } : token)));
  let turns = 0;
  const turn = (): void => {
    turns++;
    immediate = setImmediate(turn);
  };
  let immediate = setImmediate(turn);
  await credentials.forget(2);
  expect(turns).toBeGreaterThanOrEqual(3);
  await credentials.forget(5);
  clearImmediate(immediate);
  expect(await credentials.tokens({ after: undefined, limit: 5_000 })).toHaveLength(2_000);
});
