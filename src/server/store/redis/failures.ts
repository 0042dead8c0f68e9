// What Redis and the connection to it say when something is wrong, as errors of the table. Unknown texts of scripts are
// defects of this program; everything that time may cure is retryable.

import { ImgoError } from '../../../protocol/errors.js';

const REFUSED = /^(NOAUTH|WRONGPASS|NOPERM|ERR invalid password|ERR AUTH)/;
const TLS = /SSL|TLS|certificate|CERT|self.signed|Protocol error, got|DEPTH_ZERO|ALTNAME/;
/** Answers of a server that has not done what it was asked, and may later. */
const AWAY = /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS|MOVED|ASK|UNBLOCKED)/;

/** True when waiting does not help: somebody has to change a setting. */
export function isFatal(error: ImgoError): boolean {
  return !error.retryable;
}

/** The error of the table that a failure of ioredis or an error reply of Redis stands for. */
export function asRedisError(cause: unknown, address: string): Error {
  if (cause instanceof ImgoError) return cause;
  const error = deepest(cause);
  const message = error.message;
  const options = { cause };
  if (REFUSED.test(message)) return new ImgoError('redis_refused', { address, detail: firstLine(message) }, options);
  if (TLS.test(message) || TLS.test(codeOf(error))) {
    return new ImgoError('redis_tls', { address, detail: firstLine(message) }, options);
  }
  if (message.startsWith('OOM')) {
    return new ImgoError('store_full', { data: `Redis at ${address}`, free: 'no memory', needed: 'some' }, options);
  }
  if (message.startsWith('MISCONF')) return new ImgoError('store_failed', {}, options);
  if (isReply(error) && !AWAY.test(message)) return new TypeError(`Redis: ${firstLine(message)}`, options);
  return new ImgoError('redis_unreachable', { address, detail: codeOf(error) || brief(message) }, options);
}

/** A cluster that could not be reached says why each node could not. */
function deepest(cause: unknown): Error {
  const last = (cause as { lastNodeError?: unknown } | undefined)?.lastNodeError;
  if (last instanceof Error) return deepest(last);
  return cause instanceof Error ? cause : new Error(String(cause));
}

function isReply(error: Error): boolean {
  return error.name === 'ReplyError';
}

function codeOf(error: Error): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : '';
}

/** ioredis's own words, for people. */
function brief(message: string): string {
  if (message.includes("isn't writeable") || message.includes("isn't ready")) return 'no connection';
  if (message.includes('max retries') || message.includes('Connection is closed')) return 'the connection broke';
  if (message.includes('Command timed out')) return 'no answer in time';
  return firstLine(message);
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]?.slice(0, 200) ?? '';
}
