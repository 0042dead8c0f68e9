// Calls of the HTTP API from the page. A key is kept here, in memory, and goes nowhere but into the header of these calls.

/** What went wrong with a call, as the server says it (RFC 9457), or that it did not answer. */
export class Problem extends Error {
  /** Of the error table; `unreachable` where nothing answered. */
  readonly code: string;
  readonly detail: string;
  readonly advice: readonly string[];
  /** 0 where nothing answered. */
  readonly status: number;

  constructor(
    code: string,
    title: string,
    more: { detail?: string; advice?: readonly string[]; status?: number } = {},
  ) {
    super(title);
    // It is said as it stands.
    this.name = '';
    this.code = code;
    this.detail = more.detail ?? '';
    this.advice = more.advice ?? [];
    this.status = more.status ?? 0;
  }
}

/** How long an answer may take, ms: beyond what a push waits for a receipt. */
const DEADLINE_MS = 15_000;

export class Api {
  readonly #failed: (problem: Problem) => void;
  #key = '';

  /** `failed`: told of everything that went wrong. */
  constructor(failed: (problem: Problem) => void) {
    this.#failed = failed;
  }

  set key(key: string) {
    this.#key = key.trim();
  }

  get hasKey(): boolean {
    return this.#key !== '';
  }

  get(path: string): Promise<unknown> {
    return this.#call('GET', path, undefined);
  }

  /** `body`: JSON as it goes over the wire. */
  post(path: string, body: string): Promise<unknown> {
    return this.#call('POST', path, body);
  }

  /** @throws Problem */
  async #call(method: string, path: string, body: string | undefined): Promise<unknown> {
    try {
      return await this.#fetch(method, path, body);
    } catch (error) {
      const problem = error instanceof Problem ? error : unreachable();
      this.#failed(problem);
      throw problem;
    }
  }

  async #fetch(method: string, path: string, body: string | undefined): Promise<unknown> {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (this.hasKey) headers['authorization'] = `Bearer ${this.#key}`;
    const init: RequestInit = { method, headers, cache: 'no-store', credentials: 'omit', redirect: 'error' };
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const answer = await fetch(path, { ...init, signal, ...(body === undefined ? {} : { body }) });
    const document: unknown = await answer.json().catch(() => undefined);
    if (!answer.ok) throw problemOf(document, answer.status);
    return document;
  }
}

function unreachable(): Problem {
  return new Problem('unreachable', 'The server does not answer.', { detail: 'It is stopped, or cannot be reached.' });
}

function problemOf(document: unknown, status: number): Problem {
  const { code, title, detail, advice } = (document ?? {}) as Record<string, unknown>;
  const texts = Array.isArray(advice) ? advice.filter((one): one is string => typeof one === 'string') : [];
  const more = { status, advice: texts, ...(typeof detail === 'string' ? { detail } : {}) };
  if (typeof code === 'string' && typeof title === 'string') return new Problem(code, title, more);
  return new Problem(`http_${status}`, `The answer has the status ${status}.`, more);
}
