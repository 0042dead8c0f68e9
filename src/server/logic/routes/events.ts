// GET /v1/events: what happens at every node, as it happens, as SSE or a line an event. Who watches is itself logged.

import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ImgoError } from '../../../protocol/errors.js';
import { type EventFilter, NODE_EVENTS } from '../../observe/events.js';
import { RECORDED_MS } from '../../observe/recorder.js';
import { EventStream, KEEP_ALIVE } from '../../observe/stream.js';
import { duration, name } from '../schemas.js';
import { type RouteContext, requireScope } from './route.js';

/** Streams of one logic at a time. */
export const MAX_STREAMS = 32;
/** How often a stream's key is asked about again: one that is revoked or expires ends it, ms. */
const CHECK_MS = 2_000;
/** Alternatives of one parameter. */
const MOST = 100;

/** A parameter that may be given several times. */
function many<T extends z.ZodType>(one: T) {
  return z
    .union([one, z.array(one).max(MOST)])
    .optional()
    .transform((value): z.output<T>[] | undefined =>
      value === undefined ? undefined : Array.isArray(value) ? value : [value],
    );
}

const kinds = z
  .string()
  .refine((text) => text.split(',').every(isKind), `must be of ${NODE_EVENTS.join(', ')}`)
  .meta({ examples: ['open,close'] });
const share = z
  .string()
  .refine((text) => shareOf(text) > 0 && shareOf(text) <= 1, 'must be above 0 and at most 1, as in 0.01 or 1%')
  .meta({ examples: ['0.01'] });

const query = z.strictObject({
  user: many(name).describe('Sessions and messages of this user'),
  room: many(name).describe('Sessions that are in this room, and its messages'),
  session: many(z.string().min(1).max(256)),
  node: many(z.string().min(1).max(256)).describe('This node, and its workers'),
  event: many(kinds).describe('Kinds, separated by commas; all unless given'),
  sample: share.optional().describe('Of the sessions, this share; always the same ones'),
  heartbeats: z.enum(['0', '1']).default('0').describe('1: with the frames of heartbeats'),
  payload: z.enum(['hidden', 'full']).default('hidden').describe('full: where observe.payloads allows it'),
  since: duration.optional().describe('Begins with what was opened and closed, and gaps, of the last so many minutes'),
  limit: z.coerce.number().int().min(1).optional().describe('Ends after so many events'),
});

export function registerEvents(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'admin');
  const open = new Set<EventStream>();
  context.stopped.addEventListener('abort', () => {
    for (const stream of open) stream.finish('shutdown');
  });
  const schema = {
    summary: 'What happens at every node, as it happens',
    description:
      'Server-sent events where Accept asks for them, else one JSON object a line. Values of one parameter are ' +
      'alternatives, parameters must all hold. What a stream could not carry is counted in it.',
    tags: ['cluster'],
    querystring: query,
    produces: ['application/x-ndjson', 'text/event-stream'],
    response: { 200: z.string().describe('One JSON object a line') },
  };
  scope.get('/v1/events', { schema, exposeHeadRoute: false }, async (request, reply) => {
    if (isLoadedBy(request)) throw new ImgoError('origin_refused');
    const asked = request.query as z.output<typeof query>;
    const { clock, version, watched: nodes, log } = context;
    const filter = filterOf(asked, context.options.payloadsShown);
    const sinceMs = sinceOf(asked.since, request.headers['last-event-id'], clock.now());
    if (open.size >= MAX_STREAMS) throw new ImgoError('too_many_streams', { limit: MAX_STREAMS });
    const stream = new EventStream({ clock, version, nodes }, { filter, sinceMs, limit: asked.limit });
    open.add(stream);
    // The reader is gone, maybe before it begins: what waits for events is told, and ends.
    reply.raw.once('close', () => stream.stop());
    try {
      await stream.begin();
    } catch (error) {
      open.delete(stream);
      throw error;
    }
    // Who watches the server is on record.
    log.info(
      { stream: stream.id, key: request.caller.keyName, keyId: request.caller.keyId, filter },
      'a stream of events begins',
    );
    const sse = wantsSse(request);
    const lines = sse ? asSse(stream) : asLines(stream, () => clock.now());
    const body = Readable.from(lines, { objectMode: false, highWaterMark: 64 * 1024 });
    const checking = clock.every(CHECK_MS, async () => {
      if (await isRefused(context, request)) stream.finish('refused');
    });
    body.once('close', () => {
      stream.stop();
      clock.clear(checking);
      open.delete(stream);
      log.info({ stream: stream.id, key: request.caller.keyName }, 'a stream of events has ended');
    });
    reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no');
    return reply.type(sse ? 'text/event-stream' : 'application/x-ndjson').send(body);
  });
}

