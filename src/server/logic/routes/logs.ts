// What is kept and who is there: a user's messages with their state per device, rooms with their members and history.
// A room name may stand in the path or, because proxies mangle `/`, in ?room=.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ImgoError } from '../../../protocol/errors.js';
import {
  formatId,
  type MessageId,
  parseId,
  type RoomId,
  roomId,
  roomLog,
  type UserId,
  userLog,
} from '../../../protocol/ids.js';
import type { Registry } from '../../router/registry.js';
import { memberCount, roomHolders } from '../comets.js';
import { keptMessages } from '../kept-messages.js';
import { limit, name } from '../schemas.js';
import { type RouteContext, requireScope } from './route.js';

const JSON_TYPE = 'application/json; charset=utf-8';
const pageQuery = { after: z.string().max(32).optional().describe('epoch-n'), limit };
const roomQuery = { room: name.optional().describe('In place of the one in the path') };
const item = z.union([
  z.object({
    id: z.string(),
    acceptedAt: z.iso.datetime(),
    expiresAt: z.iso.datetime(),
    operation: z.int().optional(),
    state: z.record(z.string(), z.enum(['acknowledged', 'sent', 'waiting'])).optional(),
    message: z.unknown().optional(),
    base64: z.string().optional(),
  }),
  z.object({ gap: z.object({ after: z.string(), upTo: z.string() }) }),
]);
const device = z.object({
  device: z.string(),
  cursor: z.string(),
  sentTo: z.string(),
  clean: z.boolean(),
  lastSeen: z.iso.datetime(),
});
const messages = z.object({
  log: z.string(),
  head: z.string(),
  trimmedTo: z.string(),
  items: z.array(item),
  devices: z.array(device).optional(),
  next: z.string().nullable(),
});
const roomSummary = z.object({ room: z.string(), members: z.int() });
const roomInfo = z.object({
  room: z.string(),
  members: z.int(),
  nodes: z.array(z.object({ node: z.string(), members: z.int() })),
  log: z.object({ head: z.string(), trimmedTo: z.string(), messages: z.int(), bytes: z.int() }).nullable(),
});
const roomParams = z.object({ room: z.string() });

export function registerLogs(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'read');
  const { buckets, registry } = context;

  scope.get(
    '/v1/users/:uid/messages',
    {
      schema: {
        summary: 'What is kept for a user, with its state per device',
        tags: ['messages'],
        params: z.object({ uid: name }),
        querystring: z.strictObject(pageQuery),
        response: { 200: messages },
      },
    },
    async (request, reply) => {
      const { uid } = request.params as { uid: UserId };
      const devices = await buckets.devices(uid);
      const body = await keptMessages(buckets, userLog(uid), { ...pageOf(request), devices });
      return reply.header('content-type', JSON_TYPE).send(body);
    },
  );

  scope.get(
    '/v1/rooms',
    {
      schema: {
        summary: 'Rooms that somebody is in, page by page; with ?room= that one',
        tags: ['rooms'],
        querystring: z.strictObject({
          ...roomQuery,
          prefix: name.optional().describe('Those whose names begin with it'),
          after: name.optional(),
          limit,
        }),
        response: { 200: z.union([z.object({ items: z.array(roomSummary), next: z.string().nullable() }), roomInfo]) },
      },
    },
    async (request) => {
      const query = request.query as { room?: RoomId; prefix?: RoomId; after?: RoomId; limit: number };
      if (query.room !== undefined) return describeRoom(context, query.room);
      const rooms = await roomsOf(registry, query);
      const holders = await roomHolders(context, rooms);
      const items = rooms.map((room, index) => ({ room, members: memberCount(holders[index] ?? []) }));
      return { items, next: rooms.length < query.limit ? null : (rooms.at(-1) ?? null) };
    },
  );

  scope.get(
    '/v1/rooms/:room',
    {
      schema: {
        summary: 'Members and history of a room',
        tags: ['rooms'],
        params: roomParams,
        querystring: z.strictObject(roomQuery),
        response: { 200: roomInfo },
      },
    },
    async (request) => describeRoom(context, roomOf(request)),
  );

  scope.get(
    '/v1/rooms/:room/messages',
    {
      schema: {
        summary: "What is kept of a room's messages",
        tags: ['rooms'],
        params: roomParams,
        querystring: z.strictObject({ ...roomQuery, ...pageQuery }),
        response: { 200: messages },
      },
    },
    async (request, reply) => {
      const body = await keptMessages(buckets, roomLog(roomOf(request)), pageOf(request));
      return reply.header('content-type', JSON_TYPE).send(body);
    },
  );
}

/** A page of rooms by name; with a prefix none of the others is looked at, but one behind the last. */
async function roomsOf(
  registry: Registry,
  { prefix, after, limit }: { readonly prefix?: RoomId; readonly after?: RoomId; readonly limit: number },
): Promise<readonly RoomId[]> {
  if (prefix === undefined) return registry.rooms({ after, limit });
  const begins = after === undefined || after < prefix;
  const rest = await registry.rooms({ after: begins ? prefix : after, limit });
  const rooms = rest.filter((room) => room.startsWith(prefix));
  // What a page begins after is not in it.
  const [holders = []] = begins ? await registry.cometsOf([prefix]) : [];
  return (holders.length > 0 ? [prefix, ...rooms] : rooms).slice(0, limit);
}

async function describeRoom(context: RouteContext, room: RoomId) {
  const [holders = []] = await roomHolders(context, [room]);
  const state = await context.buckets.log(roomLog(room));
  const log =
    state === undefined
      ? null
      : {
          head: formatId(state.head),
          trimmedTo: formatId(state.trimmedTo),
          messages: state.messages,
          bytes: state.bytes,
        };
  return { room, members: memberCount(holders), nodes: holders, log };
}

/** @throws ImgoError invalid_room */
function roomOf(request: FastifyRequest): RoomId {
  const { room: named } = request.query as { room?: string };
  const room = roomId(named ?? (request.params as { room: string }).room);
  if (room === undefined) throw new ImgoError('invalid_room');
  return room;
}

/** @throws ImgoError invalid_id */
function pageOf(request: FastifyRequest): { readonly after: MessageId | undefined; readonly limit: number } {
  const query = request.query as { after?: string; limit: number };
  if (query.after === undefined) return { after: undefined, limit: query.limit };
  const after = parseId(query.after);
  if (after === undefined) throw new ImgoError('invalid_id', { value: 'That' });
  return { after, limit: query.limit };
}
