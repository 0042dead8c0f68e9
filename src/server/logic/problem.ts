// Errors on HTTP: RFC 9457 problem documents from the one error table, with Retry-After where it helps. What a defect
// threw is logged by its name and place, never by its message: that may quote a payload.

import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { ImgoError } from '../../protocol/errors.js';
import { NoneAccepted } from './accept.js';
import type { LogicLogger, LogicOptions } from './options.js';

/** Seconds after which a refused request may be tried again. */
const RETRY_AFTER: Readonly<Record<number, string>> = { 429: '1', 503: '1', 507: '5' };

/** Sends an error as a problem document. */
export function sendProblem(reply: FastifyReply, error: ImgoError): FastifyReply {
  const status = error.http;
  const retryAfter = RETRY_AFTER[status];
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
  if (status === 401) reply.header('www-authenticate', 'Bearer, Basic realm="imgo"');
  return reply.code(status).header('content-type', 'application/problem+json').send(problemText(error));
}

/** The document as JSON. */
export function problemText(error: ImgoError): string {
  const more = error instanceof NoneAccepted ? { errors: Object.fromEntries(error.errors) } : {};
  return JSON.stringify({ ...error.toProblem(), retryable: error.retryable, ...more });
}

/** Fastify's own errors and whatever was thrown, as an error of the table. */
export function toImgoError(thrown: unknown, options: Pick<LogicOptions, 'requestBytes'>): ImgoError {
  if (thrown instanceof ImgoError) return thrown;
  const { code, statusCode } = thrown as Partial<FastifyError>;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new ImgoError('request_too_large', { limit: options.requestBytes });
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return new ImgoError('unsupported_media_type');
  if (code?.startsWith('FST_ERR_') && statusCode !== undefined && statusCode < 500) {
    return new ImgoError('invalid_request', { detail: 'it breaks the rules of HTTP' });
  }
  return new ImgoError('internal', {}, { cause: thrown });
}

/** Logs what should not have happened: name, code and place. */
export function logDefect(log: LogicLogger, request: FastifyRequest, error: ImgoError): void {
  const { cause } = error;
  const place = cause instanceof Error ? stackWithoutMessage(cause) : undefined;
  const name = cause instanceof Error ? cause.name : typeof cause;
  log.error({ request: request.id, route: request.routeOptions.url, error: name, place }, 'a request failed');
}

function stackWithoutMessage(error: Error): readonly string[] {
  const lines = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return lines.slice(0, 8).map((line) => line.trim());
}
