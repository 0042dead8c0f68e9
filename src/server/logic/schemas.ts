// Schemas of requests and answers in zod: they validate what is not on the hot path, and /openapi.json is made from them.
// A failure names the field and what was expected, never the value that came.

import type { SwaggerOptions } from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { z } from 'zod';
import { ImgoError } from '../../protocol/errors.js';
import { isName, MAX_NAME_BYTES } from '../../protocol/ids.js';
import { parseDuration } from '../units.js';

/** A user id, room name or device name. */
export const name = z
  .string()
  .refine(isName, `must be 1 to ${MAX_NAME_BYTES} bytes of UTF-8 without control characters`)
  .meta({ minLength: 1, maxLength: MAX_NAME_BYTES });

/** `7d`, `90s`; ms when read. */
export const duration = z
  .string()
  .transform((text, context) => {
    const ms = parseDuration(text);
    if (ms === undefined) context.addIssue({ code: 'custom', message: 'must be a number and a unit, as in 90s or 7d' });
    return ms ?? 0;
  })
  .meta({ examples: ['7d'] });

/** A wall time as the API shows it. */
export function isoTime(ms: number): string {
  return new Date(Math.min(Math.max(ms, 0), 8.64e15)).toISOString();
}

/** A page's size. */
export const limit = z.coerce.number().int().min(1).max(1_000).default(100);

/** For Fastify: how a zod schema checks one part of a request. */
export function compileValidator({ schema, httpPart }: { schema: unknown; httpPart?: string | undefined }) {
  return (value: unknown) => {
    if (!(schema instanceof z.ZodType)) return { value };
    const result = schema.safeParse(value ?? (httpPart === 'body' ? undefined : {}));
    if (result.success) return { value: result.data };
    const issue = result.error.issues[0];
    return { error: issue === undefined ? new ImgoError('invalid_request') : issueError(issue, httpPart) };
  };
}

/** Answers are what they are: schemas of answers only describe. */
export function compileSerializer() {
  return (value: unknown) => JSON.stringify(value);
}

function issueError(issue: z.core.$ZodIssue, part: string | undefined): ImgoError {
  if (issue.code === 'invalid_union') {
    // Of the branch that got furthest; one that did not even fit by its type says nothing of use.
    const firsts = issue.errors.flatMap((branch) => branch[0] ?? []);
    const furthest = firsts.find((one) => one.path.length > 0 || one.code === 'unrecognized_keys');
    if (furthest !== undefined) return issueError({ ...furthest, path: [...issue.path, ...furthest.path] }, part);
  }
  const where = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys.find((one) => /^[A-Za-z_]{1,32}$/.test(one));
    return new ImgoError('unknown_field', { field: key ?? 'What was given' });
  }
  return new ImgoError('invalid_request', { detail: `${where === '' ? (part ?? 'it') : where}: ${issue.message}` });
}

/** For @fastify/swagger. */
export function describeApi(version: string): SwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'imgo', version, description: 'Push messages to connected clients, kept for those who are away.' },
      components: {
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer' }, basic: { type: 'http', scheme: 'basic' } },
      },
      security: [{ bearer: [] }, { basic: [] }],
    },
    transform: ({ schema, url }) => ({ schema: schema === undefined ? {} : toJsonSchemas(schema), url }),
  };
}

/** For a route whose handler reads everything itself: described, not validated. Goes into the route's `config`. */
export function described(schema: FastifySchema) {
  return { swaggerTransform: ({ url }: { readonly url: string }) => ({ schema: toJsonSchemas(schema), url }) };
}

const PARTS = ['body', 'querystring', 'params', 'headers'] as const;

function toJsonSchemas(schema: FastifySchema): FastifySchema {
  const out: Record<string, unknown> = { ...schema };
  for (const part of PARTS) if (schema[part] !== undefined) out[part] = toJsonSchema(schema[part]);
  const { response } = schema;
  if (typeof response === 'object' && response !== null) {
    out['response'] = Object.fromEntries(
      Object.entries(response).map(([status, answer]) => [status, toJsonSchema(answer)]),
    );
  }
  return out;
}

function toJsonSchema(schema: unknown): unknown {
  if (!(schema instanceof z.ZodType)) return schema;
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return rest;
}
