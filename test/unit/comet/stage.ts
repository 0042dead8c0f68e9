// What the topic tests stand on: a clock that is turned by hand, a log with a store and unreliable notifications, and
// members that read back every byte they are given and check it against the log.
import { expect } from 'vitest';
import type { Encoding } from '../../../src/protocol/dialect.js';
import {
  ALL_LOG,
  compareIds,
  formatId,
  type LogName,
  type MessageId,
  parseId,
  type SessionId,
  ZERO_ID,
} from '../../../src/protocol/ids.js';
import type { Clock, Timer } from '../../../src/server/clock.js';
import {
  FanOutCounters,
  TOPIC_DEFAULTS,
  type TopicContext,
  type TopicOptions,
} from '../../../src/server/comet/fan-out.js';
import type { JoinedTopic, Outlet } from '../../../src/server/comet/outlet.js';
import { Pins } from '../../../src/server/comet/pins.js';
import { RecoveredRings } from '../../../src/server/comet/recovered.js';
import { Sweeper } from '../../../src/server/comet/sweep.js';
import { Topic } from '../../../src/server/comet/topic.js';
import type { Notification } from '../../../src/server/rpc/services.js';
import type { Entry, ReadItem, ReadLimit, ReadResult } from '../../../src/server/store/buckets.js';

/** Time stands still between two calls; `soon` runs in the next turn. */
export class HandClock implements Clock {
  time = 1_000;
  #soon: (() => void)[] = [];
  #timers: { at: number; order: number; run: () => void; every: number | undefined }[] = [];
  #order = 0;
  #seed = 1;

  now(): number {
    return this.time;
  }
  monotonic(): number {
    return this.time;
  }
  after(ms: number, run: () => void): Timer {
    return this.#add(ms, run, undefined);
  }
  every(ms: number, run: () => void): Timer {
    return this.#add(ms, run, ms);
  }
  clear(timer: Timer | undefined): void {
    this.#timers = this.#timers.filter((each) => each !== timer?.timer);
  }
  soon(run: () => void): void {
    this.#soon.push(run);
  }
  random(): number {
    this.#seed = (this.#seed * 48_271) % 0x7fffffff;
    return this.#seed / 0x7fffffff;
  }
  randomBytes(length: number): Uint8Array {
    return new Uint8Array(length).map(() => Math.floor(this.random() * 256));
  }

  /** One turn of the event loop: what was asked for soon, and all promises that can settle. */
  async turn(): Promise<void> {
    await settle();
    const due = this.#soon;
    this.#soon = [];
    for (const run of due) {
      run();
      await settle();
    }
    await settle();
  }

  /** Time passes; timers run in their order, with turns between. */
  async pass(ms: number): Promise<void> {
    const until = this.time + ms;
    for (;;) {
      await this.rest();
      const next = this.#timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at || a.order - b.order)[0];
      if (next === undefined) break;
      this.time = Math.max(this.time, next.at);
      if (next.every === undefined) this.#timers = this.#timers.filter((each) => each !== next);
      else next.at += next.every;
      next.run();
    }
    this.time = until;
  }

  /** Turns until nothing is asked for soon. */
  async rest(): Promise<void> {
    do await this.turn();
    while (this.#soon.length > 0);
  }

  get idle(): boolean {
    return this.#soon.length === 0 && this.#timers.length === 0;
  }

  #add(ms: number, run: () => void, every: number | undefined): Timer {
    const timer = { at: this.time + Math.max(0, ms), order: this.#order++, run, every };
    this.#timers.push(timer);
    return { timer };
  }
}

async function settle(): Promise<void> {
  for (let hop = 0; hop < 20; hop++) await Promise.resolve();
}

interface Stored extends Entry {
  readonly size: number;
}

/** One log: all that was ever appended, and what the store still has. */
export class TestLog {
  readonly name: LogName;
  readonly entries: Stored[] = [];
  /** Everything up to here is gone from the store. */
  trimmedTo: MessageId = ZERO_ID;
  reads = 0;
  failing = 0;
  #n = 0;

