// What imgo's and goim's routes share: bodies read as they are whatever the content type says, 405 for a wrong method,
// status 200 for everything else, and the keyless listener.

import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify';
import { ImgoError } from '../../protocol/errors.js';
import type { Scope } from '../store/credentials.js';
import { JsonScanner } from './json-scan.js';
import { logDefect, sendProblem, toImgoError } from './problem.js';
import { type RouteContext, requireScope, takeBytes } from './routes/route.js';

/** A route of an old API. */
export interface LegacyRoute {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  /** What a key must be allowed; undefined: the call carries its own proof. */
  readonly needs: Scope | undefined;
  readonly schema: FastifySchema;
  readonly handle: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;
}

const OTHERS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'];

/** Registers routes; `failed` makes the answer (status 200) of what was refused. */
export function registerLegacy(
  scope: FastifyInstance,
  context: RouteContext,
  routes: readonly LegacyRoute[],
  options: { readonly keyless: boolean; readonly failed: (error: ImgoError) => unknown },
): void {
  takeBytes(scope);
  scope.setErrorHandler((thrown, request, reply) => {
    const error = toImgoError(thrown, context.options);
    if (error.code === 'internal') logDefect(context.log, request, error);
    // Who may not call at all is told in HTTP's own words.
    const access = error.http === 401 || error.http === 403;
    if (access && error.code !== 'token_refused') return sendProblem(reply, error);
    return sendJson(reply, JSON.stringify(options.failed(error)));
  });
  for (const { method, url, needs, schema, handle } of routes) {
    scope.register(async (inner) => {
      if (needs !== undefined && !options.keyless) requireScope(inner, context.access, needs);
      inner.route({ method, url, schema, validatorCompiler: unchecked, handler: handle });
      inner.route({
        method: OTHERS.filter((other) => other !== method),
        url,
        exposeHeadRoute: false,
        schema: { hide: true } as FastifySchema,
        handler: (_request, reply) =>
          reply.code(405).header('allow', method).type('text/plain; charset=utf-8').send('Method Not Allowed\n'),
      });
    });
  }
}

/** A JSON text as the answer. */
export function sendJson(reply: FastifyReply, json: string | Buffer): FastifyReply {
  return reply.code(200).header('content-type', 'application/json; charset=utf-8').send(json);
}

/** The first value of a query parameter. */
export function queryOf(request: FastifyRequest, name: string): string | undefined {
  return queryAll(request, name)[0];
}

/** All values of a query parameter: `keys=a&keys=b`. */
export function queryAll(request: FastifyRequest, name: string): readonly string[] {
  const value = (request.query as Readonly<Record<string, string | readonly string[]>>)[name];
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}

const scanner = new JsonScanner();

/** Fields of a body that is a form or a JSON object of plain values; integers keep their digits. */
export function fieldsOf(body: Buffer): ReadonlyMap<string, string> {
  const text = body.toString('utf8').trimStart();
  if (!text.startsWith('{')) return new Map(new URLSearchParams(text));
  const fields = new Map<string, string>();
  scanner.start(body);
  try {
    scanner.takeObject();
    for (let first = true; ; first = false) {
      const key = scanner.nextKey(first);
      if (key === undefined) break;
      const value = scanner.string();
      if (value !== undefined) {
        fields.set(key, value);
        continue;
      }
      const from = scanner.at;
      scanner.skipValue(1);
      fields.set(key, scanner.textOf(from));
    }
    scanner.finish();
  } finally {
    scanner.stop();
  }
  return fields;
}

/** Old callers get an error of the old API, not of ours: handlers check for themselves. */
function unchecked() {
  return (value: unknown) => ({ value });
}

/** @throws ImgoError invalid_request */
export function badParameter(detail: string): never {
  throw new ImgoError('invalid_request', { detail });
}
