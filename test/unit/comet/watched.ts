// Watches a hub as a logic does, and keeps what it tells.

import type { EventFilter, NodeEvent } from '../../../src/server/observe/events.js';
import type { EventHub } from '../../../src/server/observe/hub.js';
import { until } from '../../harness/api.js';

/** Any event, with whatever fields its kind has. */
export type Seen = NodeEvent & Readonly<Record<string, unknown>>;

export class Watching {
  readonly events: Seen[] = [];
  sessions = 0;
  partial: number | undefined;
  dropped = 0;
  readonly #hub: EventHub;
  readonly #filter: EventFilter;
  readonly #id: string;

  private constructor(hub: EventHub, filter: EventFilter) {
    this.#hub = hub;
    this.#filter = filter;
    this.#id = Math.random().toString(36);
  }

  static async begin(hub: EventHub, filter: EventFilter = {}): Promise<Watching> {
    const watching = new Watching(hub, filter);
    await watching.fetch();
    return watching;
  }

  async fetch(): Promise<void> {
    const { lines, sessions, partial, dropped } = await this.#hub.watch({
      id: this.#id,
      filter: this.#filter,
      waitMs: 20,
    });
    this.sessions = sessions;
    this.partial ??= partial;
    this.dropped += dropped;
    for (const line of lines.split('\n')) if (line !== '') this.events.push(JSON.parse(line));
  }

  /** Fetches until an event passes; resolves with it. */
  async next(what: string, passes: (event: Seen) => boolean): Promise<Seen> {
    await until(what, async () => {
      if (this.events.some(passes)) return true;
      await this.fetch();
      return false;
    });
    return this.events.find(passes) as Seen;
  }

  /** The next event of that kind. */
  kind(event: string): Promise<Seen> {
    return this.next(event, (one) => one.event === event);
  }

  end(): Promise<void> {
    return this.#hub.unwatch(this.#id);
  }
}
