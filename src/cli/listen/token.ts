// The token that `listen --user` connects with: made for an hour, revoked when the command ends.

import type { Api } from '../api.js';
import { path } from '../api.js';
import type { MadeToken, TokenWishes } from '../tokens.js';

/** A token of this command's own. */
export interface OwnToken {
  readonly token: string;
  /** Never throws: a token that cannot be revoked ends within the hour. */
  readonly revoke: () => Promise<void>;
}

/** Makes one. @throws ImgoError what the server says (scope_missing: it needs `token`), unreachable */
export async function mintToken(api: Api, user: string, wishes: TokenWishes): Promise<OwnToken> {
  const body = JSON.stringify({ user, ...wishes, ttl: '1h' });
  const made = await api.json<MadeToken>({ method: 'POST', path: '/v1/tokens', body });
  return {
    token: made.token,
    async revoke() {
      const call = { method: 'DELETE', path: path('v1', 'tokens', made.id), timeoutMs: 2_000 } as const;
      await api.call(call).catch(() => undefined);
    },
  };
}
