// Tokens over the API: made one by one or in bulk, listed, looked at, revoked.

import { ImgoError } from '../protocol/errors.js';
import { type Api, pages, path } from './api.js';
import { createInput } from './input.js';
import { age, type Output } from './output.js';
import { lineGroups } from './push/line-reader.js';

/** A token that was just made. */
export interface MadeToken {
  readonly id: string;
  readonly token: string;
  readonly user: string;
  readonly device: string | null;
  readonly rooms: readonly string[];
  readonly expires: string;
}

/** A token without its secret. */
export interface ShownToken extends Omit<MadeToken, 'token'> {
  readonly created: string;
  readonly state: 'valid' | 'expired' | 'revoked';
}

/** What a token shall be. */
export interface TokenWishes {
  readonly ttl?: string;
  readonly device?: string;
  readonly rooms?: readonly string[];
}

/** Makes one token (printed bare), or one for each line of a file (NDJSON). */
export async function createTokens(
  api: Api,
  whose: { readonly user: string } | { readonly file: string },
  wishes: TokenWishes,
  output: Output,
): Promise<void> {
  if ('user' in whose) {
    const made = await api.json<MadeToken>({
      method: 'POST',
      path: '/v1/tokens',
      body: JSON.stringify({ user: whose.user, ...wishes }),
    });
    if (output.json) return output.object(made);
    await output.line(made.token);
    output.note(`For user ${made.user} until ${made.expires}. It is not shown again; its id is ${made.id}.`);
    return;
  }
  for await (const group of lineGroups(createInput(whose.file))) {
    const users = group.map(({ bytes }) => JSON.stringify({ user: bytes.toString('utf8').trim(), ...wishes }));
    for (const body of bodies(users)) {
      const made = await api.json<readonly MadeToken[]>({
        method: 'POST',
        path: '/v1/tokens',
        body,
        timeoutMs: 60_000,
      });
      await output.raw(made.map((token) => `${JSON.stringify(token)}\n`).join(''));
    }
  }
}

/** Requests that stay below the server's limit of 1 MiB. */
function* bodies(items: readonly string[]): Generator<string> {
  let part: string[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = Buffer.byteLength(item) + 1;
    if (part.length > 0 && bytes + size > 900_000) {
      yield `[${part.join(',')}]`;
      part = [];
      bytes = 0;
    }
    part.push(item);
    bytes += size;
  }
  yield `[${part.join(',')}]`;
}

/** Prints tokens page by page. */
export async function listTokens(api: Api, user: string | undefined, output: Output): Promise<void> {
  let shown = 0;
  for await (const { items } of pages<ShownToken>(api, '/v1/tokens', { user }, Number.POSITIVE_INFINITY)) {
    if (items.length > 0) await printTokens(items, output);
    shown += items.length;
  }
  if (shown === 0 && !output.json) output.note('No tokens.');
}

/** Prints tokens. */
export async function printTokens(tokens: readonly ShownToken[], output: Output): Promise<void> {
  await output.items(tokens, {
    columns: [
      { title: 'id', value: (token) => token.id },
      { title: 'user', value: (token) => token.user },
      { title: 'device', value: (token) => token.device ?? '-' },
      { title: 'state', value: (token) => token.state },
      {
        title: 'good for',
        value: (token) => (token.state === 'valid' ? age(Date.parse(token.expires) - Date.now()) : '-'),
      },
      { title: 'rooms', value: (token) => token.rooms.join(' ') },
    ],
    none: 'No tokens.',
  });
}

/** What was revoked. */
export interface Revoked {
  readonly revoked: readonly string[];
  readonly sessionsClosed: number;
}

/** Revokes one token, or all of a user. */
export async function revokeTokens(
  api: Api,
  which: { readonly id: string } | { readonly user: string },
  output: Output,
): Promise<void> {
  const at = 'id' in which ? path('v1', 'tokens', which.id) : `/v1/tokens?user=${encodeURIComponent(which.user)}`;
  const result = await api.json<Revoked>({ method: 'DELETE', path: at });
  if (output.json) return output.object(result);
  for (const id of result.revoked) await output.line(id);
  if (result.revoked.length === 0 && 'id' in which) throw new ImgoError('token_not_found', { id: which.id });
  const { revoked, sessionsClosed } = result;
  output.note(`${revoked.length} revoked, ${sessionsClosed} session${sessionsClosed === 1 ? '' : 's'} closed.`);
}
