// Presence and kick: who is connected, where, how far each has read; and closing sessions by an operator's word.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ImgoError } from '../../../protocol/errors.js';
import {
  formatId,
  type NodeId,
  type RoomId,
  type SessionId,
  type TokenId,
  type UserId,
} from '../../../protocol/ids.js';
import type { SessionInfo } from '../../rpc/services.js';
import type { SessionState } from '../../store/buckets.js';
import { findSession } from '../comets.js';
import { bySession, disconnectOn, disconnectSessions } from '../disconnects.js';
import { outliving } from '../outlive.js';
import { isoTime, limit, name } from '../schemas.js';
import { byLikelihood } from '../session-ids.js';
import { type PagedSession, sessionPage as pageOf, withInfos } from '../session-pages.js';
import { type RouteContext, requireScope } from './route.js';

const sessionInfo = z.object({
  session: z.string(),
  user: z.string().nullable(),
  device: z.string().describe('Empty: anonymous'),
  token: z.string().nullable(),
  node: z.string(),
  dialect: z.string(),
  transport: z.enum(['tcp', 'ws']),
  peer: z.string(),
  since: z.iso.datetime(),
  position: z.string().describe('Acknowledged or drained up to here'),
  sentTo: z.string().nullable().describe('null, and so for the rest: its comet did not answer'),
  lagBytes: z.int().nullable(),
  rooms: z.array(z.string()).nullable(),
  state: z.enum(['streaming', 'catching_up', 'held']).nullable(),
});
const sessionPage = z.object({
  items: z.array(sessionInfo),
  next: z.string().nullable(),
  missing: z
    .array(z.string())
    .describe('Nodes that did not answer: their sessions of a room, or null fields, are missing'),
});
const closed = z.object({ closed: z.int() });
const byId = z.object({ id: z.string().min(1).max(256) });
const byUser = z.object({ uid: name });

export function registerSessions(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'read');
  const tags = ['sessions'];

  scope.get(
    '/v1/users/:uid/sessions',
    { schema: { summary: 'Live sessions of a user', tags, params: byUser, response: { 200: sessionPage } } },
    async (request) => {
      const [states = []] = await context.buckets.sessionsOf([(request.params as { uid: UserId }).uid]);
      const { items, missing } = await withInfos(context, states);
      return { items: items.map(showPaged), next: null, missing };
    },
  );

  scope.get(
    '/v1/sessions',
    {
      schema: {
        summary: 'Live sessions, page by page: by id; those of a node or room by node',
        tags,
        querystring: z.strictObject({
          user: name.optional(),
          node: name.optional(),
          room: name.optional(),
          after: z.string().max(400).optional().describe('next of the page before'),
          limit,
        }),
        response: { 200: sessionPage },
      },
    },
    async (request) => {
      const query = request.query as { user?: UserId; node?: NodeId; room?: RoomId; after?: string; limit: number };
      const { user, node, room, after, limit } = query;
      const { items, next = null, missing } = await pageOf(context, { user, node, room, after, limit });
      return { items: items.map(showPaged), next, missing };
    },
  );

  scope.get(
    '/v1/sessions/:id',
    { schema: { summary: 'One live session', tags, params: byId, response: { 200: sessionInfo } } },
    async (request) => {
      const { id } = request.params as { id: SessionId };
      const info = await findSession(context, id);
      if (info === undefined) throw new ImgoError('session_not_found', { id: shown(id) });
      return show(info, info);
    },
  );
}

export function registerKicks(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'admin');
  const tags = ['sessions'];

  scope.delete(
    '/v1/sessions/:id',
    { schema: { summary: 'Close a session', tags, params: byId, response: { 200: closed } } },
    async (request) => {
      const { id } = request.params as { id: SessionId };
      const target = { kind: 'session', session: id } as const;
      // Durable first: a comet that cannot be reached learns it when it asks which of its sessions are still good.
      await context.credentials.kick([id], context.clock.now());
      let count = 0;
      for (const comets of byLikelihood(id, await context.registry.comets())) {
        const closing = comets.map(({ node, incarnation }) =>
          disconnectOn(context, { comet: node, incarnation }, target, 'kicked'),
        );
        for (const one of await Promise.all(closing)) count += one;
        if (count > 0) break;
      }
      await outliving(context.credentials);
      if (count === 0) throw new ImgoError('session_not_found', { id: shown(id) });
      return { closed: count };
    },
  );

  scope.delete(
    '/v1/users/:uid/sessions',
    { schema: { summary: "Close a user's sessions", tags, params: byUser, response: { 200: closed } } },
    async (request) => {
      const { uid } = request.params as { uid: UserId };
      const [sessions = []] = await context.buckets.sessionsOf([uid]);
      await context.credentials.kick(
        sessions.map(({ session }) => session),
        context.clock.now(),
      );
      const count = await disconnectSessions(context, sessions, 'kicked', () => ({ kind: 'user', user: uid }));
      await outliving(context.credentials);
      return { closed: count };
    },
  );

  scope.delete(
    '/v1/tokens/:id/sessions',
    {
      schema: {
        summary: 'Close the sessions of a token, which stays good',
        tags,
        params: z.object({ id: z.string().min(1).max(128) }),
        response: { 200: closed },
      },
    },
    async (request) => {
      const { id } = request.params as { id: TokenId };
      const token = await context.credentials.tokenById(id);
      if (token === undefined)
        throw new ImgoError('token_not_found', { id: /^[\w-]{1,40}$/.test(id) ? id : 'of that name' });
      const [all = []] = await context.buckets.sessionsOf([token.user]);
      const sessions = all.filter((session) => session.token === id);
      await context.credentials.kick(
        sessions.map(({ session }) => session),
        context.clock.now(),
      );
      const count = await disconnectSessions(context, sessions, 'kicked', bySession);
      await outliving(context.credentials);
      return { closed: count };
    },
  );
}

function showPaged({ state, info }: PagedSession) {
  return show(state, info);
}

function show(state: SessionState, info: SessionInfo | undefined) {
  const { session, user, device, token, comet, dialect, transport, peer, since, position } = state;
  return {
    session,
    user: user ?? null,
    device,
    token: token ?? null,
    node: comet,
    dialect,
    transport,
    peer,
    since: isoTime(since),
    position: formatId(position),
    sentTo: info === undefined ? null : formatId(info.sentTo),
    lagBytes: info?.lagBytes ?? null,
    rooms: info?.rooms ?? null,
    state: info?.state ?? null,
  };
}

/** An id as an error shows it: a token pasted in its place is not repeated. */
function shown(id: string): string {
  return /^(s_[\w-]{16}|k\.[\w.-]{1,64})$/.test(id) ? id : 'of that name';
}
