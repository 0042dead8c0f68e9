// goim v2's API (`/goim/…`), as its callers expect it: {"code":0,"message":""} with "data" where there is any, -400 for a bad
// request, -500 for an error of the server. An unknown outcome never says success.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { asImgoError, ImgoError } from '../../protocol/errors.js';
import {
  isName,
  type RoomId,
  roomId,
  type SessionId,
  type UserId,
  userId,
  userLog,
  ZERO_ID,
} from '../../protocol/ids.js';
import type { Notification } from '../rpc/services.js';
import type { SessionState } from '../store/buckets.js';
import { allStats, memberCount, membersByRoom, roomHolders } from './comets.js';
import { badParameter, type LegacyRoute, queryAll, queryOf, registerLegacy } from './legacy.js';
import { checkPayload, type Target } from './push-body.js';
import { bytesOf, type RouteContext, tracedCaller } from './routes/route.js';
import { sessionPrefix } from './sessions.js';

const SUCCESS = { code: 0, message: '' };
const BAD_REQUEST = -400;
const SERVER_ERROR = -500;

/** Sessions of one key: goim has one, a reconnect may overlap. */
const SESSIONS_PER_KEY = 16;
const ROOMS_TOP = 1_000;
/** `ip_count` reads the sessions: at most so many, at most so often. */
const PEERS_MAX = 200_000;
const PEERS_EVERY_MS = 10_000;

const answer = z.object({ code: z.int(), message: z.string() });
const data = (shape: z.ZodType) => z.object({ code: z.int(), message: z.string(), data: shape.optional() });
const operation = z.string().describe('4, 5 or from 1000 on');
const many = z.union([z.string(), z.array(z.string())]);

export function registerGoim(scope: FastifyInstance, context: RouteContext, keyless: boolean): void {
  const failed = (error: ImgoError) => ({
    code: error.http < 500 ? BAD_REQUEST : SERVER_ERROR,
    message: error.message,
  });
  registerLegacy(scope, context, [...pushRoutes(context), ...onlineRoutes(context)], { keyless, failed });
}

function pushRoutes(context: RouteContext): readonly LegacyRoute[] {
  const route = (
    url: string,
    summary: string,
    query: z.ZodRawShape,
    handle: (request: FastifyRequest) => Promise<unknown>,
  ): LegacyRoute => ({
    method: 'POST',
    url,
    needs: 'push',
    schema: {
      summary,
      tags: ['goim'],
      querystring: z.object({ operation, ...query }),
      body: z.unknown().describe('The message, whatever the content type says'),
      response: { 200: answer },
    },
    handle,
  });
  return [
    route('/goim/push/keys', 'Push to live connections by their keys; nothing is stored', { keys: many }, (request) =>
      pushKeys(context, request),
    ),
    route('/goim/push/mids', 'Push to users', { mids: many }, (request) => {
      const users = [...new Set(queryAll(request, 'mids'))].map(midOf);
      if (users.length === 0 || users.length > context.options.usersPerPush) badParameter('mids');
      return push(context, request, { kind: 'users', users });
    }),
    route('/goim/push/room', 'Push to a room', { type: z.string(), room: z.string() }, (request) => {
      const room = goimRoom(queryOf(request, 'type'), queryOf(request, 'room'));
      return push(context, request, { kind: 'room', room });
    }),
    route('/goim/push/all', 'Push to all', { speed: z.string().optional() }, (request) =>
      push(context, request, { kind: 'all' }),
    ),
  ];
}

