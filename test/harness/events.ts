// Reads GET /v1/events as a program would, and keeps what it got.

import { get, type IncomingMessage } from 'node:http';
import type { AdminEvent } from '../../src/server/observe/events.js';
import { until } from './api.js';

/** Any event, with whatever fields its kind has. */
export type AnyEvent = AdminEvent & Readonly<Record<string, unknown>>;

/** What came in place of a stream. */
export interface Refused {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly problem: Readonly<Record<string, unknown>>;
}

export class EventReader {
  readonly events: AnyEvent[] = [];
  /** Everything as it came. */
  text = '';
  ended = false;
  readonly answer: IncomingMessage;
  #line = '';

  private constructor(answer: IncomingMessage) {
    this.answer = answer;
    answer.setEncoding('utf8');
    answer.on('data', (chunk: string) => this.#take(chunk));
    const end = () => {
      this.ended = true;
    };
    answer.on('end', end).on('close', end).on('error', end);
  }

  /** Resolves with the stream when it has begun, or with the problem. */
  static open(
    base: string,
    query = '',
    headers: Readonly<Record<string, string>> = {},
  ): Promise<EventReader | Refused> {
    return new Promise((resolve, reject) => {
      get(`${base}/v1/events${query}`, { headers, agent: false }, (answer) => {
        if (answer.statusCode === 200) {
          const reader = new EventReader(answer);
          resolve(until('the first line', () => reader.events.length > 0 || reader.ended).then(() => reader));
          return;
        }
        let body = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        const { statusCode: status = 0 } = answer;
        answer.on('end', () => resolve({ status, headers: answer.headers, problem: JSON.parse(body || '{}') }));
      }).on('error', reject);
    });
  }

  /** A stream that must begin. */
  static async begin(base: string, query = '', headers: Readonly<Record<string, string>> = {}): Promise<EventReader> {
    const opened = await EventReader.open(base, query, headers);
    if (opened instanceof EventReader) return opened;
    throw new Error(`${opened.status} ${JSON.stringify(opened.problem)}`);
  }

  /** The first event that passes, once it is there. */
  async next(what: string, passes: (event: AnyEvent) => boolean): Promise<AnyEvent> {
    await until(what, () => this.events.some(passes));
    return this.events.find(passes) as AnyEvent;
  }

  kind(name: string): Promise<AnyEvent> {
    return this.next(name, ({ event }) => event === name);
  }

  /** How many of a kind. */
  count(name: string): number {
    return this.events.reduce((sum, { event }) => sum + (event === name ? 1 : 0), 0);
  }

  close(): void {
    this.answer.destroy();
  }

  #take(chunk: string): void {
    this.text += chunk;
    const lines = (this.#line + chunk).split('\n');
    this.#line = lines.pop() ?? '';
    for (const line of lines) {
      const json = line.startsWith('data: ') ? line.slice(6) : line;
      if (json.startsWith('{')) this.events.push(JSON.parse(json));
    }
  }
}
