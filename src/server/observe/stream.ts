/**
 * A stream of events of many nodes, as one logic sends it to one reader. Each node is fetched from by itself: one that hangs
 * delays no other, and is said to be missed, and to be back. What the reader does not take waits here, bounded; beyond that
 * it is dropped, counted, and told in its place. Events of one node keep their order.
 */
import { ImgoError } from '../../protocol/errors.js';
import { type Clock, pause, type Timer } from '../clock.js';
import type { EndEvent, EventFilter, MissedEvent, StreamEvent } from './events.js';
import { Kind, Matcher, namesNode } from './filter.js';
import type { WatchRequest, WatchService } from './hub.js';
import type { EventBatch } from './watch.js';

/** A node whose events can be had. `service` undefined: it cannot be reached now. */
export interface WatchedNode {
  readonly node: string;
  readonly service: WatchService | undefined;
}

/** Sessions whose frames are shown without a sample. */
export const MOST_SESSIONS = 1_000;
/** Bytes of lines that wait for the reader. */
export const OUTBOX_BYTES = 1024 * 1024;
/** A write to the reader has all that waits, up to about so much. */
const PIECE_BYTES = 64 * 1024;
/** How long a node may keep an answer back when nothing happens, and after how long it is missed, ms. */
const WAIT_MS = 2_000;
const LATE_MS = 5_000;
/** Nodes that had something to say are asked again so long after the first of them, for each node that there is: some twenty questions a second. */
const GATHER_NODE_MS = 50;
const GATHER_MOST_MS = 500;
/** The same for the first answers, which the stream begins with. */
const BEGIN_MS = 2_000;
/** Between two attempts at a node that is missed; of one that is too old, longer. */
const AGAIN_MS = 500;
const AGAIN_VERSION_MS = 10_000;
/** Between two looks at which nodes there are. */
const LOOK_MS = 1_000;
const KEEP_ALIVE_MS = 15_000;

export interface StreamParts {
  readonly clock: Clock;
  readonly version: string;
  /** As they are now. */
  readonly nodes: () => Promise<readonly WatchedNode[]>;
}

export interface StreamRequest {
  readonly filter: EventFilter;
  /** What the flight recorders have since so long ago comes first, ms. */
  readonly sinceMs: number | undefined;
  /** Ends after so many events of nodes. */
  readonly limit: number | undefined;
}

/** Lines for the reader, each with its newline, and how many events of nodes are among them. */
interface Parcel {
  readonly lines: string;
  readonly events: number;
}

interface Source {
  readonly node: string;
  service: WatchService | undefined;
  /** It has answered before. */
  known: boolean;
  /** It was said to be missed, and not to be back. */
  missed: boolean;
  gone: boolean;
  /** Events that found no room there, and are not told yet. */
  dropped: number;
}

export class EventStream {
  readonly #parts: StreamParts;
  readonly #request: StreamRequest;
  readonly #id: string;
  readonly #sources = new Map<string, Source>();
  readonly #stopped = new AbortController();
  #outbox: Parcel[] = [];
  #bytes = 0;
  #droppedHere = 0;
  #left: number;
  #end: EndEvent['reason'] | undefined;
  #wake: (() => void) | undefined;
  #gathering: Promise<void> | undefined;
  #looking: Timer | undefined;

  constructor(parts: StreamParts, request: StreamRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#id = Buffer.from(parts.clock.randomBytes(12)).toString('base64url');
    this.#left = request.limit ?? Number.POSITIVE_INFINITY;
  }

  /** Names it in logs. */
  get id(): string {
    return this.#id;
  }

