/**
 * One watch at one node: what it wants, and the events that wait to be fetched, as lines of JSON. Bounded in bytes; what
 * finds no room is counted and told with the next batch. Answers are paced by their size and their number, and nodes that are
 * asked for the same stream share both, so that a stream never costs a server more than some thousand events and some twenty
 * answers a second, however many happen; beyond ten nodes two answers of each.
 */
import type { Clock, Timer } from '../clock.js';
import type { EventFilter, NodeEvent } from './events.js';
import { Matcher } from './filter.js';

/** Bytes of lines that wait for the next fetch; of many nodes each has room for its share of a second. */
export const RING_BYTES = 256 * 1024;
const LEAST_BYTES = 16 * 1024;
/** A second of a stream carries as many bytes as this, of all nodes. */
export const BYTES_PER_SECOND = 1024 * 1024;
/**
 * After an answer with events: more gather at least so long, and for each node that there is. Logics ask a little less often than
 * this allows (stream.ts), so that a question need not wait: that costs a wakeup less.
 */
const GATHER_MS = 50;
const GATHER_NODE_MS = 40;
const GATHER_MOST_MS = 400;
/** Beside its text, what a line costs. */
const LINE_OVERHEAD = 32;
/** What an event that is no line yet counts as, beside the log that it names. */
const EVENT_BYTES = 144;

/**
 * Events that are made lines when they are fetched. Where one happens, between thousands of writes, nothing of what makes a line
 * is in a cache; all that waits together costs a fraction.
 */
export interface Unwritten {
  /** How many they are. */
  readonly count: number;
  /** What they and their lines take, about. */
  bytes(payloads: boolean): number;
  /** Each ends with a newline. */
  lines(payloads: boolean): string;
}

/** What a fetch brings. Everything is since the one before it. */
export interface EventBatch {
  /** This watch was not known: it begins here, and nothing before it is in it. */
  readonly began: boolean;
  /** That match now; counted at the begin, then kept. */
  readonly sessions: number;
  /** Of them, those whose frames are watched one by one. Fewer than wanted: there are too many. */
  readonly partial: number | undefined;
  /** Each ends with a newline. */
  readonly lines: string;
  readonly count: number;
  /** Found no room. */
  readonly dropped: number;
}

/** Older events that come before those that happen now. */
export interface Replay {
  /**
   * Looks at the next records, a slice that a turn of the event loop has time for, and gives the lines of those that are
   * wanted, about as many bytes at most: often none. undefined: there are no more.
   */
  next(bytes: number): { readonly lines: string; readonly count: number } | undefined;
}

export class Watch {
  readonly id: string;
  readonly matcher: Matcher;
  /** A bit of its own among the watches of the node. */
  readonly bit: number;
  /** That match, and of them those that wanted to be watched one by one and are not. */
  sessions = 0;
  unwatched = 0;
  watched = 0;
  /** Monotonic ms of the last fetch's end. */
  fetchedAt: number;
  #waits: (string | NodeEvent | Unwritten)[] = [];
  #count = 0;
  #bytes = 0;
  #dropped = 0;
  #replay: Replay | undefined;
  /** What it gave, and no fetch has taken. */
  #older = { lines: '', count: 0 };
  #notBefore = 0;
  #waiting: (() => void) | undefined;
  #toldUnwatched = 0;
  #nodes = 1;
  #room = RING_BYTES;
  readonly #clock: Clock;

  constructor(id: string, filter: EventFilter, bit: number, clock: Clock) {
    this.id = id;
    this.matcher = new Matcher(filter);
    this.bit = bit;
    this.#clock = clock;
    this.fetchedAt = clock.monotonic();
  }

  /** So many nodes are asked for the same stream. */
  share(nodes: number): void {
    this.#nodes = Math.max(1, nodes);
    this.#room = Math.max(LEAST_BYTES, Math.min(RING_BYTES, BYTES_PER_SECOND / this.#nodes));
  }

  /** A fetch waits for events. */
  get waiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** Older events first. */
  replay(replay: Replay): void {
    this.#replay = replay;
  }

  /** Something found no room: nothing more is taken until the next fetch. */
  get full(): boolean {
    return this.#dropped > 0;
  }

