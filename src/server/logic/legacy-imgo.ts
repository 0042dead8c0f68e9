// imgo's API (`/1/…`), as its callers expect it: {"ret":1} is success, 65535 an internal error, 65534 a bad parameter, 65533
// a bad token, 1001 no such server. An unknown outcome never says success.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ImgoError } from '../../protocol/errors.js';
import { compareIds, type MessageId, type RoomId, type UserId, userLog, ZERO_ID } from '../../protocol/ids.js';
import type { NodeRecord } from '../router/registry.js';
import { ANONYMOUS, type Entry } from '../store/buckets.js';
import { allStats, membersByRoom } from './comets.js';
import { badParameter, fieldsOf, type LegacyRoute, queryOf, registerLegacy, sendJson } from './legacy.js';
import { checkPayload, isDecimal, isJsonText, readMultiPush, type Target } from './push-body.js';
import { bytesOf, type RouteContext, tracedCaller } from './routes/route.js';

const OK = 1;
const INTERNAL = 65_535;
const BAD_PARAMETER = 65_534;
const BAD_TOKEN = 65_533;
const NO_SERVER = 1_001;

/** What `/1/msg/get` gives at most. */
const NEWEST = 20;
const READ = { entries: 1_000, bytes: 1024 * 1024 };
/** A JSONP callback: names joined by dots. */
const CALLBACK = /^[A-Za-z_$][\w$]{0,63}(\.[A-Za-z_$][\w$]{0,63}){0,7}$/;

const ret = z.object({ ret: z.int() });
const message = z.unknown().describe('The message, JSON, whatever the content type says');
const decimal = z.string().describe('An integer in decimal');

export function registerImgo(scope: FastifyInstance, context: RouteContext, keyless: boolean): void {
  const failed = (error: ImgoError) => ({ ret: retOf(error) });
  registerLegacy(scope, context, imgoRoutes(context), { keyless, failed });
}

function imgoRoutes(context: RouteContext): readonly LegacyRoute[] {
  const tags = ['imgo'];
  const post = (url: string, needs: LegacyRoute['needs'], summary: string, more: object, handle: Handle) =>
    ({ method: 'POST', url, needs, schema: { summary, tags, response: { 200: ret }, ...more }, handle }) as const;
  return [
    post('/1/push', 'push', 'Push to a user', { querystring: z.object({ uid: decimal }), body: message }, (request) =>
      push(context, request, { kind: 'user', user: decimalOf(request, 'uid') as UserId }),
    ),
    post(
      '/1/pushs',
      'push',
      'Push to several users',
      { body: z.object({ u: z.array(z.int()), m: z.unknown() }) },
      (request) => pushSeveral(context, request),
    ),
    post(
      '/1/push/room',
      'push',
      'Push to a room',
      { querystring: z.object({ rid: decimal, ensure: z.string().optional() }), body: message },
      (request) => push(context, request, { kind: 'room', room: decimalOf(request, 'rid') as RoomId }),
    ),
    post('/1/push/all', 'push', 'Push to all', { body: message }, (request) => push(context, request, { kind: 'all' })),
    post(
      '/1/server/del',
      'admin',
      "Drop a dead comet's sessions",
      { querystring: z.object({ server: decimal }) },
      (request) => deleteServer(context, request),
    ),
    post(
      '/1/admin/token/new',
      'token',
      'Take a token that the caller chose: a form, or JSON',
      { body: z.object({ uid: z.string(), token: z.string(), expire: z.string().optional() }) },
      (request) => newToken(context, request),
    ),
    {
      method: 'GET',
      url: '/1/count',
      needs: 'read',
      schema: {
        summary: 'Members of rooms, or sessions of servers',
        tags,
        querystring: z.object({ type: z.enum(['room', 'server']) }),
        response: { 200: z.object({ ret: z.int(), data: z.array(z.record(z.string(), z.int())).optional() }) },
      },
      handle: (request, reply) => count(context, request, reply),
    },
    {
      method: 'GET',
      url: '/1/msg/get',
      needs: undefined,
      schema: {
        summary: 'The newest messages that a user has not taken; JSONP with cb',
        tags,
        querystring: z.object({ uid: decimal, token: z.string(), mid: decimal.optional(), cb: z.string().optional() }),
        response: { 200: z.object({ ret: z.int(), data: z.object({ msgs: z.array(z.unknown()) }).optional() }) },
      },
      handle: (request, reply) => messages(context, request, reply),
    },
  ];
}

type Handle = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

async function push(context: RouteContext, request: FastifyRequest, target: Target): Promise<unknown> {
  const payload = bytesOf(request);
  if (payload.length === 0) badParameter('the message is missing');
  checkPayload(payload, context.options.payloadBytes);
  await context.acceptor.push(
    {
      target,
      payload,
      ttlMs: undefined,
      operation: undefined,
      idempotencyKey: undefined,
      parent: tracedCaller(context, request),
    },
    request.caller.keyId,
  );
  return { ret: OK };
}

async function pushSeveral(context: RouteContext, request: FastifyRequest): Promise<unknown> {
  let body: ReturnType<typeof readMultiPush>;
  try {
    body = readMultiPush(bytesOf(request));
  } catch {
    // imgo itself answers a body that it cannot read with an internal error.
    return { ret: INTERNAL };
  }
  const { users, payload } = body;
  if (users.length === 0 || users.length > context.options.usersPerPush) badParameter('too few or too many users');
  checkPayload(payload, context.options.payloadBytes);
  const answer = await context.acceptor.push(
    {
      target: { kind: 'users', users: users as UserId[] },
      payload,
      ttlMs: undefined,
      operation: undefined,
      idempotencyKey: undefined,
      parent: tracedCaller(context, request),
    },
    request.caller.keyId,
  );
  // There is no word for "some of them": success is all.
  return { ret: answer.kind === 'several' && answer.errors.size > 0 ? INTERNAL : OK };
}

