// Probes, metrics and the description of the API.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { CONTENT_TYPE } from '../../observe/exposition.js';
import { type RouteContext, requireScope } from './route.js';

export function registerProbes(scope: FastifyInstance, context: RouteContext): void {
  const tags = ['probes'];

  scope.get(
    '/healthz',
    { schema: { summary: 'The process runs', tags, response: { 200: z.object({ ok: z.literal(true) }) } } },
    async () => ({ ok: true }),
  );

  const ready = z.object({ ready: z.boolean(), reasons: z.array(z.string()) });
  scope.get(
    '/readyz',
    { schema: { summary: 'Pushes can be accepted', tags, response: { 200: ready, 503: ready } } },
    async (_request, reply) => {
      const reasons: string[] = [];
      const { writable, code, failure } = context.buckets.health();
      if (!writable) reasons.push(failure?.code ?? code ?? 'store_full');
      if (context.stopped.aborted) reasons.push('shutting_down');
      reasons.push(...(context.problems?.() ?? []).filter((problem) => !reasons.includes(problem)));
      await context.registry.comets().catch(() => reasons.push('registry'));
      if (reasons.length > 0) reply.code(503).header('retry-after', '1');
      return { ready: reasons.length === 0, reasons };
    },
  );

  scope.get('/openapi.json', { schema: { summary: 'This description', tags } }, async () => scope.swagger());

  scope.register(async (inner) => {
    const { metrics } = context;
    requireScope(inner, context.access, 'read', (request) => metrics.opens(request.headers.authorization));
    inner.get(
      '/metrics',
      { schema: { summary: "Figures of this node in Prometheus' format", tags, response: { 200: z.string() } } },
      async (_request, reply) => reply.header('content-type', CONTENT_TYPE).send(await metrics.text()),
    );
  });
}
