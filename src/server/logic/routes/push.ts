// POST /v1/push: the hot path. The body is scanned once, as bytes; the schema only describes it.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { asImgoError, ImgoError } from '../../../protocol/errors.js';
import type { MessageId, UserId } from '../../../protocol/ids.js';
import { parseDuration } from '../../units.js';
import { answerHead, type OneAccepted, type SeveralAccepted } from '../accept.js';
import type { Awaited } from '../deliveries.js';
import { logDefect, sendProblem } from '../problem.js';
import { idempotencyKeyOf, type PushRequest, readPush } from '../push-body.js';
import { described, isoTime, name } from '../schemas.js';
import { bytesOf, type RouteContext, requireScope, takeBytes, tracedCaller } from './route.js';

const JSON_TYPE = 'application/json; charset=utf-8';

/** The body, for the description. Its bytes are read by push-body.ts. */
export const pushBody = z
  .strictObject({
    to: z.union([
      z.strictObject({ user: name }),
      z.strictObject({ users: z.array(name).max(10_000) }),
      z.strictObject({ room: name }),
      z.strictObject({ all: z.literal(true) }),
    ]),
    message: z.unknown().optional().describe('Any JSON; its bytes are delivered as they came'),
    base64: z.string().optional().describe('Bytes, in place of message'),
    ttl: z
      .union([z.string(), z.literal(0)])
      .optional()
      .describe('7d, 90s; 0: only who is connected gets it'),
    idempotencyKey: z.string().optional().describe('The same as the header Idempotency-Key'),
    trace: z.boolean().optional().describe('What becomes of it is noted for an hour: GET /v1/trace'),
  })
  .describe('A push');

const id = z.string().nullable().describe('epoch-n; null when nothing was stored');
const delivery = z
  .object({ online: z.int(), delivered: z.int(), ms: z.number(), keptUntil: z.iso.datetime() })
  .optional()
  .describe('With ?wait: sessions that were online, those that took it, after how long');

const trace = z.string().optional().describe('The mark of a push that is traced; without an id, t-MARK is its name');

/** One target, or several users. */
export const pushAnswer = z.union([
  z.object({ log: z.string(), id, trace, delivery }),
  z.object({ ids: z.record(z.string(), id), errors: z.record(z.string(), z.string()), trace, delivery }),
]);

export function registerPush(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'push');
  takeBytes(scope);
  const schema = {
    summary: 'Push a message to a user, to several, to a room, or to all',
    tags: ['push'],
    querystring: z.object({ wait: z.string().optional().describe('5s: answer when it was taken, or after that') }),
    headers: z.object({ 'idempotency-key': z.string().optional() }),
    body: pushBody,
    response: { 200: pushAnswer },
  };
  // Validated by the scanner; a schema would have it read a second time.
  scope.post('/v1/push', { config: described(schema) }, (request, reply) => {
    handlePush(context, request, reply);
  });
}

function handlePush(context: RouteContext, request: FastifyRequest, reply: FastifyReply): void {
  const { acceptor, options } = context;
  let push: PushRequest;
  let waitMs: number | undefined;
  try {
    push = withHeaderKey(readPush(bytesOf(request), options), request.headers['idempotency-key']);
    const parent = tracedCaller(context, request);
    if (parent !== undefined) push = { ...push, parent };
    waitMs = waitOf(context, request, push);
  } catch (error) {
    fail(context, request, reply, acceptor.refused(asImgoError(error)));
    return;
  }
  const since = waitMs === undefined ? 0 : context.clock.monotonic();
  acceptor.push(push, request.caller.keyId).then(
    (answer) => {
      if (waitMs === undefined) {
        reply.header('content-type', JSON_TYPE).send(`${answerHead(answer)}}`);
        return;
      }
      answerDelivered(context, reply, push, answer, waitMs, since).catch((error: unknown) => {
        fail(context, request, reply, asImgoError(error));
      });
    },
    (error: unknown) => fail(context, request, reply, asImgoError(error)),
  );
}

function fail(context: RouteContext, request: FastifyRequest, reply: FastifyReply, error: ImgoError): void {
  if (error.code === 'internal') logDefect(context.log, request, error);
  sendProblem(reply, error);
}

function withHeaderKey(push: PushRequest, header: string | string[] | undefined): PushRequest {
  if (header === undefined) return push;
  if (typeof header !== 'string' || push.idempotencyKey !== undefined) {
    throw new ImgoError('idempotency_key_invalid', { detail: 'give it once' });
  }
  return { ...push, idempotencyKey: idempotencyKeyOf(header) };
}

/** `?wait=5s`, or bare `?wait` for 5 s. */
function waitOf(context: RouteContext, request: FastifyRequest, push: PushRequest): number | undefined {
  const { wait } = request.query as { readonly wait?: unknown };
  if (wait === undefined) return undefined;
  const ms = wait === '' ? 5_000 : typeof wait === 'string' ? parseDuration(wait) : undefined;
  const { maxWaitMs } = context.options;
  if (ms === undefined || ms > maxWaitMs) {
    throw new ImgoError('invalid_request', { detail: `wait must be a duration of at most ${maxWaitMs / 1_000}s` });
  }
  const kind = push.target.kind;
  if ((kind !== 'user' && kind !== 'users') || push.ttlMs === 0) {
    throw new ImgoError('invalid_request', { detail: 'wait is for messages to users that are stored' });
  }
  return ms;
}

async function answerDelivered(
  context: RouteContext,
  reply: FastifyReply,
  push: PushRequest,
  answer: OneAccepted | SeveralAccepted,
  waitMs: number,
  since: number,
): Promise<void> {
  const delivered = await context.service.deliveries.wait(awaitedOf(push, answer), waitMs, since, context.stopped);
  const keptUntil = isoTime(context.clock.now() + (push.ttlMs ?? context.acceptor.ttlMs(push.target)));
  const body = `${answerHead(answer)},"delivery":${JSON.stringify({ ...delivered, keptUntil })}}`;
  reply.header('content-type', JSON_TYPE).send(body);
}

function awaitedOf(push: PushRequest, answer: OneAccepted | SeveralAccepted): readonly Awaited[] {
  if (answer.kind === 'one') {
    return push.target.kind === 'user' ? [{ user: push.target.user, id: answer.id as MessageId }] : [];
  }
  return [...answer.ids].map(([user, id]: [UserId, MessageId | undefined]) => ({ user, id: id as MessageId }));
}