async function count(context: RouteContext, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const type = queryOf(request, 'type');
  if (type === 'room') {
    const rooms = [...(await membersByRoom(context))].filter(([room]) => isDecimal(room));
    // Integers above 2^53 keep their digits.
    const items = rooms.map(([room, members]) => `{"RoomId":${room},"Count":${members}}`);
    return sendJson(reply, `{"ret":1,"data":[${items.join(',')}]}`);
  }
  if (type !== 'server') badParameter('type is room or server');
  const stats = await allStats(context);
  const nodes = (await context.registry.comets()).filter(({ node }) => stats.has(node));
  const data = nodes.map((node) => ({ Server: serverNumber(node), Count: stats.get(node.node)?.sessions ?? 0 }));
  return { ret: OK, data };
}

/** imgo knows comets by number: the one at the end of our name. */
function serverNumber({ node }: NodeRecord): number {
  return Number(/\d{1,9}$/.exec(node)?.[0] ?? 0);
}

async function deleteServer(context: RouteContext, request: FastifyRequest): Promise<unknown> {
  const server = decimalOf(request, 'server');
  const node = (await context.registry.nodes()).find(
    (one) => one.roles.includes('comet') && String(serverNumber(one)) === server,
  );
  if (node === undefined) return { ret: NO_SERVER };
  // A comet that lives keeps its sessions: what the router says would not be true any more.
  if (node.state !== 'gone') return { ret: BAD_PARAMETER };
  await context.buckets.dropComet(node.node, undefined);
  return { ret: OK };
}

async function newToken(context: RouteContext, request: FastifyRequest): Promise<unknown> {
  const fields = fieldsOf(bytesOf(request));
  const field = (name: string) => fields.get(name) ?? queryOf(request, name);
  const uid = field('uid');
  const token = field('token');
  const expire = field('expire') ?? '0';
  if (uid === undefined || !isDecimal(uid)) badParameter('uid is an integer');
  if (token === undefined) badParameter('token is missing');
  if (!/^\d{1,10}$/.test(expire)) badParameter('expire is in seconds');
  await context.tokens.choose(uid as UserId, token, Number(expire) === 0 ? undefined : Number(expire) * 1_000);
  return { ret: OK };
}

async function messages(context: RouteContext, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const callback = queryOf(request, 'cb');
  if (callback !== undefined && !CALLBACK.test(callback)) badParameter('cb is not a name');
  const body = await newest(context, request).catch((error: unknown) => {
    if (callback === undefined) throw error;
    return Buffer.from(JSON.stringify({ ret: retOf(error as ImgoError) }));
  });
  if (callback === undefined) return sendJson(reply, body);
  return reply
    .header('content-type', 'application/javascript; charset=utf-8')
    .header('x-content-type-options', 'nosniff')
    .send(Buffer.concat([Buffer.from(`${callback}(`), body, Buffer.from(')')]));
}

async function newest(context: RouteContext, request: FastifyRequest): Promise<Buffer> {
  const uid = decimalOf(request, 'uid') as UserId;
  const mid = Number(queryOf(request, 'mid') === undefined ? '0' : decimalOf(request, 'mid'));
  const token = await context.tokens.valid(queryOf(request, 'token') ?? '');
  if (token === undefined || token.user !== uid) return Buffer.from(JSON.stringify({ ret: BAD_TOKEN }));
  const devices = await context.buckets.devices(uid);
  const cursor = devices.find(({ device }) => device === (token.device ?? ANONYMOUS))?.cursor ?? ZERO_ID;
  const entries = (await readAll(context, uid, cursor)).filter((entry) => entry.mid > mid).slice(-NEWEST);
  const parts: Buffer[] = [Buffer.from('{"ret":0,"data":{"msgs":[')];
  for (const [index, entry] of entries.entries()) {
    const payload = Buffer.from(entry.payload);
    const shown = isJsonText(payload) ? payload : Buffer.from(JSON.stringify(payload.toString('utf8')));
    parts.push(Buffer.from(`${index > 0 ? ',' : ''}{"msg":`), shown, Buffer.from(`,"mid":${entry.mid},"gid":0}`));
  }
  parts.push(Buffer.from(']}}'));
  return Buffer.concat(parts);
}

/** A user's log is bounded, so all of it may be read; only the newest entries are held. */
async function readAll(context: RouteContext, uid: UserId, after: MessageId): Promise<Entry[]> {
  let entries: Entry[] = [];
  for (let at = after; ; ) {
    const read = await context.buckets.read(userLog(uid), at, READ);
    for (const item of read.items) if (item.kind === 'entry') entries.push(item.entry);
    entries = entries.slice(-NEWEST);
    if (compareIds(read.readTo, read.head) >= 0 || compareIds(read.readTo, at) <= 0) return entries;
    at = read.readTo;
  }
}

function decimalOf(request: FastifyRequest, name: string): string {
  const value = queryOf(request, name);
  if (value === undefined || !isDecimal(value)) badParameter(`${name} is an integer`);
  return value;
}

function retOf(error: ImgoError): number {
  if (error.code === 'token_refused') return BAD_TOKEN;
  return error.http < 500 ? BAD_PARAMETER : INTERNAL;
}