/**
 * A page of another origin that loads it like a picture: without an Origin to be refused for. It could read nothing, and would
 * hold streams all the same. https://www.w3.org/TR/fetch-metadata/
 */
function isLoadedBy({ headers }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site'];
  return headers['sec-fetch-mode'] === 'no-cors' && (site === 'cross-site' || site === 'same-site');
}

/** Where the store cannot be asked the key is as good as it was. */
async function isRefused({ access }: RouteContext, request: FastifyRequest): Promise<boolean> {
  try {
    await access.caller(request, 'admin');
    return false;
  } catch (error) {
    return error instanceof ImgoError && error.http < 500;
  }
}

/** @throws ImgoError payloads_hidden */
function filterOf(asked: z.output<typeof query>, payloadsShown: boolean): EventFilter {
  const { user, room, session, node, event, sample, heartbeats, payload } = asked;
  if (payload === 'full' && !payloadsShown) throw new ImgoError('payloads_hidden');
  return {
    ...(user === undefined ? {} : { users: user }),
    ...(room === undefined ? {} : { rooms: room }),
    ...(session === undefined ? {} : { sessions: session }),
    ...(node === undefined ? {} : { nodes: node }),
    ...(event === undefined ? {} : { events: event.flatMap((text) => text.split(',')).filter(isKind) }),
    ...(sample === undefined ? {} : { sample: shareOf(sample) }),
    ...(heartbeats === '1' ? { heartbeats: true } : {}),
    ...(payload === 'full' ? { payload } : {}),
  };
}

/** Asked for, or where a stream of SSE broke: its ids are wall times. */
function sinceOf(since: number | undefined, last: string | string[] | undefined, now: number): number | undefined {
  if (since !== undefined && since > RECORDED_MS) {
    throw new ImgoError('invalid_request', { detail: `since: at most ${RECORDED_MS / 60_000}m are kept` });
  }
  if (since !== undefined || typeof last !== 'string' || !/^\d{1,15}$/.test(last)) return since;
  return Math.min(Math.max(0, now - Number(last) - 1), RECORDED_MS);
}

function isKind(text: string): text is (typeof NODE_EVENTS)[number] {
  return (NODE_EVENTS as readonly string[]).includes(text);
}

/** `0.01`, `1%`; NaN when it is neither. */
function shareOf(text: string): number {
  const percent = text.endsWith('%');
  const digits = percent ? text.slice(0, -1) : text;
  if (!/^\d*\.?\d+$/.test(digits)) return Number.NaN;
  return percent ? Number(digits) / 100 : Number(digits);
}

function wantsSse({ headers: { accept = '' } }: FastifyRequest): boolean {
  return /\btext\/event-stream\b/i.test(accept);
}

async function* asLines(stream: EventStream, now: () => number): AsyncGenerator<string> {
  for await (const lines of stream.lines()) {
    yield lines === KEEP_ALIVE ? `{"event":"keepalive","at":${now()}}\n` : lines;
  }
}

/** Every event begins with its kind and its time. */
const HEAD = /^\{"event":"(\w+)","at":(\d+)/;

async function* asSse(stream: EventStream): AsyncGenerator<string> {
  for await (const lines of stream.lines()) {
    if (lines === KEEP_ALIVE) yield ': keepalive\n\n';
    else yield lines.slice(0, -1).split('\n').map(asMessage).join('');
  }
}

function asMessage(line: string): string {
  const [, event = 'message', at = ''] = HEAD.exec(line) ?? [];
  return `event: ${event}\nid: ${at}\ndata: ${line}\n\n`;
}
