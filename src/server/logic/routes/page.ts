// GET /: the try-it page for browsers, two lines for everybody else, and with `listen.tryit = false` nothing for either.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ImgoError } from '../../../protocol/errors.js';
import { TryIt } from '../try-it.js';
import type { RouteContext } from './route.js';

const POINTER =
  'imgo: push messages to connected clients.\nGET /openapi.json describes the API, GET /readyz tells whether it is ready.\n';

export function registerPage(scope: FastifyInstance, context: RouteContext): void {
  const tryIt = context.tryIt && new TryIt(context.tryIt);
  const schema = {
    summary: 'The page to try the server out, for browsers; where to go from here, for others',
    tags: ['probes'],
    response: { 200: z.string().describe('text/html where it is accepted, else text/plain') },
  };
  scope.get('/', { schema }, async (request, reply) => {
    if (tryIt === undefined) throw new ImgoError('not_found', { path: '/' });
    if (!wantsPage(request)) {
      return reply.header('content-type', 'text/plain; charset=utf-8').header('vary', 'Accept').send(POINTER);
    }
    return sendPage(tryIt, context, request, reply);
  });
}

function sendPage(tryIt: TryIt, context: RouteContext, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { body, headers } = tryIt.answer(request.headers.host, {
    version: context.version,
    mode: context.access.development ? 'development' : 'production',
    payloadBytes: context.options.payloadBytes,
  });
  reply.headers(headers);
  const known = request.headers['if-none-match']?.split(',').some((tag) => tag.trim() === headers['etag']);
  return known === true ? reply.code(304).send() : reply.send(body);
}

function wantsPage({ headers: { accept } }: FastifyRequest): boolean {
  return accept?.includes('text/html') === true;
}
