// /v1/keys: make, list, revoke. Needs an admin key; in development the first key made ends development.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { KeyRecord, Scope } from '../../store/credentials.js';
import { createKey, revokeKey, SCOPES } from '../keys.js';
import { outliving } from '../outlive.js';
import { duration, isoTime } from '../schemas.js';
import { type RouteContext, requireScope, takeJson } from './route.js';

const scopes = z
  .array(z.enum(SCOPES as [Scope, ...Scope[]]))
  .min(1)
  .max(SCOPES.length);
const keyRequest = z.strictObject({
  name: z.string().max(128).default('').describe('For people'),
  scopes,
  ttl: duration
    .refine((ms) => ms > 0, 'must not be 0')
    .optional()
    .describe('Never expires unless given'),
});
const keyInfo = z.object({
  id: z.string(),
  name: z.string(),
  scopes,
  created: z.iso.datetime(),
  expires: z.iso.datetime().nullable(),
  revoked: z.iso.datetime().nullable(),
  state: z.enum(['valid', 'expired', 'revoked']),
});
const newKey = z.object({
  id: z.string(),
  key: z.string().describe('Told once'),
  name: z.string(),
  scopes,
  expires: z.iso.datetime().nullable(),
});

export function registerKeys(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'admin');
  takeJson(scope);
  const { credentials, clock, access } = context;
  const tags = ['keys'];

  scope.post(
    '/v1/keys',
    { schema: { summary: 'Make an API key', tags, body: keyRequest, response: { 200: newKey } } },
    async (request) => {
      const { name, scopes, ttl } = request.body as z.output<typeof keyRequest>;
      const { record, secret } = await createKey(credentials, clock, { name, scopes, ttlMs: ttl });
      access.leaveDevelopment();
      return { id: record.id, key: secret, name, scopes, expires: isoOrNull(record.expiresAt) };
    },
  );

  scope.get(
    '/v1/keys',
    { schema: { summary: 'All keys', tags, response: { 200: z.object({ items: z.array(keyInfo) }) } } },
    async () => ({ items: (await credentials.keys()).map((key) => show(key, clock.now())) }),
  );

  scope.delete(
    '/v1/keys/:id',
    { schema: { summary: 'Revoke a key', tags, params: z.object({ id: z.string() }), response: { 200: keyInfo } } },
    async (request) => {
      const key = await revokeKey(credentials, clock, (request.params as { id: string }).id);
      access.forget(key.hash);
      await outliving(credentials);
      return show(key, clock.now());
    },
  );
}

function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : isoTime(ms);
}

function show(key: KeyRecord, now: number) {
  const { id, name, scopes, createdAt, expiresAt, revokedAt } = key;
  const expired = expiresAt !== undefined && expiresAt <= now;
  return {
    id,
    name,
    scopes,
    created: isoTime(createdAt),
    expires: isoOrNull(expiresAt),
    revoked: isoOrNull(revokedAt),
    state: revokedAt !== undefined ? 'revoked' : expired ? 'expired' : 'valid',
  };
}
