// Messages of topics that are traced, from the ring to the last member: counted over the members when a sweep has ended, all
// messages of a topic in one pass. A pass over very many members gives way to others, and however often a topic sweeps,
// passes take a fiftieth of the time.

import { ALL_LOG, compareIds, type LogName, type MessageId } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import type { SweptStep } from '../observe/steps.js';
import type { Marked, TraceStore } from '../observe/traces.js';
import type { JoinedTopic, Outlet } from './outlet.js';

/** A topic as far as its sweeps need it. */
export interface SweptTopic extends JoinedTopic {
  position(outlet: Outlet): MessageId;
  lagBytes(outlet: Outlet): number;
}

/** A message that not all members have been given. */
interface Pending {
  readonly marked: Marked;
  readonly operation: number;
  readonly members: number;
  readonly since: number;
  gaps: number;
  /** Members that gaps were noted of one by one. */
  noted: number;
  last: string;
}

/** Those of one topic. */
interface Waiting {
  messages: Pending[];
  /** A pass is under way, or will be. */
  counting: boolean;
  /** A sweep has ended since it began. */
  again: boolean;
  /** Monotonic ms. */
  notBefore: number;
}

/** Sessions that a step names, of each kind. */
const SAMPLE = 8;
/** Messages of one topic that are looked after at a time; the oldest gives way. */
const PENDING_MAX = 16;
/** So long members that do not read are waited for, ms. */
const PENDING_MS = 60_000;
/** Members that are counted in one turn. */
const BATCH = 16_384;
/** Between two passes: as many times as long as the one before took. */
const PAUSE = 50;

export class SweptTraces {
  readonly #store: TraceStore;
  readonly #clock: Clock;
  readonly #topics = new Map<LogName, Waiting>();

  constructor(store: TraceStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** It goes into the rings. */
  put({ log, members }: SweptTopic, marked: Marked, operation: number): void {
    const since = this.#clock.monotonic();
    for (const [other, { messages, counting }] of this.#topics) {
      if (!counting && messages.every((one) => one.since + PENDING_MS < since)) this.#topics.delete(other);
    }
    let waiting = this.#topics.get(log);
    if (waiting === undefined) {
      waiting = { messages: [], counting: false, again: false, notBefore: since };
      this.#topics.set(log, waiting);
    }
    if (waiting.messages.length >= PENDING_MAX) waiting.messages.shift();
    waiting.messages.push({ marked, operation, members: members.length, since, gaps: 0, noted: 0, last: '' });
  }

  /** A member was too slow for it. True: enough members are named already. */
  gap(log: LogName, { mark }: Marked): boolean {
    const pending = this.#topics.get(log)?.messages.find((one) => one.marked.mark === mark);
    if (pending === undefined) return false;
    pending.gaps++;
    return ++pending.noted > SAMPLE;
  }

  /** A sweep over the members has ended. */
  swept(topic: SweptTopic): void {
    const waiting = this.#topics.get(topic.log);
    if (waiting === undefined) return;
    if (waiting.counting) waiting.again = true;
    else this.#begin(topic, waiting);
  }

  #begin(topic: SweptTopic, waiting: Waiting): void {
    waiting.counting = true;
    const ms = waiting.notBefore - this.#clock.monotonic();
    if (ms > 0) this.#clock.after(ms, () => void this.#count(topic, waiting));
    else void this.#count(topic, waiting);
  }

  async #count(topic: SweptTopic, waiting: Waiting): Promise<void> {
    waiting.again = false;
    const counts = waiting.messages.map((pending) => new Count(topic, pending));
    let tookMs = 0;
    for (let from = 0; from < topic.members.length; from += BATCH) {
      if (from > 0) await new Promise<void>((resolve) => this.#clock.soon(resolve));
      const since = this.#clock.monotonic();
      for (let at = from; at < Math.min(from + BATCH, topic.members.length); at++) {
        const outlet = topic.members[at] as Outlet;
        const position = topic.position(outlet);
        for (const count of counts) count.take(outlet, position);
      }
      tookMs += this.#clock.monotonic() - since;
    }
    const now = this.#clock.monotonic();
    const over = new Set(counts.filter((count) => !this.#note(count, now)).map(({ pending }) => pending));
    waiting.messages = waiting.messages.filter((pending) => !over.has(pending));
    waiting.notBefore = now + PAUSE * tookMs;
    waiting.counting = false;
    if (waiting.messages.length === 0) this.#topics.delete(topic.log);
    else if (waiting.again) this.#begin(topic, waiting);
  }

  /** False: nobody is left to wait for. */
  #note({ pending, ...count }: Count, now: number): boolean {
    const { members, gaps } = pending;
    const { given, drained, held, filtered, sample } = count;
    // Who joined meanwhile is not counted, and who had a gap was not given it.
    const written = Math.max(0, Math.min(given, members - filtered) - gaps);
    const counts: Omit<SweptStep, 'step' | 'sample'> = {
      members,
      written,
      drained: Math.min(drained, written),
      held,
      gaps,
      filtered,
      left: Math.max(0, members - written - held - gaps - filtered),
    };
    const text = JSON.stringify(counts);
    if (text !== pending.last) this.#store.note(pending.marked, { step: 'swept', ...counts, sample });
    pending.last = text;
    return held > 0 && pending.since + PENDING_MS > now;
  }
}

/** How far one message has come among the members. */
class Count {
  readonly pending: Pending;
  given = 0;
  drained = 0;
  held = 0;
  filtered = 0;
  readonly sample = { written: [] as string[], not: [] as string[] };
  readonly #topic: SweptTopic;
  readonly #filters: boolean;

  constructor(topic: SweptTopic, pending: Pending) {
    this.#topic = topic;
    this.#filters = topic.log === ALL_LOG;
    this.pending = pending;
  }

  /** `position`: of this member. */
  take(outlet: Outlet, position: MessageId): void {
    const { marked, operation } = this.pending;
    const { written, not } = this.sample;
    if (this.#filters && outlet.accepts !== undefined && !outlet.accepts.includes(operation)) {
      this.filtered++;
      if (not.length < SAMPLE) not.push(outlet.session);
      return;
    }
    const { id } = marked;
    const given = id === undefined ? this.#topic.lagBytes(outlet) === 0 : compareIds(position, id) >= 0;
    if (given) {
      this.given++;
      if (!outlet.held) this.drained++;
      if (written.length < SAMPLE) written.push(outlet.session);
    } else {
      this.held++;
      if (not.length < SAMPLE) not.push(outlet.session);
    }
  }
}