function onlineRoutes(context: RouteContext): readonly LegacyRoute[] {
  const peers = new Peers(context);
  const route = (
    url: string,
    summary: string,
    query: z.ZodRawShape,
    shape: z.ZodType,
    handle: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
  ): LegacyRoute => ({
    method: 'GET',
    url,
    needs: 'read',
    schema: { summary, tags: ['goim'], querystring: z.object(query), response: { 200: data(shape) } },
    handle: async (request, reply) => ({ ...SUCCESS, data: await handle(request, reply) }),
  });
  const type = z.string();
  return [
    route(
      '/goim/online/top',
      'The rooms of a type with the most members',
      { type, limit: z.string() },
      z.array(z.object({ room_id: z.string(), count: z.int() })),
      (request) => top(context, request),
    ),
    route('/goim/online/room', 'Members of rooms', { type, rooms: many }, z.record(z.string(), z.int()), (request) =>
      online(context, request),
    ),
    route(
      '/goim/online/total',
      'Connections, and addresses that they come from',
      {},
      z.object({ ip_count: z.int(), conn_count: z.int() }),
      async () => {
        const stats = [...(await allStats(context)).values()];
        const connections = stats.reduce((sum, one) => sum + one.connections, 0);
        return { ip_count: await peers.count(), conn_count: connections };
      },
    ),
    route('/goim/nodes/weighted', 'Where clients connect', { platform: z.string().optional() }, z.unknown(), async () =>
      weighted(context),
    ),
    route('/goim/nodes/instances', 'Nodes that live', {}, z.array(z.unknown()), async () => {
      const nodes = await context.registry.nodes();
      return nodes
        .filter(({ state }) => state !== 'gone')
        .map(({ node, roles, address, version }) => ({
          appid: `goim.${roles.includes('comet') ? 'comet' : (roles[0] ?? 'logic')}`,
          hostname: node,
          addrs: address === '' ? [] : [address],
          version,
          status: 1,
        }));
    }),
  ];
}

async function push(context: RouteContext, request: FastifyRequest, target: Target): Promise<unknown> {
  const operation = operationOf(request);
  const payload = bytesOf(request);
  checkPayload(payload, context.options.payloadBytes);
  const result = await context.acceptor.push(
    { target, payload, ttlMs: undefined, operation, idempotencyKey: undefined, parent: tracedCaller(context, request) },
    request.caller.keyId,
  );
  // There is no word for "some of them": success is all.
  if (result.kind === 'several' && result.errors.size > 0) throw new ImgoError('outcome_unknown');
  return SUCCESS;
}

/** Tells the comets of live sessions directly: nothing is stored, nothing is repeated. */
async function pushKeys(context: RouteContext, request: FastifyRequest): Promise<unknown> {
  const operation = operationOf(request);
  const payload = bytesOf(request);
  checkPayload(payload, context.options.payloadBytes);
  const keys = new Set(queryAll(request, 'keys'));
  if (keys.size === 0 || keys.size > context.options.usersPerPush) badParameter('keys');
  const caller = tracedCaller(context, request);
  const span = caller && context.traces?.sink?.push(caller.traceId, caller, 'keys');
  const byComet = new Map<SessionState['comet'], Notification[]>();
  const acceptedAt = context.clock.now();
  for (const key of keys) {
    for (const { session, user, comet } of await sessionsOfKey(context, key)) {
      const log = userLog(user ?? ('0' as UserId));
      const common = { log, id: ZERO_ID, prev: ZERO_ID, payload, operation, acceptedAt, ephemeral: true };
      byComet.set(comet, [...(byComet.get(comet) ?? []), { ...common, session }]);
    }
  }
  const told = Promise.all([...byComet].map(([comet, notes]) => context.cometFor(comet)?.notify(notes)));
  await told.catch((error: unknown) => {
    span?.end(asImgoError(error).code);
    throw error;
  });
  span?.end();
  context.acceptor.counters.accepted.ephemeral += keys.size;
  return SUCCESS;
}

/** Session ids begin with a hash of the key. */
function sessionsOfKey(context: RouteContext, key: string): Promise<readonly SessionState[]> {
  return context.buckets.sessions({ after: undefined, limit: SESSIONS_PER_KEY, prefix: sessionPrefix(key) });
}