  /**
   * Asks every node; then the stream can be read.
   * @throws ImgoError watch_too_wide, node_not_found, too_many_watches
   */
  async begin(): Promise<void> {
    const { filter, sinceMs } = this.#request;
    try {
      const nodes = await this.#nodes();
      const unknown = filter.nodes?.find((name) => !nodes.some(({ node }) => namesNode([name], node)));
      if (unknown !== undefined) throw new ImgoError('node_not_found', { node: unknown });
      const answers = await Promise.all(
        nodes.map(async (one) => {
          const source = this.#add(one);
          const since = sinceMs === undefined ? {} : { sinceMs };
          const request = { id: this.#id, filter, waitMs: 0, nodes: nodes.length, ...since };
          return { source, answer: await this.#ask(source, request, BEGIN_MS) };
        }),
      );
      const refused = answers.find(({ answer }) => answer instanceof ImgoError && answer.code === 'too_many_watches');
      if (refused !== undefined) throw refused.answer;
      const batches = answers.flatMap(({ answer }) => (isBatch(answer) ? [answer] : []));
      const sessions = batches.reduce((sum, batch) => sum + batch.sessions, 0);
      const frames = new Matcher(filter).wants(Kind.frame);
      if (frames && filter.sample === undefined && sessions > MOST_SESSIONS) {
        throw new ImgoError('watch_too_wide', { sessions, limit: MOST_SESSIONS });
      }
      const { version } = this.#parts;
      this.#say({ event: 'watching', at: this.#now(), sessions, nodes: batches.length, version });
      for (const { source, answer } of answers) {
        this.#took(source, answer);
        void this.#follow(source);
      }
      if (this.#stopped.signal.aborted) return;
      this.#looking = this.#parts.clock.every(LOOK_MS, () => void this.#look());
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Lines, as fast as they are taken; ends with the stream, or when whoever reads returns. */
  async *lines(): AsyncGenerator<string, void, undefined> {
    try {
      for (;;) {
        const parcel = this.#next();
        if (parcel !== undefined) yield parcel;
        else if (this.#end !== undefined || this.#stopped.signal.aborted) break;
        else if (!(await this.#something())) yield KEEP_ALIVE;
      }
      if (this.#end !== undefined) yield lineOf({ event: 'end', at: this.#now(), reason: this.#end });
    } finally {
      this.stop();
    }
  }

  /** The server stops, or whoever reads may not any more: what is there is still read, then it ends. */
  finish(reason: EndEvent['reason']): void {
    this.#end ??= reason;
    this.stop();
  }

  /** Nobody reads any more. Nodes are told; who does not hear it forgets the watch by itself. */
  stop(): void {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    this.#parts.clock.clear(this.#looking);
    for (const { service } of this.#sources.values()) service?.unwatch(this.#id).catch(() => undefined);
    this.#wake?.();
  }

  // What the reader takes.

  /** What there is, as one piece: a write costs more than what it carries. */
  #next(): string | undefined {
    let lines = '';
    while (lines.length < PIECE_BYTES) {
      const parcel = this.#outbox.shift();
      if (parcel === undefined) break;
      this.#bytes -= parcel.lines.length;
      if (parcel.events >= this.#left) {
        lines += upTo(parcel.lines, this.#left);
        this.#outbox = [];
        this.finish('limit');
        break;
      }
      this.#left -= parcel.events;
      lines += parcel.lines;
    }
    return lines === '' ? undefined : lines;
  }

  /** False: nothing came for a while. What other nodes answer in the same turn is there as well. */
  #something(): Promise<boolean> {
    const { clock } = this.#parts;
    return new Promise((resolve) => {
      const timer = clock.after(KEEP_ALIVE_MS, () => resolve(false));
      this.#wake = () => {
        clock.clear(timer);
        this.#wake = undefined;
        clock.soon(() => resolve(true));
      };
    });
  }

  // What nodes give.

  async #nodes(): Promise<readonly WatchedNode[]> {
    const { nodes } = this.#request.filter;
    return (await this.#parts.nodes()).filter(({ node }) => namesNode(nodes, node));
  }

  #add({ node, service }: WatchedNode): Source {
    const source = { node, service, known: false, missed: false, gone: false, dropped: 0 };
    this.#sources.set(node, source);
    return source;
  }

  /** Nodes come and go. */
  async #look(): Promise<void> {
    const nodes = await this.#nodes().catch(() => undefined);
    if (nodes === undefined || this.#stopped.signal.aborted) return;
    const there = new Map(nodes.map((one) => [one.node, one]));
    for (const source of this.#sources.values()) {
      const now = there.get(source.node);
      source.service = now?.service;
      if (now !== undefined) continue;
      source.gone = true;
      this.#sources.delete(source.node);
      this.#miss(source, 'gone');
    }
    for (const one of nodes) {
      if (this.#sources.has(one.node)) continue;
      const source = this.#add(one);
      // Its first answer is worth saying.
      source.missed = true;
      void this.#follow(source);
    }
  }

  async #follow(source: Source): Promise<void> {
    const { clock } = this.#parts;
    const { signal } = this.#stopped;
    const { filter } = this.#request;
    while (!signal.aborted && !source.gone) {
      const request = { id: this.#id, filter, waitMs: WAIT_MS, nodes: this.#sources.size };
      const answer = await this.#ask(source, request, LATE_MS);
      if (signal.aborted || source.gone) return;
      const reason = this.#took(source, answer);
      if (reason !== undefined) await pause(clock, reason === 'version' ? AGAIN_VERSION_MS : AGAIN_MS, signal);
      else if (isBatch(answer) && (answer.count > 0 || answer.dropped > 0)) await this.#gather();
    }
  }

  /** All nodes that have answered are asked again together, so that they answer together: one turn for all of them here. */
  #gather(): Promise<void> {
    const ms = Math.min(GATHER_MOST_MS, GATHER_NODE_MS * this.#sources.size);
    this.#gathering ??= pause(this.#parts.clock, ms, this.#stopped.signal).then(() => {
      this.#gathering = undefined;
    });
    return this.#gathering;
  }

  /** Never rejects; undefined: it did not answer in time. */
  async #ask(source: Source, request: WatchRequest, ms: number): Promise<EventBatch | Error | undefined> {
    const { service } = source;
    if (service === undefined) return undefined;
    const { clock } = this.#parts;
    return new Promise((resolve) => {
      const late = clock.after(ms, () => resolve(undefined));
      const answered = (answer: EventBatch | Error) => {
        clock.clear(late);
        resolve(answer);
      };
      service.watch(request).then(answered, answered);
    });
  }

  /** Takes an answer in. Why the node is missed, if it is. */
  #took(source: Source, answer: EventBatch | Error | undefined): MissedEvent['reason'] | undefined {
    if (!isBatch(answer)) {
      const reason = reasonOf(answer);
      this.#miss(source, reason);
      return reason;
    }
    // It has forgotten the watch, or is another process by now: what was between is lost.
    if (answer.began && source.known) this.#miss(source, 'unreachable');
    source.known = true;
    if (source.missed) {
      source.missed = false;
      this.#say({ event: 'back', at: this.#now(), node: source.node });
    }
    const { node } = source;
    const at = this.#now();
    this.#sayDropped(source, 0);
    if (answer.count > 0) this.#put({ lines: answer.lines, events: answer.count });
    this.#sayDropped(source, answer.dropped);
    if (answer.partial !== undefined) {
      this.#say({ event: 'partial', at, node, watched: answer.partial, sessions: answer.sessions });
    }
    return undefined;
  }

  /** A flooded node drops some with every answer: while the reader takes nothing they add up to one word. */
  #sayDropped(source: Source, more: number): void {
    source.dropped += more;
    if (source.dropped === 0 || this.#bytes > OUTBOX_BYTES / 2) return;
    const { node, dropped: count } = source;
    source.dropped = 0;
    this.#say({ event: 'dropped', at: this.#now(), count, reason: 'node_buffer', node });
  }

  #miss(source: Source, reason: MissedEvent['reason']): void {
    if (source.missed) return;
    source.missed = true;
    this.#say({ event: 'missed', at: this.#now(), node: source.node, reason });
  }

  #say(event: StreamEvent): void {
    this.#put({ lines: lineOf(event), events: 0 });
  }

  #put(parcel: Parcel): void {
    // What the stream says of itself is little, and is never left out.
    if (parcel.events > 0 && this.#bytes + parcel.lines.length > OUTBOX_BYTES) {
      this.#droppedHere += parcel.events;
      return;
    }
    if (this.#droppedHere > 0) {
      const count = this.#droppedHere;
      this.#droppedHere = 0;
      this.#push({ lines: lineOf({ event: 'dropped', at: this.#now(), count, reason: 'slow_reader' }), events: 0 });
    }
    this.#push(parcel);
    this.#wake?.();
  }

  #push(parcel: Parcel): void {
    this.#outbox.push(parcel);
    this.#bytes += parcel.lines.length;
  }

  #now(): number {
    return this.#parts.clock.now();
  }
}

/** What stands for nothing to say; how it is said is the format's matter. */
export const KEEP_ALIVE = '\n';

function isBatch(answer: EventBatch | Error | undefined): answer is EventBatch {
  return answer !== undefined && !(answer instanceof Error);
}

function reasonOf(answer: Error | undefined): MissedEvent['reason'] {
  if (answer === undefined) return 'unreachable';
  if (!(answer instanceof ImgoError)) return 'failed';
  if (answer.code === 'node_unreachable' || answer.code === 'too_many_watches') {
    return answer.code === 'node_unreachable' ? 'unreachable' : answer.code;
  }
  // A program of before this method answers so (rpc/remote.ts).
  const unknown = answer.code === 'internal' && String(answer.details.detail ?? '').endsWith('is not offered here');
  return unknown ? 'version' : 'failed';
}

function lineOf(event: StreamEvent): string {
  return `${JSON.stringify(event)}\n`;
}

/** The first so many lines. */
function upTo(lines: string, count: number): string {
  let end = 0;
  for (let line = 0; line < count; line++) end = lines.indexOf('\n', end) + 1;
  return lines.slice(0, end);
}
