// GET /v1/messages: one message as its log has it, with its state per device. Its payload only where that is asked for and
// allowed.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ImgoError } from '../../../protocol/errors.js';
import { messageState, tokensOf } from '../message-state.js';
import { isJsonText } from '../push-body.js';
import { isoTime } from '../schemas.js';
import { verdictOf } from '../verdict.js';
import { type RouteContext, requireScope } from './route.js';
import { deviceView, nameOf, showDevice } from './trace.js';

const query = z.strictObject({
  log: z.string().max(160).describe('user:U, room:R or all'),
  id: z.string().max(40).describe('epoch-n'),
  payload: z.literal('full').optional().describe('With what it says: observe.payloads must allow it'),
});
const answer = z.object({
  log: z.string(),
  id: z.string(),
  state: z.enum(['kept', 'gone']),
  reason: z.string().nullable().describe('Why it is gone: acknowledged, expired, trimmed'),
  certain: z.boolean().describe('false: as far as the log and the cursors tell'),
  bytes: z.int().nullable(),
  operation: z.int().nullable(),
  acceptedAt: z.iso.datetime().nullable(),
  expiresAt: z.iso.datetime().nullable(),
  ttlLeftMs: z.number().nullable(),
  online: z.int().nullable().describe('Live sessions of its user'),
  devices: z.array(deviceView),
  verdict: z.looseObject({ outcome: z.string(), reason: z.string().nullable(), detail: z.string() }),
  message: z.unknown().optional(),
  base64: z.string().optional(),
});

export function registerMessages(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'admin');
  scope.get(
    '/v1/messages',
    {
      schema: {
        summary: 'One message as its log has it, with its state per device',
        tags: ['messages'],
        querystring: query,
        response: { 200: answer },
      },
    },
    async (request, reply) => {
      const asked = request.query as z.output<typeof query>;
      if (asked.payload === 'full' && !context.options.payloadsShown) throw new ImgoError('payloads_hidden');
      const { log, id, key } = nameOf(asked);
      const name = `${log.log}@${key}`;
      if (id === undefined) throw new ImgoError('message_not_found', { id: name, detail: 'it is not stored' });
      const state = await messageState(context, log, id, undefined);
      const { where, devices, sessions } = state;
      if (where.kind === 'never' || where.kind === 'ahead') throw new ImgoError('message_not_found', { id: name });
      const entry = where.kind === 'kept' ? where.entry : undefined;
      const now = context.clock.now();
      const tokens = log.kind === 'user' ? await tokensOf(context.credentials, log.user, now) : undefined;
      const head = {
        log: log.log,
        id: key,
        state: where.kind,
        reason: where.kind === 'gone' ? where.reason : null,
        certain: where.kind === 'kept' || where.certain,
        bytes: entry?.payload.byteLength ?? null,
        operation: entry?.operation ?? null,
        acceptedAt: entry === undefined ? null : isoTime(entry.acceptedAt),
        expiresAt: entry === undefined ? null : isoTime(entry.expiresAt),
        ttlLeftMs: entry === undefined ? null : Math.max(0, entry.expiresAt - now),
        online: log.kind === 'user' ? sessions.length : null,
        devices: devices.map((device) => showDevice(device, id)),
        verdict: verdictOf({ log, id, steps: [], state, tokens }),
      };
      if (asked.payload !== 'full') return head;
      if (entry === undefined) {
        throw new ImgoError('message_gone', { id: name, detail: where.kind === 'gone' ? where.reason : 'gone' });
      }
      const text = JSON.stringify(head).slice(0, -1);
      const payload = Buffer.from(entry.payload);
      // The very bytes that were pushed.
      const body = isJsonText(payload)
        ? Buffer.concat([Buffer.from(`${text},"message":`), payload, Buffer.from('}')])
        : Buffer.from(`${text},"base64":"${payload.toString('base64')}"}`);
      return reply.header('content-type', 'application/json; charset=utf-8').send(body);
    },
  );
}
