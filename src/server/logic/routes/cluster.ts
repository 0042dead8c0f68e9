// /v1/nodes and /v1/stats: what `status` and `top` show. Raw numbers, units in names; at most the largest rooms.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { QueueStats } from '../../queue/queue.js';
import type { CometStats, NodeReport } from '../../rpc/services.js';
import { allStats } from '../comets.js';
import { isoTime } from '../schemas.js';
import { type RouteContext, requireScope } from './route.js';

/** Topics of a comet that are shown: those with the most members. */
const TOPICS = 100;

const counters = z.record(z.string(), z.number());
const comet = z
  .object({
    node: z.string(),
    draining: z.boolean(),
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
const push = z.object({ accepted: counters, refused: counters });
const queue = z.object({
  waiting: z.int(),
  waitingBytes: z.int(),
  oldestMs: z.number(),
  accepted: z.int(),
  refused: counters,
  dropped: counters,
});
/** null: it does not answer, or is part of another process. */
const report = z
  .object({
    problems: z.array(z.string()),
    rssBytes: z.number(),
    cpuSeconds: z.number(),
    push: push.optional(),
    queue: queue.optional(),
    job: counters.optional(),
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
  report,
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
  push,
  queue,
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
      const nodes = await context.registry.nodes();
      const [reports, byNode] = await Promise.all([context.reports(nodes), allStats(context)]);
      return {
        items: nodes.map(({ since, ...rest }, at) => {
          const figures = rest.state === 'gone' ? undefined : byNode.get(rest.node);
          const comet = figures === undefined ? null : show(figures);
          return { ...rest, since: isoTime(since), report: reports[at] ?? null, comet };
        }),
      };
    },
  );

  scope.get(
    '/v1/stats',
    { schema: { summary: 'Figures of the whole server', tags, response: { 200: stats } } },
    async () => {
      const { buckets, clock, access, version } = context;
      const nodes = (await context.registry.nodes()).filter(({ state }) => state !== 'gone');
      const [reports, byNode] = await Promise.all([context.reports(nodes), allStats(context)]);
      const comets = [...byNode.values()];
      const push = pushedOver(context, reports);
      const waiting = waitingOver(context, reports);
      const total = (figures: Readonly<Record<string, number>>) =>
        Object.values(figures).reduce((sum, count) => sum + count, 0);
      return {
        at: isoTime(clock.now()),
        version,
        development: access.development,
        totals: {
          nodes: nodes.length,
          connections: comets.reduce((sum, one) => sum + one.connections, 0),
          sessions: comets.reduce((sum, one) => sum + one.sessions, 0),
          accepted: total(push.accepted),
          refused: total(push.refused),
          unapplied: waiting.waiting,
        },
        push,
        queue: waiting,
        store: buckets.health(),
        comets: comets.map(show),
      };
    },
  );
}

type Reports = readonly (NodeReport | undefined)[];

/** What all logics took; what this one did where none reports. */
function pushedOver({ acceptor }: RouteContext, reports: Reports): NonNullable<NodeReport['push']> {
  const all = reports.flatMap((report) => report?.push ?? []);
  if (all.length === 0) return acceptor.counters as NonNullable<NodeReport['push']>;
  return { accepted: sum(all.map(({ accepted }) => accepted)), refused: sum(all.map(({ refused }) => refused)) };
}

/** What waits for any job: each sees its part. */
function waitingOver({ queue }: RouteContext, reports: Reports): QueueStats {
  const all = reports.flatMap((report) => report?.queue ?? []);
  if (all.length === 0) return queue.stats();
  return {
    waiting: all.reduce((total, one) => total + one.waiting, 0),
    waitingBytes: all.reduce((total, one) => total + one.waitingBytes, 0),
    oldestMs: Math.max(...all.map(({ oldestMs }) => oldestMs)),
    accepted: all.reduce((total, one) => total + one.accepted, 0),
    refused: sum(all.map(({ refused }) => refused)),
    dropped: sum(all.map(({ dropped }) => dropped)),
  };
}

function sum(parts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const part of parts) {
    for (const [name, count] of Object.entries(part)) total[name] = (total[name] ?? 0) + count;
  }
  return total;
}

function show(figures: CometStats) {
  const topics = [...figures.topics].sort((a, b) => b.members - a.members).slice(0, TOPICS);
  return { ...figures, topicCount: figures.topics.length, topics };
}
