// A running server's HTTP API, for tests: tokens, pushes, what is kept.
import { call } from './pusher.js';

export interface KeptMessages {
  readonly head: string;
  readonly devices: readonly { readonly device: string; readonly cursor: string; readonly sentTo: string }[];
}

export class TestApi {
  readonly #base: () => string;

  /** `base` is asked at every call: a restart may change it. */
  constructor(base: () => string) {
    this.#base = base;
  }

  async token(user: string, more: object = {}): Promise<string> {
    const { token } = (await this.#json('POST', '/v1/tokens', { user, ttl: '1d', ...more })) as { token: string };
    return token;
  }

  /** Answers the id, or null for an ephemeral push. */
  async push(to: object, message: unknown, more: object = {}): Promise<string> {
    const { id } = (await this.#json('POST', '/v1/push', { to, message, ...more })) as { id: string };
    return id;
  }

  async kept(user: string): Promise<KeptMessages> {
    return (await this.#json('GET', `/v1/users/${user}/messages`)) as KeptMessages;
  }

  async #json(method: string, path: string, body?: object): Promise<unknown> {
    const answer = await call(`${this.#base()}${path}`, method, body && JSON.stringify(body));
    if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body);
  }
}

/** Resolves when it holds; rejects with what was waited for after 30 s. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