  constructor(name: LogName) {
    this.name = name;
  }

  get head(): MessageId {
    return this.entries.at(-1)?.id ?? ZERO_ID;
  }

  append(size: number, operation?: number, epoch = 1): Stored {
    this.#n += 1 + (this.#n % 3);
    const id = { epoch, n: this.#n };
    const payload = Buffer.from(JSON.stringify({ id: formatId(id), pad: 'x'.repeat(size) }));
    const entry = { id, prev: this.head, payload, operation, acceptedAt: 0, expiresAt: 1e15, mid: this.#n, size };
    this.entries.push(entry);
    return entry;
  }

  trim(keep: number): void {
    const gone = this.entries.at(-1 - keep);
    if (gone !== undefined && compareIds(gone.id, this.trimmedTo) > 0) this.trimmedTo = gone.id;
  }

  read(after: MessageId, limit: ReadLimit): ReadResult {
    this.reads++;
    const items: ReadItem[] = [];
    let readTo = after;
    if (compareIds(after, this.trimmedTo) < 0) {
      items.push({ kind: 'gap', after, upTo: this.trimmedTo });
      readTo = this.trimmedTo;
    }
    for (const entry of this.entries) {
      if (compareIds(entry.id, readTo) <= 0) continue;
      if (items.length >= limit.entries) return { items, head: this.head, readTo };
      items.push({ kind: 'entry', entry });
      readTo = entry.id;
    }
    return { items, head: this.head, readTo };
  }
}

export function notificationOf(log: TestLog, entry: Entry): Notification {
  const { id, prev, payload, operation, acceptedAt } = entry;
  return { log: log.name, id, prev, payload, operation, acceptedAt, ephemeral: false };
}

export function ephemeral(log: TestLog, tag: string): Notification {
  const payload = Buffer.from(JSON.stringify({ ephemeral: tag }));
  return { log: log.name, id: ZERO_ID, prev: ZERO_ID, payload, operation: undefined, acceptedAt: 0, ephemeral: true };
}

/** What a member got. */
export type Got =
  | { readonly kind: 'entry'; readonly id: MessageId }
  | { readonly kind: 'gap'; readonly after: MessageId; readonly upTo: MessageId }
  | { readonly kind: 'ephemeral'; readonly tag: string };

let sessions = 0;

/** A member that reads what it is given. `stalled`: its next write does not complete until `drain`. */
export class TestOutlet implements Outlet {
  readonly session = `s${++sessions}` as SessionId;
  readonly encoding: Encoding;
  accepts: readonly number[] | undefined;
  held = false;
  closed = false;
  readonly topics: JoinedTopic[] = [];
  readonly slots: number[] = [];
  stalled = false;
  reason: string | undefined;
  writes = 0;
  /** Of the write that has not completed. */
  pendingBytes = 0;
  readonly got: Got[] = [];
  readonly #stage: Stage;

  constructor(stage: Stage, encoding: Encoding, accepts?: readonly number[]) {
    this.#stage = stage;
    this.encoding = encoding;
    this.accepts = accepts;
  }

  write(bytes: Uint8Array): void {
    expect(this.closed, 'written after its close').toBe(false);
    expect(this.held, 'written while held').toBe(false);
    expect(this.topics.length, 'written while it is a member of nothing').toBeGreaterThan(0);
    expect(bytes.length).toBeGreaterThan(0);
    this.writes++;
    for (const body of decode(this.encoding, Buffer.from(bytes))) this.got.push(body);
    if (this.stalled) {
      this.held = true;
      this.pendingBytes = bytes.length;
    }
  }

  gap(_topic: JoinedTopic, after: MessageId, upTo: MessageId): void {
    expect(this.held || this.closed, 'told a gap while held').toBe(false);
    this.got.push({ kind: 'gap', after, upTo });
  }

  disconnect(reason: string): void {
    this.reason = reason;
    this.close();
  }

  close(): void {
    if (this.closed) return;
    for (let topic = this.topics.at(-1); topic !== undefined; topic = this.topics.at(-1)) topic.leave(this);
    this.closed = true;
    this.#stage.pins.release(this);
  }

  /** Its pending write completes. */
  drain(): void {
    this.stalled = false;
    if (!this.held || this.closed) return;
    this.held = false;
    this.pendingBytes = 0;
    this.#stage.pins.release(this);
    for (const topic of [...this.topics]) if (!this.held) topic.resume(this);
  }

  get ids(): string[] {
    return this.got.flatMap((item) => (item.kind === 'entry' ? [formatId(item.id)] : []));
  }
}

/** The frames or messages in what a socket was given, by hand. */
function decode(encoding: Encoding, bytes: Buffer): Got[] {
  const got: Got[] = [];
  let at = 0;
  while (at < bytes.length) {
    let end = bytes.length;
    if (encoding.endsWith('-ws')) {
      const short = (bytes[at + 1] as number) & 0x7f;
      const start = short < 126 ? at + 2 : short === 126 ? at + 4 : at + 10;
      const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
      end = start + length;
      at = start;
    } else {
      end = at + bytes.readUInt32BE(at);
    }
    if (encoding === 'imgo-ws') {
      for (const item of JSON.parse(bytes.toString('utf8', at, end)) as { body: unknown }[])
        got.push(bodyOf(item.body));
    } else {
      if (encoding === 'goim2-ws') at += 16;
      const body = JSON.parse(bytes.toString('utf8', at + bytes.readUInt16BE(at + 4), end)) as Record<string, string>;
      if (bytes.readUInt32BE(at + 8) === 257) {
        got.push({
          kind: 'gap',
          after: parseId(body.after as string) as MessageId,
          upTo: parseId(body.upTo as string) as MessageId,
        });
      } else got.push(bodyOf(body));
    }
    at = end;
  }
  expect(at, 'a write of whole frames').toBe(bytes.length);
  return got;
}

function bodyOf(body: unknown): Got {
  const { id, ephemeral: tag } = body as { id?: string; ephemeral?: string };
  if (tag !== undefined) return { kind: 'ephemeral', tag };
  return { kind: 'entry', id: parseId(id as string) as MessageId };
}

/** A comet's fan-out on one log. */
export class Stage {
  readonly clock = new HandClock();
  readonly log: TestLog;
  readonly pins: Pins;
  readonly recovered: RecoveredRings;
  readonly sweeper: Sweeper;
  readonly counters = new FanOutCounters();
  readonly context: TopicContext;
  readonly topic: Topic;
  fenced = false;

  constructor(
    options: Partial<TopicOptions> = {},
    rest: { yieldEvery?: number; pinnedBytes?: number; recoveredBytes?: number; log?: LogName } = {},
  ) {
    this.log = new TestLog(rest.log ?? ('room:1' as LogName));
    this.pins = new Pins(this.clock, rest.pinnedBytes ?? 64 * 1024);
    this.recovered = new RecoveredRings(rest.recoveredBytes ?? 64 * 1024 * 1024);
    this.sweeper = new Sweeper(this.clock, rest.yieldEvery ?? 3);
    this.context = {
      clock: this.clock,
      sweeper: this.sweeper,
      pins: this.pins,
      recovered: this.recovered,
      counters: this.counters,
      options: { ...TOPIC_DEFAULTS, windowMs: 10, read: { entries: 5, bytes: 1 << 20 }, ...options },
      read: async (_log, after, limit) => {
        await new Promise<void>((resolve) => this.clock.soon(resolve));
        if (this.log.failing > 0) {
          this.log.failing--;
          throw new Error('the store is away');
        }
        return this.log.read(after, limit);
      },
      mayWrite: () => !this.fenced,
    };
    this.topic = new Topic(this.log.name, ZERO_ID, this.context);
  }

  /** A message: stored and notified. */
  push(size = 10, operation?: number): MessageId {
    const entry = this.log.append(size, operation);
    this.topic.append(notificationOf(this.log, entry));
    return entry.id;
  }
}

export const ALL = ALL_LOG;
