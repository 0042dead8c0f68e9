// An HTTP answer that comes bit by bit and does not end by itself. It is read at the pace of who takes it, so that what is
// too much stays with the sender, who counts it; one that breaks off, or falls silent, is told from one that ends.

import * as http from 'node:http';
import { type Answer, ExchangeError, explain } from './http.js';

/** What to ask for. */
export interface StreamRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Until the head of the answer is there. */
  readonly timeoutMs: number;
  /** An answer of which nothing comes for so long is lost. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
}

/** An answer whose body comes in pieces. */
export interface StreamAnswer {
  readonly status: number;
  readonly type: string;
  /** Ends when the server ends it. @throws ExchangeError when it breaks off */
  readonly chunks: AsyncGenerator<Buffer, void>;
}

/** Errors are short; what is longer is none of ours. */
const MAX_ERROR_BYTES = 2 ** 20;
/** Longer than any event: a payload of 64 KiB in base64 and its header. */
const MAX_LINE_BYTES = 2 ** 20;
const LINE_END = 0x0a;

/** @throws ExchangeError */
export async function openStream(request: StreamRequest): Promise<StreamAnswer> {
  const { request: send } = request.url.startsWith('https:') ? await import('node:https') : http;
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  // A connection of its own: it is busy for as long as the stream lasts.
  const call = send(request.url, { headers: request.headers, agent: false }, resolve);
  const timer = setTimeout(() => call.destroy(new Error('timeout')), request.timeoutMs);
  const abort = () => call.destroy(new Error('aborted'));
  const forget = () => request.signal.removeEventListener('abort', abort);
  request.signal.addEventListener('abort', abort, { once: true });
  call.on('close', forget);
  call.on('error', (error) => {
    const why = error.message === 'timeout' ? `no answer in ${request.timeoutMs / 1_000} s` : explain(error);
    reject(new ExchangeError(why, true, { cause: error }));
  });
  if (request.signal.aborted) abort();
  call.end();
  try {
    const response = await promise;
    const { statusCode: status = 0, headers } = response;
    return { status, type: headers['content-type'] ?? '', chunks: chunksOf(response, request.silenceMs) };
  } finally {
    clearTimeout(timer);
  }
}

async function* chunksOf(response: http.IncomingMessage, silenceMs: number): AsyncGenerator<Buffer, void> {
  const chunks = response[Symbol.asyncIterator]();
  try {
    for (;;) {
      // Only while it is waited for: a reader that takes its time is not the server's silence.
      const timer = setTimeout(() => response.destroy(new Error('silent')), silenceMs);
      const { done, value } = await chunks.next().finally(() => clearTimeout(timer));
      if (done === true) return;
      yield value as Buffer;
    }
  } catch (error) {
    const silent = (error as Error).message === 'silent';
    const why = silent ? `silent for ${silenceMs / 1_000} s` : explain(error as Error);
    throw new ExchangeError(why, true, { cause: error });
  } finally {
    response.destroy();
  }
}

/** All of a short answer. @throws ExchangeError also when it is not short */
export async function wholeAnswer({ status, type, chunks }: StreamAnswer): Promise<Answer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of chunks) {
    parts.push(part);
    size += part.length;
    if (size > MAX_ERROR_BYTES) throw new ExchangeError('the answer is too large', true, { cause: undefined });
  }
  return { status, type, retryAfterMs: undefined, body: Buffer.concat(parts) };
}

/**
 * The lines of a stream, those of a piece together; what stands after the last line end is no line. Each is a string of its
 * own: to keep one does not keep the piece that it came in.
 * @throws ExchangeError when a line is longer than any of ours
 */
export async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<readonly string[], void> {
  let begun: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    const last = chunk.lastIndexOf(LINE_END);
    if (last >= 0) {
      yield cutLines(begun.length === 0 ? chunk : Buffer.concat([...begun, chunk]), size + last);
      begun = [];
      size = 0;
    }
    const rest = chunk.subarray(last + 1);
    if (rest.length > 0) begun.push(rest);
    size += rest.length;
    if (size > MAX_LINE_BYTES) throw new ExchangeError('a line is too long', true, { cause: undefined });
  }
}

/** `end`: where the last line end is. */
function cutLines(bytes: Buffer, end: number): readonly string[] {
  const lines: string[] = [];
  for (let at = 0; at <= end; ) {
    const next = bytes.indexOf(LINE_END, at);
    if (next > at) lines.push(bytes.toString('utf8', at, next));
    at = next + 1;
  }
  return lines;
}