async function top(context: RouteContext, request: FastifyRequest): Promise<unknown> {
  const prefix = `${queryOf(request, 'type') ?? badParameter('type')}://`;
  const limit = Number(queryOf(request, 'limit') ?? badParameter('limit'));
  if (!Number.isSafeInteger(limit) || limit < 1) badParameter('limit');
  const rooms = [...(await membersByRoom(context))].filter(([room]) => room.startsWith(prefix));
  rooms.sort((a, b) => b[1] - a[1]);
  const largest = rooms.slice(0, Math.min(limit, ROOMS_TOP));
  return largest.map(([room, count]) => ({ room_id: room.slice(prefix.length), count }));
}

async function online(context: RouteContext, request: FastifyRequest): Promise<unknown> {
  const type = queryOf(request, 'type') ?? badParameter('type');
  const names = queryAll(request, 'rooms');
  if (names.length === 0 || names.length > ROOMS_TOP) badParameter('rooms');
  const holders = await roomHolders(
    context,
    names.map((name) => goimRoom(type, name)),
  );
  return Object.fromEntries(names.map((name, index) => [name, memberCount(holders[index] ?? [])]));
}

async function weighted(context: RouteContext): Promise<unknown> {
  const nodes = context.goimNodes?.();
  if (nodes === undefined) throw new ImgoError('overloaded', { reason: 'no listener for goim clients' });
  return {
    domain: nodes.domain,
    tcp_port: nodes.tcpPort,
    ws_port: nodes.wsPort,
    wss_port: nodes.wssPort,
    heartbeat: 30,
    heartbeat_max: 3,
    nodes: [nodes.domain],
    backoff: { max_delay: 300, base_delay: 3, factor: 1.8, jitter: 0.3 },
  };
}

/** Distinct addresses of live sessions; asked for rarely, so counted rarely. */
class Peers {
  readonly #context: RouteContext;
  #counted: Promise<number> | undefined;
  #at = Number.NEGATIVE_INFINITY;

  constructor(context: RouteContext) {
    this.#context = context;
  }

  count(): Promise<number> {
    const now = this.#context.clock.monotonic();
    if (this.#counted === undefined || now - this.#at > PEERS_EVERY_MS) {
      this.#at = now;
      this.#counted = this.#read();
      this.#counted.catch(() => {
        this.#counted = undefined;
      });
    }
    return this.#counted;
  }

  async #read(): Promise<number> {
    const peers = new Set<string>();
    let after: SessionId | undefined;
    const { buckets, clock } = this.#context;
    for (let read = 0; read < PEERS_MAX; read += 1_000) {
      // A store in this process answers without a turn of the event loop: others get theirs between two pages.
      if (read > 0) await new Promise<void>((resolve) => clock.soon(resolve));
      const page = await buckets.sessions({ after, limit: 1_000 });
      for (const { peer } of page) peers.add(peer);
      after = page.at(-1)?.session;
      if (page.length < 1_000) break;
    }
    return peers.size;
  }
}

/** goim's users are integers: the same strings in decimal. 0 is nobody. */
function midOf(text: string): UserId {
  const user = /^[1-9]\d{0,18}$/.test(text) ? userId(text) : undefined;
  return user ?? badParameter('mids');
}

function goimRoom(type: string | undefined, room: string | undefined): RoomId {
  if (type === undefined || room === undefined || !isName(type) || !isName(room)) badParameter('type and room');
  return roomId(`${type}://${room}`) ?? badParameter('room');
}

/** @throws ImgoError invalid_operation */
function operationOf(request: FastifyRequest): number {
  const text = queryOf(request, 'operation') ?? '';
  const value = /^\d{1,10}$/.test(text) ? Number(text) : -1;
  if (value !== 4 && value !== 5 && (value < 1_000 || value > 0x7fff_ffff)) {
    throw new ImgoError('invalid_operation', { value: value < 0 ? 'That' : value });
  }
  return value;
}
