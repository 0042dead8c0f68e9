// /v1/tokens: make one or many, list, look at, revoke. The token itself is in the answer to its making, and never again.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { DeviceId, TokenId, UserId } from '../../../protocol/ids.js';
import type { TokenRecord } from '../../store/credentials.js';
import { duration, isoTime, limit, name } from '../schemas.js';
import type { NewToken, TokenRequest } from '../tokens.js';
import { type RouteContext, requireScope, takeJson } from './route.js';

/** Tokens made by one request. */
const MANY = 10_000;
const ROOMS_MAX = 100;

const tokenRequest = z.strictObject({
  user: name,
  device: name
    .refine((text) => !text.startsWith('~'), 'must not begin with ~')
    .optional()
    .describe('Sessions of this token have this device'),
  rooms: z.array(name).max(ROOMS_MAX).optional().describe('Rooms it may join: names, or prefix*'),
  ttl: duration
    .refine((ms) => ms > 0, 'must not be 0')
    .optional()
    .describe('auth.token_ttl unless given'),
});

const tokenInfo = z.object({
  id: z.string(),
  user: z.string(),
  device: z.string().nullable(),
  rooms: z.array(z.string()),
  created: z.iso.datetime(),
  expires: z.iso.datetime(),
  revoked: z.iso.datetime().nullable(),
  state: z.enum(['valid', 'expired', 'revoked']),
});
const newToken = z.object({
  id: z.string(),
  token: z.string().describe('Told once'),
  user: z.string(),
  device: z.string().nullable(),
  rooms: z.array(z.string()),
  expires: z.iso.datetime(),
});
const revoked = z.object({ revoked: z.array(z.string()), sessionsClosed: z.int() });

export function registerTokens(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'token');
  takeJson(scope);
  const { tokens, credentials, clock } = context;
  const tags = ['tokens'];

  scope.post(
    '/v1/tokens',
    {
      schema: {
        summary: 'Make a token, or a list of them',
        tags,
        body: z.union([tokenRequest, z.array(tokenRequest).min(1).max(MANY)]),
        response: { 200: z.union([newToken, z.array(newToken)]) },
      },
    },
    async (request) => {
      const body = request.body as z.output<typeof tokenRequest> | z.output<typeof tokenRequest>[];
      const made = await tokens.create((Array.isArray(body) ? body : [body]).map(requestOf));
      return Array.isArray(body) ? made.map(showNew) : showNew(made[0] as NewToken);
    },
  );

  scope.get(
    '/v1/tokens',
    {
      schema: {
        summary: 'Tokens by id, page by page',
        tags,
        querystring: z.strictObject({ user: name.optional(), after: z.string().max(64).optional(), limit }),
        response: { 200: z.object({ items: z.array(tokenInfo), next: z.string().nullable() }) },
      },
    },
    async (request) => {
      const query = request.query as { user?: string; after?: string; limit: number };
      const page = { after: query.after as TokenId | undefined, limit: query.limit };
      const found = await credentials.tokens(query.user === undefined ? page : { ...page, user: query.user as UserId });
      const next = found.length < query.limit ? null : (found.at(-1)?.id ?? null);
      return { items: found.map((token) => show(token, clock.now())), next };
    },
  );

  scope.get(
    '/v1/tokens/:id',
    {
      schema: { summary: 'One token', tags, params: z.object({ id: z.string() }), response: { 200: tokenInfo } },
    },
    async (request) => show(await tokens.byId((request.params as { id: TokenId }).id), clock.now()),
  );

  scope.post(
    '/v1/tokens/inspect',
    {
      schema: {
        summary: 'What a token is, for who has it',
        tags,
        body: z.strictObject({ token: z.string().min(1).max(1_024) }),
        response: { 200: tokenInfo },
      },
    },
    async (request) => show(await tokens.bySecret((request.body as { token: string }).token), clock.now()),
  );

  scope.delete(
    '/v1/tokens/:id',
    {
      schema: {
        summary: 'Revoke a token and close its sessions',
        tags,
        params: z.object({ id: z.string() }),
        response: { 200: revoked },
      },
    },
    async (request) => {
      const { id } = request.params as { id: TokenId };
      const { records, closed } = await tokens.revoke({ id });
      return { revoked: records.map((token) => token.id), sessionsClosed: closed };
    },
  );

  scope.delete(
    '/v1/tokens',
    {
      schema: {
        summary: 'Revoke all tokens of a user and close their sessions',
        tags,
        querystring: z.strictObject({ user: name }),
        response: { 200: revoked },
      },
    },
    async (request) => {
      const { records, closed } = await tokens.revoke({ user: (request.query as { user: UserId }).user });
      return { revoked: records.map((token) => token.id), sessionsClosed: closed };
    },
  );
}

function requestOf(body: z.output<typeof tokenRequest>): TokenRequest {
  return {
    user: body.user as UserId,
    device: body.device as DeviceId | undefined,
    rooms: body.rooms ?? [],
    ttlMs: body.ttl,
  };
}

function showNew({ record, secret }: NewToken) {
  const { id, user, device, rooms, expiresAt } = record;
  return { id, token: secret, user, device: device ?? null, rooms, expires: isoTime(expiresAt) };
}

function show(token: TokenRecord, now: number) {
  const { id, user, device, rooms, createdAt, expiresAt, revokedAt } = token;
  return {
    id,
    user,
    device: device ?? null,
    rooms,
    created: isoTime(createdAt),
    expires: isoTime(expiresAt),
    revoked: revokedAt === undefined ? null : isoTime(revokedAt),
    state: revokedAt !== undefined ? 'revoked' : expiresAt <= now ? 'expired' : 'valid',
  };
}
