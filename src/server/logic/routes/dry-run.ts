// POST /v1/push/dry-run: whom a push would reach and where, without pushing. Users: live sessions, devices, what is kept;
// rooms and all: counts per node.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ALL_LOG, roomLog, type UserId, userLog } from '../../../protocol/ids.js';
import type { DeviceState, SessionState } from '../../store/buckets.js';
import { allStats, roomHolders } from '../comets.js';
import { readPush } from '../push-body.js';
import { described } from '../schemas.js';
import { pushBody } from './push.js';
import { bytesOf, type RouteContext, requireScope, takeBytes } from './route.js';

/** Users that are shown one by one; the counts are of all. */
const USERS_SHOWN = 1_000;
/** Users whose devices are looked at a time. */
const AT_ONCE = 100;

const session = z.object({
  session: z.string(),
  device: z.string().describe('Empty: anonymous'),
  node: z.string(),
  dialect: z.string(),
});
const target = z.object({
  log: z.string(),
  sessions: z.array(session).optional(),
  devices: z.array(z.string()).optional().describe('That have a cursor: the message waits for each of them'),
  nodes: z.array(z.object({ node: z.string(), members: z.int() })).optional(),
});
const answer = z.object({
  bytes: z.int(),
  ttlMs: z.number().describe('0: nothing is kept'),
  counts: z.object({ targets: z.int(), online: z.int(), sessions: z.int(), nodes: z.int(), kept: z.int() }),
  targets: z.array(target),
  more: z.int().describe('Targets that are not shown'),
});

type Answer = z.output<typeof answer>;

export function registerDryRun(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'read');
  takeBytes(scope);
  const schema = {
    summary: 'Whom a push would reach and where; nothing is pushed',
    tags: ['push'],
    body: pushBody,
    response: { 200: answer },
  };
  scope.post('/v1/push/dry-run', { config: described(schema) }, async (request): Promise<Answer> => {
    const push = readPush(bytesOf(request), context.options);
    const ttlMs = push.ttlMs ?? context.acceptor.ttlMs(push.target);
    const base = { bytes: push.payload.byteLength, ttlMs };
    const { target } = push;
    if (target.kind === 'room') {
      const [nodes = []] = await roomHolders(context, [target.room]);
      return { ...base, ...ofMembers(roomLog(target.room), nodes, ttlMs) };
    }
    if (target.kind === 'all') {
      const nodes = [...(await allStats(context))].map(([node, { sessions }]) => ({ node, members: sessions }));
      return { ...base, ...ofMembers(ALL_LOG, nodes, ttlMs) };
    }
    const users = target.kind === 'user' ? [target.user] : target.users;
    return { ...base, ...(await ofUsers(context, users, ttlMs)) };
  });
}

function ofMembers(
  log: string,
  nodes: readonly { readonly node: string; readonly members: number }[],
  ttlMs: number,
): Pick<Answer, 'counts' | 'targets' | 'more'> {
  const holding = nodes.filter(({ members }) => members > 0);
  const members = holding.reduce((sum, one) => sum + one.members, 0);
  return {
    counts: {
      targets: 1,
      online: members > 0 ? 1 : 0,
      sessions: members,
      nodes: holding.length,
      kept: ttlMs > 0 ? 1 : 0,
    },
    targets: [{ log, nodes: holding }],
    more: 0,
  };
}

async function ofUsers(
  { buckets }: RouteContext,
  users: readonly UserId[],
  ttlMs: number,
): Promise<Pick<Answer, 'counts' | 'targets' | 'more'>> {
  const sessions = await buckets.sessionsOf(users);
  const shown = users.slice(0, USERS_SHOWN);
  const devices: (readonly DeviceState[])[] = [];
  for (let at = 0; at < shown.length; at += AT_ONCE) {
    devices.push(...(await Promise.all(shown.slice(at, at + AT_ONCE).map((user) => buckets.devices(user)))));
  }
  const all = sessions.flat();
  return {
    counts: {
      targets: users.length,
      online: sessions.filter(({ length }) => length > 0).length,
      sessions: all.length,
      nodes: new Set(all.map(({ comet }) => comet)).size,
      kept: ttlMs > 0 ? users.length : 0,
    },
    targets: shown.map((user, at) => ({
      log: userLog(user),
      sessions: (sessions[at] ?? []).map(showSession),
      devices: (devices[at] ?? []).map(({ device }) => device),
    })),
    more: users.length - shown.length,
  };
}

function showSession({ session, device, comet, dialect, transport }: SessionState) {
  return { session, device, node: comet, dialect: `${dialect} ${transport}` };
}
