/**
 * Asks the server again and again and keeps what it said last, so that a server that is away is seen as such and nothing
 * freezes. One question is under way at a time; what is asked for may change between two.
 */
import { asImgoError, type ImgoError } from '../../protocol/errors.js';
import type { SessionRow, TopAnswer } from '../../server/logic/top.js';
import { type Api, path } from '../api.js';
import type { ShownSession } from '../presence.js';
import { type Moment, Track } from './moment.js';
import type { Scope } from './state.js';

/** What is asked for. */
export interface Question {
  /** Of /v1/top. */
  readonly query: string;
  /** A user or a session, which the server is asked about by name. */
  readonly scope: Scope | undefined;
}

/** What is known, and since when. */
export interface Known {
  readonly moment: Moment | undefined;
  /** When it was answered, monotonic ms. */
  readonly answeredAt: number;
  /** Why there was no answer since; undefined: there was. */
  readonly error: ImgoError | undefined;
  /** Of the scope: sessions of a user, or one. */
  readonly sessions: readonly ShownSession[] | undefined;
  /** Of the query that was answered: rows of another page are not those that are looked at. */
  readonly query: string;
}

/** How long one question may take. */
const DEADLINE_MS = 5_000;

export class Feed {
  readonly #api: Api;
  readonly #intervalMs: number;
  readonly #track = new Track();
  #question: () => Question = () => ({ query: '/v1/top', scope: undefined });
  #known: Known;
  #listener: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  #asking: AbortController | undefined;
  #stopped = false;

  constructor(api: Api, intervalMs: number) {
    this.#api = api;
    this.#intervalMs = intervalMs;
    this.#known = {
      moment: undefined,
      answeredAt: performance.now(),
      error: undefined,
      sessions: undefined,
      query: '',
    };
  }

  get known(): Known {
    return this.#known;
  }

  /** `question`: asked for before each call. `changed`: there is news, or none where there should be. */
  start(question: () => Question, changed: () => void): void {
    this.#question = question;
    this.#listener = changed;
    void this.#round();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#asking?.abort();
  }

  /** Something else is looked at: asks at once. */
  now(): void {
    if (this.#stopped || this.#asking !== undefined) return;
    clearTimeout(this.#timer);
    void this.#round();
  }

  /** One question. @throws ImgoError what the server says, unreachable */
  async ask(question: Question): Promise<Known> {
    const asking = new AbortController();
    const { signal } = asking;
    this.#asking = asking;
    try {
      const { query, scope } = question;
      const [answer, sessions] = await Promise.all([
        this.#api.json<TopAnswer>({ path: query, timeoutMs: DEADLINE_MS, signal }),
        this.#sessionsOf(scope, signal),
      ]);
      const moment = this.#track.add(answer);
      this.#known = { moment, answeredAt: performance.now(), error: undefined, sessions, query };
      return this.#known;
    } finally {
      this.#asking = undefined;
    }
  }

  async #sessionsOf(scope: Scope | undefined, signal: AbortSignal): Promise<readonly ShownSession[] | undefined> {
    if (scope?.kind === 'user') {
      const at = `${path('v1', 'users', scope.user)}/sessions`;
      const page = await this.#api.json<{ readonly items: readonly ShownSession[] }>({
        path: at,
        timeoutMs: DEADLINE_MS,
        signal,
      });
      return page.items;
    }
    if (scope?.kind !== 'session') return undefined;
    try {
      return [await this.#api.json({ path: path('v1', 'sessions', scope.session), timeoutMs: DEADLINE_MS, signal })];
    } catch (error) {
      if (asImgoError(error).code === 'session_not_found') return [];
      throw error;
    }
  }

  async #round(): Promise<void> {
    const begun = performance.now();
    const question = this.#question();
    try {
      await this.ask(question);
    } catch (error) {
      this.#known = { ...this.#known, error: asImgoError(error) };
    }
    if (this.#stopped) return;
    this.#listener();
    const { query, scope } = this.#question();
    const other = query !== question.query || JSON.stringify(scope) !== JSON.stringify(question.scope);
    const left = other && this.#known.error === undefined ? 0 : this.#intervalMs - (performance.now() - begun);
    this.#timer = setTimeout(() => void this.#round(), Math.max(other ? 0 : 50, left));
  }
}

/** A session that the API shows, as a row among the slow ones. */
export function rowOf(session: ShownSession): SessionRow {
  const { position, sentTo, lagBytes, state, user, session: id, node, dialect, transport, since } = session;
  return {
    ...{ session: id, user, node, dialect, transport, since },
    log: user === null ? null : `user:${user}`,
    cursor: position,
    head: sentTo ?? position,
    lagBytes: lagBytes ?? 0,
    heldMs: state === 'held' ? 1 : 0,
    gapInMs: null,
  };
}
