/**
 * Where a node's events go: to the watches that want them. While there is none, `wants` is 0, and that one test is all that
 * a place which could tell something costs. Watches are fetched by logics; one that nobody fetches is forgotten.
 */
import { ImgoError } from '../../protocol/errors.js';
import { formatId, type MessageId } from '../../protocol/ids.js';
import type { Clock, Timer } from '../clock.js';
import type { EventFilter, NodeEvent } from './events.js';
import { Kind, type Matcher } from './filter.js';
import { type EventBatch, type Replay, Watch } from './watch.js';

/** Watches of one node at a time. */
export const MAX_WATCHES = 16;
/** A watch that nobody fetched for so long is forgotten, ms. */
const FORGET_MS = 5_000;
const LOOK_MS = 1_000;
/** The longest wait of a fetch, whatever is asked for, ms. */
const MAX_WAIT_MS = 2_000;

/** What a logic asks a node for, again and again. */
export interface WatchRequest {
  /** Random, chosen by who asks. The first fetch with it begins the watch. */
  readonly id: string;
  readonly filter: EventFilter;
  /** How long an answer may wait for events, ms. */
  readonly waitMs: number;
  /** How many nodes are asked for the same stream; 1 unless given. They share what one stream is given. */
  readonly nodes?: number | undefined;
  /** When it begins: with what the flight recorder has of the last so many ms. */
  readonly sinceMs?: number | undefined;
}

/** Events, for logics: of every node. */
export interface WatchService {
  /** @throws ImgoError too_many_watches */
  watch(request: WatchRequest): Promise<EventBatch>;
  unwatch(id: string): Promise<void>;
}

/** Where sessions are: the comet of the node. */
export interface SessionSource {
  /** Finds the sessions that match, and sees to it that their frames are told. */
  begin(watch: Watch): Promise<void>;
  end(watch: Watch): void;
  /** What its flight recorder has. `sinceMs`: before now. */
  replay(matcher: Matcher, sinceMs: number): Replay;
}

export class EventHub implements WatchService {
  readonly node: string;
  readonly clock: Clock;
  /** Bits of the kinds that any watch wants. */
  wants = 0;
  readonly watches: Watch[] = [];
  /** Set by a comet. */
  source: SessionSource | undefined;
  #timer: Timer | undefined;

  constructor(node: string, clock: Clock) {
    this.node = node;
    this.clock = clock;
  }

  async watch({ id, filter, waitMs, sinceMs, nodes = 1 }: WatchRequest): Promise<EventBatch> {
    const known = this.watches.find((one) => one.id === id);
    known?.share(nodes);
    if (known !== undefined) return known.fetch(Math.min(waitMs, MAX_WAIT_MS), false);
    const watch = new Watch(id, filter, this.#freeBit(), this.clock);
    watch.share(nodes);
    this.watches.push(watch);
    this.#changed();
    if (sinceMs !== undefined && this.source !== undefined) watch.replay(this.source.replay(watch.matcher, sinceMs));
    await this.source?.begin(watch);
    return watch.fetch(0, true);
  }

  async unwatch(id: string): Promise<void> {
    const at = this.watches.findIndex((one) => one.id === id);
    if (at >= 0) this.#end(at);
  }

  /** Ends all. */
  stop(): void {
    while (this.watches.length > 0) this.#end(0);
  }

  // What happens, of a log and no session. The caller has tested `wants`.

  accepted(log: string, id: MessageId | undefined, bytes: number): void {
    this.ofLog(Kind.accepted, log, (at, node) => ({ event: 'accepted', at, node, log, id: shown(id), bytes }));
  }

  applied(log: string, id: MessageId, bytes: number): void {
    this.ofLog(Kind.applied, log, (at, node) => ({ event: 'applied', at, node, log, id: shown(id), bytes }));
  }

  notified(log: string, id: MessageId | undefined, comet: string): void {
    this.ofLog(Kind.notified, log, (at, node) => ({ event: 'notified', at, node, log, id: shown(id), comet }));
  }

  /** Makes the event only if a watch wants it and has room. */
  ofLog(kind: number, log: string, make: (at: number, node: string) => NodeEvent): void {
    let event: NodeEvent | undefined;
    for (const watch of this.watches) {
      if (!watch.matcher.wants(kind) || !watch.matcher.log(log) || !watch.hasRoom()) continue;
      event ??= make(this.clock.now(), this.node);
      watch.offerEvent(event);
    }
  }

  /** When and where. */
  stamp(): { readonly at: number; readonly node: string } {
    return { at: this.clock.now(), node: this.node };
  }

  #freeBit(): number {
    if (this.watches.length >= MAX_WATCHES) {
      throw new ImgoError('too_many_watches', { node: this.node, limit: MAX_WATCHES });
    }
    let taken = 0;
    for (const { bit } of this.watches) taken |= bit;
    return ~taken & (taken + 1);
  }

  #end(at: number): void {
    const [watch] = this.watches.splice(at, 1);
    if (watch === undefined) return;
    // The source looks at what is still wanted.
    this.#changed();
    this.source?.end(watch);
    watch.end();
  }

  #changed(): void {
    this.wants = this.watches.reduce((kinds, { matcher }) => kinds | matcher.kinds, 0);
    if (this.watches.length > 0) this.#timer ??= this.clock.every(LOOK_MS, () => this.#look());
    else {
      this.clock.clear(this.#timer);
      this.#timer = undefined;
    }
  }

  #look(): void {
    const before = this.clock.monotonic() - FORGET_MS;
    for (let at = this.watches.length - 1; at >= 0; at--) {
      const watch = this.watches[at] as Watch;
      if (watch.fetchedAt < before && !watch.waiting) this.#end(at);
    }
  }
}

/** `1-42`; an ephemeral message has none. */
export function shown(id: MessageId | undefined): string | undefined {
  return id === undefined || id.n === 0 ? undefined : formatId(id);
}
