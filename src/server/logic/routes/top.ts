// GET /v1/top: one look at the whole server, as `imgo top` draws it: small, whatever there is.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { StatsRequest } from '../../rpc/services.js';
import { pushedOver, sumOf, total } from '../cluster-sums.js';
import { type TopQuery, topAnswer, topicOrder } from '../top.js';
import { NODE_ORDERS, ROOM_ORDERS, SESSION_ORDERS } from '../top-orders.js';
import { alert } from './cluster.js';
import { type RouteContext, requireScope } from './route.js';

/** Rows of a table that a comet gives at most: those that are the most so. */
const KEPT = 100;

const query = z.strictObject({
  table: z.enum(['nodes', 'rooms', 'sessions']).default('nodes').describe('Which rows; of the others come a few'),
  from: z.coerce.number().int().min(0).max(1_000_000).default(0),
  limit: z.coerce.number().int().min(1).max(KEPT).default(20),
  beside: z.coerce.number().int().min(0).max(25).default(5).describe('Rows of the other tables'),
  nodes_by: z.enum(NODE_ORDERS).default('conns'),
  rooms_by: z.enum(ROOM_ORDERS).default('members'),
  sessions_by: z.enum(SESSION_ORDERS).default('gap'),
  search: z.string().max(256).optional().describe('Only rows of the table with this in their names'),
  node: z.string().max(256).optional().describe('Only this node, and its processes'),
  room: z.string().max(256).optional().describe('Only this room, a row for each comet that has members'),
});

const rows = z.object({
  total: z.int(),
  kept: z.int(),
  from: z.int(),
  items: z.array(z.record(z.string(), z.unknown())),
});
const answer = z.object({
  at: z.iso.datetime(),
  version: z.string(),
  development: z.boolean(),
  totals: z.record(z.string(), z.unknown()),
  alertCount: z.int(),
  alerts: z.array(alert),
  queue: z.record(z.string(), z.unknown()),
  store: z.record(z.string(), z.unknown()),
  job: z.record(z.string(), z.number()),
  reasons: z.record(z.string(), z.number()),
  nodes: rows,
  rooms: rows,
  sessions: rows,
});

export function registerTop(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'read');
  scope.get(
    '/v1/top',
    {
      schema: {
        summary:
          'One look at the whole server: totals, alerts, the first nodes, rooms and slow sessions; at most 20 KB',
        tags: ['cluster'],
        querystring: query,
        response: { 200: answer },
      },
    },
    async (request) => {
      const asked = queryOf(request.query as z.output<typeof query>);
      const { cluster, acceptor, access } = context;
      const facts = await cluster.look(requestOf(asked));
      const reports = facts.nodes.flatMap(({ report }) => report ?? []);
      const pushed = pushedOver(acceptor, reports);
      return topAnswer(asked, {
        facts,
        alerts: cluster.alerts,
        development: access.development,
        counted: cluster.totals(),
        pushed: { accepted: total(pushed.accepted), refused: total(pushed.refused) },
        job: sumOf(reports.map(({ job }) => job ?? {})),
        reasons: sumOf(facts.nodes.map(({ comet }) => comet?.reasons ?? {})),
        perSecond: (node) => cluster.perSecond(node),
      });
    },
  );
}

function queryOf(asked: z.output<typeof query>): TopQuery {
  const { nodes_by: nodesBy, rooms_by: roomsBy, sessions_by: sessionsBy, search, ...rest } = asked;
  return { ...rest, nodesBy, roomsBy, sessionsBy, search: search === '' ? undefined : search };
}

/** What comets are to say for it. */
function requestOf({ table, from, limit, beside, roomsBy, room, search }: TopQuery): StatsRequest {
  const rows = Math.min(KEPT, from + limit);
  return {
    // Of a room that only some comets named the sum would be of these: few rows are as dear as many.
    topics: KEPT,
    topicOrder: topicOrder(roomsBy),
    sessions: table === 'sessions' ? rows : beside,
    ...(room === undefined ? {} : { room }),
    ...(search === undefined || table === 'nodes' ? {} : { search }),
  };
}