  /** False: it is full, and what is not even offered, so many events, is counted. */
  hasRoom(count = 1): boolean {
    if (!this.full) return true;
    this.#dropped += count;
    return false;
  }

  /** Takes a line, with its newline. */
  offer(line: string): void {
    this.#keep(line, 1, line.length + LINE_OVERHEAD);
  }

  /** Takes an event, which stays as it is. */
  offerEvent(event: NodeEvent): void {
    this.#keep(event, 1, EVENT_BYTES + ('log' in event ? (event.log?.length ?? 0) : 0));
  }

  offerUnwritten(some: Unwritten): void {
    this.#keep(some, some.count, some.bytes(this.matcher.payloads));
  }

  #keep(some: string | NodeEvent | Unwritten, count: number, bytes: number): void {
    if (this.full || (this.#bytes + bytes > this.#room && this.#count > 0)) {
      this.#dropped += count;
      return;
    }
    this.#waits.push(some);
    this.#count += count;
    this.#bytes += bytes;
    if (this.#waits.length === 1) this.#waiting?.();
  }

  /** What there is, when there is something or the time is over. Another fetch meanwhile ends this one. */
  async fetch(waitMs: number, began: boolean): Promise<EventBatch> {
    this.#waiting?.();
    const clock = this.#clock;
    const until = clock.monotonic() + waitMs;
    if (!began) await this.#wait(Math.min(this.#notBefore, until), true);
    if (!began && this.#isEmpty()) await this.#wait(until, false);
    await this.#lookBack();
    const batch = this.#take(began);
    this.fetchedAt = clock.monotonic();
    if (batch.count === 0 && batch.dropped === 0) return batch;
    const pace = (batch.lines.length * this.#nodes * 1_000) / BYTES_PER_SECOND;
    const gather = Math.min(GATHER_MOST_MS, GATHER_NODE_MS * this.#nodes);
    this.#notBefore = this.fetchedAt + Math.max(GATHER_MS, gather, pace);
    return batch;
  }

  /** Nobody fetches any more. */
  end(): void {
    this.#waiting?.();
    this.#waits = [];
    this.#count = this.#bytes = 0;
    this.#replay = undefined;
  }

  /** Older events, a slice a turn, until there are enough for an answer. */
  async #lookBack(): Promise<void> {
    for (;;) {
      const part = this.#replay?.next(this.#room);
      if (part === undefined) break;
      const { lines, count } = this.#older;
      this.#older = { lines: lines + part.lines, count: count + part.count };
      if (this.#older.lines.length >= this.#room) return;
      await new Promise<void>((resolve) => this.#clock.soon(resolve));
    }
    this.#replay = undefined;
  }

  #isEmpty(): boolean {
    return this.#count === 0 && this.#dropped === 0 && this.#replay === undefined;
  }

  /** Until then, or a line comes (unless `whole`), or another fetch begins. */
  #wait(until: number, whole: boolean): Promise<void> {
    const clock = this.#clock;
    const ms = until - clock.monotonic();
    if (ms <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      const done = () => {
        clock.clear(timer);
        this.#waiting = undefined;
        resolve();
      };
      timer = clock.after(ms, done);
      // Lines that come while events gather end no wait; they are taken at its end.
      this.#waiting = whole ? () => undefined : done;
    });
  }

  #take(began: boolean): EventBatch {
    const { sessions } = this;
    const partial = this.unwatched > 0 && this.#toldUnwatched === 0 ? this.watched : undefined;
    this.#toldUnwatched = this.unwatched;
    const head = { began, sessions, partial };
    const older = this.#older;
    if (older.count > 0) {
      this.#older = { lines: '', count: 0 };
      return { ...head, ...older, dropped: 0 };
    }
    const { payloads } = this.matcher;
    let lines = '';
    for (const some of this.#waits) lines += textOf(some, payloads);
    const batch = { ...head, lines, count: this.#count, dropped: this.#dropped };
    this.#waits = [];
    this.#count = this.#bytes = this.#dropped = 0;
    return batch;
  }
}

function textOf(some: string | NodeEvent | Unwritten, payloads: boolean): string {
  if (typeof some === 'string') return some;
  return 'event' in some ? `${JSON.stringify(some)}\n` : some.lines(payloads);
}
