// One HTTP exchange with a server, on node:http: connections are kept, deadlines are kept, answers are bounded, and how
// far it got is known when it fails, because that decides whether a push may have been taken.

import * as http from 'node:http';

/** Answers above this are none of ours. */
const MAX_ANSWER_BYTES = 64 * 2 ** 20;

/** What came back. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly retryAfterMs: number | undefined;
  readonly body: Buffer;
}

/** The exchange did not end with an answer. */
export class ExchangeError extends Error {
  /** `refused`, `no answer in 10s`, `connection lost`, … */
  readonly why: string;
  /** The request left this process: the server may have acted on it. */
  readonly sent: boolean;
  /** What had come of an answer that broke off; its status was 200. */
  readonly partial: Buffer | undefined;

  constructor(why: string, sent: boolean, options: { readonly cause: unknown; readonly partial?: Buffer | undefined }) {
    super(`${why}${sent ? ', after the request was sent' : ''}`, options);
    this.name = 'ExchangeError';
    this.why = why;
    this.sent = sent;
    this.partial = options.partial;
  }
}

/** What to send. */
export interface Exchange {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
  /** Until the whole answer is there. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

const agentOptions = { keepAlive: true, maxSockets: 4, maxFreeSockets: 2 };
const plain = new http.Agent(agentOptions);

/** @throws ExchangeError */
export async function exchange(request: Exchange): Promise<Answer> {
  const secure = request.url.startsWith('https:') ? await import('node:https') : undefined;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  let connected = false;
  const headers: Record<string, string | number> = { ...request.headers };
  if (request.body !== undefined) headers['content-length'] = request.body.length;
  const options: http.RequestOptions = { method: request.method, headers, agent: secure ? undefined : plain };
  const call = (secure ?? http).request(request.url, options, (response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES) call.destroy(new Error('the answer is too large'));
    });
    response.on('end', () => {
      const retryAfter = Number(response.headers['retry-after']);
      resolve({
        status: response.statusCode ?? 0,
        type: response.headers['content-type'] ?? '',
        retryAfterMs: Number.isFinite(retryAfter) ? retryAfter * 1_000 : undefined,
        body: Buffer.concat(chunks),
      });
    });
    response.on('error', (error) => {
      const partial = response.statusCode === 200 ? Buffer.concat(chunks) : undefined;
      reject(new ExchangeError(explain(error), true, { cause: error, partial }));
    });
  });
  call.on('socket', (socket) => {
    if (socket.connecting) socket.once('connect', () => (connected = true));
    else connected = true;
  });
  const timer = setTimeout(() => call.destroy(new Error('timeout')), request.timeoutMs);
  const abort = () => call.destroy(new Error('aborted'));
  request.signal?.addEventListener('abort', abort, { once: true });
  call.on('error', (error) => {
    const why = error.message === 'timeout' ? `no answer in ${request.timeoutMs / 1_000} s` : explain(error);
    reject(new ExchangeError(why, connected, { cause: error }));
  });
  call.on('close', () => {
    clearTimeout(timer);
    request.signal?.removeEventListener('abort', abort);
    reject(new ExchangeError('connection lost', connected, { cause: undefined }));
  });
  if (request.signal?.aborted === true) abort();
  call.end(request.body);
  return promise;
}

/** A failure of the network in a few words. */
export function explain(error: Error): string {
  const code =
    (error as NodeJS.ErrnoException).code ?? (error instanceof AggregateError ? error.errors[0]?.code : undefined);
  switch (code) {
    case 'ECONNREFUSED':
      return 'refused';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'no such host';
    case 'ECONNRESET':
    case 'EPIPE':
      return 'connection lost';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'no route';
    case 'ETIMEDOUT':
      return 'no answer';
    case 'HPE_INVALID_CONSTANT':
      return 'no HTTP there';
    default:
      return code ?? error.message;
  }
}
