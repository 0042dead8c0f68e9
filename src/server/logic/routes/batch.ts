// POST /v1/push/batch: NDJSON in, NDJSON out. The answer begins while the body still comes.

import type { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ImgoError } from '../../../protocol/errors.js';
import { runBatch } from '../batch.js';
import { idempotencyKeyOf } from '../push-body.js';
import { type RouteContext, requireScope, tracedCaller } from './route.js';

export function registerBatch(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'push');
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  const schema = {
    summary: 'Push many messages: one a line in, one result a line out, in order',
    description:
      'Each line is the body of POST /v1/push. A result is {"log","id"}, {"ids","errors"} or {"error":{"code",…}}. ' +
      'With an Idempotency-Key line N (from 0) has the key KEY/N. Read the answer while you send.',
    tags: ['push'],
    consumes: ['application/x-ndjson'],
    produces: ['application/x-ndjson'],
    headers: z.object({ 'idempotency-key': z.string().optional() }),
    response: { 200: z.string().describe('One JSON object a line') },
  };
  scope.post('/v1/push/batch', { schema }, (request, reply) => {
    const header = request.headers['idempotency-key'];
    if (Array.isArray(header)) throw new ImgoError('idempotency_key_invalid', { detail: 'give it once' });
    const idempotencyKey = header === undefined ? undefined : idempotencyKeyOf(header);
    reply.hijack();
    const output = reply.raw;
    output.writeHead(200, { 'content-type': 'application/x-ndjson' });
    if (request.body === undefined || request.body === null) {
      output.end();
      return;
    }
    const { acceptor, clock, options } = context;
    const caller = tracedCaller(context, request);
    const span = caller && context.traces?.sink?.batch(caller);
    const parent = caller && span && { traceId: caller.traceId, spanId: span.spanId };
    const about = { scope: request.caller.keyId, idempotencyKey, parent, signal: context.stopped };
    const parts = { acceptor, clock, options, ...about };
    void runBatch(parts, request.body as Readable, output).then((counts) => span?.end(counts));
  });
}
