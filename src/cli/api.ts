// The HTTP API as commands call it: the address and the key are settled here, an answer is JSON or an error of the table,
// and a failure says what was tried. Nothing is repeated here: only callers know what may be.

import { errorFromProblem, ImgoError } from '../protocol/errors.js';
import { type Answer, ExchangeError, exchange } from './http.js';
import { linesOf, openStream, wholeAnswer } from './http-stream.js';
import type { Output } from './output.js';
import { readKey } from './secrets.js';
import { chooseServer, type ServerChoice, triedText } from './server-choice.js';

/** A call. */
export interface Call {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly body?: string | Uint8Array;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default 10 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** How a server is reached. */
export interface ApiOptions {
  readonly server: string | undefined;
  readonly keyFile: string | undefined;
}

const DEFAULT_TIMEOUT_MS = 10_000;

export class Api {
  readonly server: ServerChoice;
  /** For who calls the server in another way. */
  readonly key: string | undefined;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #output: Output;

  /** @throws ImgoError several_servers, usage, file_unreadable */
  constructor(options: ApiOptions, output: Output) {
    this.server = chooseServer(options.server);
    this.key = readKey(options.keyFile, this.server.runFile?.keyFile);
    this.#headers = this.key === undefined ? {} : { authorization: `Bearer ${this.key}` };
    this.#output = output;
  }

  /** A call whose answer is JSON. @throws ImgoError what the server says, unreachable, bad_answer, outcome_unknown */
  async json<T>(call: Call): Promise<T> {
    const answer = await this.call(call);
    if (answer.body.length === 0) return undefined as T;
    try {
      return JSON.parse(answer.body.toString('utf8')) as T;
    } catch {
      throw this.#badAnswer(answer, 'its answer is not JSON');
    }
  }

  /** A call whose answer is taken as it is; statuses from 400 on are thrown. */
  async call(call: Call): Promise<Answer> {
    const answer = await this.exchange(call);
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw this.errorOf(answer);
  }

  /** A call whose answer is taken whatever its status. @throws ImgoError unreachable, outcome_unknown */
  async exchange(call: Call): Promise<Answer> {
    const method = call.method ?? 'GET';
    const body = typeof call.body === 'string' ? Buffer.from(call.body) : call.body;
    const type = body === undefined ? {} : { 'content-type': call.contentType ?? 'application/json' };
    const begun = performance.now();
    try {
      const answer = await exchange({
        method,
        url: `${this.server.url}${call.path}`,
        headers: { accept: 'application/json', ...type, ...this.#headers, ...call.headers },
        body,
        timeoutMs: call.timeoutMs ?? DEFAULT_TIMEOUT_MS,
        signal: call.signal,
      });
      const took = (performance.now() - begun).toFixed(1);
      this.#output.detail(`${method} ${this.server.url}${pathOnly(call.path)} · ${answer.status} · ${took} ms`);
      return answer;
    } catch (error) {
      if (!(error instanceof ExchangeError)) throw error;
      this.#output.detail(`${method} ${this.server.url}${pathOnly(call.path)} · ${error.message}`);
      if (call.signal?.aborted === true) throw new ImgoError('interrupted', {}, { cause: error });
      if (error.sent && method === 'POST') throw new ImgoError('outcome_unknown', {}, { cause: error });
      throw new ImgoError('unreachable', { tried: triedText(this.server, error.why) }, { cause: error });
    }
  }

  /**
   * A stream of lines, as they come, those that come together at once; the server ends it, or the signal does. What is not
   * taken stays with the server. Nothing for `silenceMs`: it counts as cut.
   * @throws ImgoError what the server says, unreachable; ExchangeError, from the lines, when it is cut
   */
  async lines(call: {
    readonly path: string;
    readonly silenceMs: number;
    readonly signal: AbortSignal;
  }): Promise<AsyncGenerator<readonly string[], void>> {
    const url = `${this.server.url}${call.path}`;
    const headers = { accept: 'application/x-ndjson', ...this.#headers };
    try {
      const { silenceMs, signal } = call;
      const answer = await openStream({ url, headers, timeoutMs: DEFAULT_TIMEOUT_MS, silenceMs, signal });
      this.#output.detail(`GET ${this.server.url}${pathOnly(call.path)} · ${answer.status}`);
      if (answer.status === 200) return linesOf(answer.chunks);
      throw this.errorOf(await wholeAnswer(answer));
    } catch (error) {
      if (!(error instanceof ExchangeError)) throw error;
      this.#output.detail(`GET ${this.server.url}${pathOnly(call.path)} · ${error.message}`);
      if (call.signal.aborted) throw new ImgoError('interrupted', {}, { cause: error });
      throw new ImgoError('unreachable', { tried: triedText(this.server, error.why) }, { cause: error });
    }
  }

  /** The error that an answer tells. */
  errorOf(answer: Answer): ImgoError {
    let document: unknown;
    try {
      document = JSON.parse(answer.body.toString('utf8'));
    } catch {
      return this.#badAnswer(answer, `status ${answer.status}`);
    }
    return errorFromProblem(document) ?? this.#badAnswer(answer, `status ${answer.status}`);
  }

  #badAnswer(answer: Answer, detail: string): ImgoError {
    const type = answer.type.split(';')[0] ?? '';
    return new ImgoError('bad_answer', { url: this.server.url, detail: type === '' ? detail : `${detail}, ${type}` });
  }
}

/** Query values may say more than a line on a terminal should. */
function pathOnly(path: string): string {
  return path.split('?')[0] ?? path;
}

/** A page of a listing. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Where the next one begins; undefined: that was the last. */
  readonly next: string | undefined;
  /** Nodes that did not answer: what they hold is not in it. */
  readonly missing: readonly string[];
}

/** A path of encoded parts: `path('v1', 'users', id)`. */
export function path(...parts: readonly string[]): string {
  return parts.map((part) => `/${encodeURIComponent(part)}`).join('');
}

/** The most that the server gives at a time. */
const PAGE_MAX = 1_000;

/** Page after page of a listing, at most `most` items. `after` in the query: where the first begins. */
export async function* pages<T>(
  api: Api,
  at: string,
  query: Readonly<Record<string, string | undefined>>,
  most: number,
): AsyncGenerator<Page<T>> {
  let after = query['after'];
  let left = most;
  do {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...query, after, limit: `${Math.min(left, PAGE_MAX)}` }))
      if (value !== undefined) search.set(name, value);
    const page: Readonly<Record<string, unknown>> = await api.json({ path: `${at}?${search}` });
    const items: readonly T[] = Array.isArray(page['items']) ? page['items'] : [];
    after = typeof page['next'] === 'string' ? page['next'] : undefined;
    left -= items.length;
    const missing: readonly string[] = Array.isArray(page['missing']) ? page['missing'] : [];
    yield { items, next: after, missing };
  } while (after !== undefined && left > 0);
}
