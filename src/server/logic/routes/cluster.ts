// /v1/nodes and /v1/stats: what `status` and `top` show. Raw numbers, units in names; at most the largest rooms.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ALERT_CODES } from '../../observe/alerts.js';
import type { CometStats, StatsRequest } from '../../rpc/services.js';
import { pushedOver, total } from '../cluster-sums.js';
import { isoTime } from '../schemas.js';
import { type RouteContext, requireScope } from './route.js';

/** Topics of a comet that are shown: those with the most members. */
const TOPICS = 100;
const LISTED: StatsRequest = { topics: TOPICS, topicOrder: 'members', sessions: 0 };

const counters = z.record(z.string(), z.number());
const latency = z.object({ counts: z.array(z.int()), sumMs: z.number(), recent: z.array(z.int()) });
const processFigures = z.object({
  descriptors: z.object({ used: z.int(), limit: z.int() }),
  memory: z.object({
    rssBytes: z.number(),
    limitBytes: z.number(),
    availableBytes: z.number(),
    constrained: z.boolean(),
  }),
});
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
        messages: z.int().optional(),
        deliveries: z.int().optional(),
        gaps: z.int().optional(),
        perSecond: z.number().optional().describe('Messages a second, over the last seconds'),
        ringMs: z.number().optional().describe('For how long its ring holds messages at their present rate'),
      }),
    ),
    counters,
    reasons: counters,
    rssBytes: z.number(),
    cpuSeconds: z.number(),
    loopP99Ms: z.number().describe('Over the last ten seconds'),
    at: z.number().optional().describe('Its wall clock, ms'),
    lagging: z.int().optional().describe('Sessions whose sockets have taken nothing for a second'),
    capacity: z.object({ most: z.number(), by: z.enum(['max_conns', 'fd_limit']) }).optional(),
    process: processFigures.optional(),
    took: latency.optional().describe('From acceptance to the socket, ms; one delivery in 64'),
  })
  .nullable();
const push = z.object({ accepted: counters, refused: counters, took: latency.optional() });
const queue = z.object({
  waiting: z.int(),
  waitingBytes: z.int(),
  oldestMs: z.number(),
  accepted: z.int(),
  refused: counters,
  dropped: counters,
  lag: z.int().optional(),
  counters: counters.optional(),
});
/** null: it does not answer, or is part of another process. */
const report = z
  .object({
    problems: z.array(z.string()),
    rssBytes: z.number(),
    cpuSeconds: z.number(),
    at: z.number().optional(),
    process: processFigures.optional(),
    loopP99Ms: z.number().optional(),
    certificateEndsAt: z.number().optional(),
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
  silentMs: z.int().describe('For how long it has not answered; 0: it does'),
  report,
  comet,
});
/** An alert that holds, as answers have it. */
export const alert = z.object({
  code: z.enum(ALERT_CODES),
  severity: z.enum(['note', 'warning', 'error']),
  subject: z.string().describe('A node, a log; empty: the whole server'),
  message: z.string(),
  knob: z.string().describe('The setting to turn; empty: none helps'),
  advice: z.array(z.string()),
  since: z.iso.datetime(),
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
  alerts: z.array(alert),
  comets: z.array(comet),
});

export function registerCluster(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'read');
  const tags = ['cluster'];

  scope.get(
    '/v1/nodes',
    { schema: { summary: 'Nodes and what they do', tags, response: { 200: z.object({ items: z.array(node) }) } } },
    async () => {
      const listed = new Set((await context.registry.nodes()).map(({ node }) => node));
      const { nodes } = await context.cluster.look(LISTED);
      // The parent of workers has no lease, and no place in the list.
      const items = nodes.filter(({ node }) => listed.has(node));
      return {
        items: items.map(({ since, silentMs, skewMs, report, comet, ...rest }) => {
          const answered = silentMs === 0 && rest.state !== 'gone';
          return {
            ...rest,
            since: isoTime(since),
            silentMs: Math.round(silentMs),
            report: answered && rest.address !== '' ? (report ?? null) : null,
            comet: answered && comet !== undefined ? show(comet) : null,
          };
        }),
      };
    },
  );

  scope.get(
    '/v1/stats',
    { schema: { summary: 'Figures of the whole server', tags, response: { 200: stats } } },
    async () => {
      const { access, cluster, acceptor } = context;
      const facts = await cluster.look(LISTED);
      const live = facts.nodes.filter(({ state }) => state !== 'gone');
      const comets = live.flatMap(({ comet, silentMs }) => (comet === undefined || silentMs > 0 ? [] : [comet]));
      const push = pushedOver(
        acceptor,
        live.flatMap(({ report }) => report ?? []),
      );
      return {
        at: isoTime(facts.at),
        version: facts.version,
        development: access.development,
        totals: {
          nodes: live.filter(({ incarnation }) => incarnation > 0).length,
          connections: comets.reduce((sum, one) => sum + one.connections, 0),
          sessions: comets.reduce((sum, one) => sum + one.sessions, 0),
          accepted: total(push.accepted),
          refused: total(push.refused),
          unapplied: facts.queue.waiting,
        },
        push,
        queue: facts.queue,
        store: facts.store,
        alerts: cluster.alerts.map((alert) => ({ ...alert, since: isoTime(alert.since) })),
        comets: comets.map(show),
      };
    },
  );
}

/** As the API has it: with how many topics there are, whatever of them is shown. */
function show({ slowest, busiest, ...figures }: CometStats) {
  const topics = [...figures.topics].sort((a, b) => b.members - a.members).slice(0, TOPICS);
  return { ...figures, topicCount: figures.topicCount ?? figures.topics.length, topics };
}
