// /v1/nodes and /v1/stats: what `status` and `top` show. Raw numbers, units in names; at most the largest rooms.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { CometStats } from '../../rpc/services.js';
import { allStats } from '../comets.js';
import { isoTime } from '../schemas.js';
import { type RouteContext, requireScope } from './route.js';

/** Topics of a comet that are shown: those with the most members. */
const TOPICS = 100;

const counters = z.record(z.string(), z.number());
const comet = z
  .object({
    node: z.string(),
    connections: z.int(),
    sessions: z.int(),
    byDialect: counters,
    topicCount: z.int(),
    topics: z.array(
      z.object({
        log: z.string(),
        members: z.int(),
        lagging: z.int(),
        windowMs: z.number(),
        sweepMs: z.number(),
        ringBytes: z.number(),
      }),
    ),
    counters,
    reasons: counters,
    rssBytes: z.number(),
    cpuSeconds: z.number(),
    loopP99Ms: z.number(),
  })
  .nullable();
const node = z.object({
  node: z.string(),
  incarnation: z.number(),
  roles: z.array(z.string()),
  address: z.string(),
  version: z.string(),
  since: z.iso.datetime(),
  state: z.enum(['ok', 'draining', 'gone']),
  comet,
});
const stats = z.object({
  at: z.iso.datetime(),
  version: z.string(),
  development: z.boolean(),
  totals: z.object({
    nodes: z.int(),
    connections: z.int(),
    sessions: z.int(),
    accepted: z.int(),
    refused: z.int(),
    unapplied: z.int(),
  }),
  push: z.object({ accepted: counters, refused: counters }),
  queue: z.object({
    waiting: z.int(),
    waitingBytes: z.int(),
    oldestMs: z.number(),
    accepted: z.int(),
    refused: counters,
    dropped: counters,
  }),
  store: z.object({
    writable: z.boolean(),
    code: z.string().optional(),
    freeBytes: z.number().optional(),
    usedBytes: z.number(),
    counters,
  }),
  comets: z.array(comet),
});

export function registerCluster(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'read');
  const tags = ['cluster'];

  scope.get(
    '/v1/nodes',
    { schema: { summary: 'Nodes and what they do', tags, response: { 200: z.object({ items: z.array(node) }) } } },
    async () => {
      const [nodes, byNode] = await Promise.all([context.registry.nodes(), allStats(context)]);
      return {
        items: nodes.map(({ since, ...rest }) => {
          const figures = rest.state === 'gone' ? undefined : byNode.get(rest.node);
          return { ...rest, since: isoTime(since), comet: figures === undefined ? null : show(figures) };
        }),
      };
    },
  );

  scope.get(
    '/v1/stats',
    { schema: { summary: 'Figures of the whole server', tags, response: { 200: stats } } },
    async () => {
      const { acceptor, queue, buckets, clock, access, version } = context;
      const comets = [...(await allStats(context)).values()];
      const waiting = queue.stats();
      const total = (figures: Readonly<Record<string, number>>) =>
        Object.values(figures).reduce((sum, count) => sum + count, 0);
      return {
        at: isoTime(clock.now()),
        version,
        development: access.development,
        totals: {
          nodes: (await context.registry.nodes()).filter((one) => one.state !== 'gone').length,
          connections: comets.reduce((sum, one) => sum + one.connections, 0),
          sessions: comets.reduce((sum, one) => sum + one.sessions, 0),
          accepted: total(acceptor.counters.accepted),
          refused: total(acceptor.counters.refused as Record<string, number>),
          unapplied: waiting.waiting,
        },
        push: acceptor.counters,
        queue: waiting,
        store: buckets.health(),
        comets: comets.map(show),
      };
    },
  );
}

function show(figures: CometStats) {
  const topics = [...figures.topics].sort((a, b) => b.members - a.members).slice(0, TOPICS);
  return { ...figures, topicCount: figures.topics.length, topics };
}
