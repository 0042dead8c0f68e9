// The delivery state machine against a model: a log that grows and is trimmed, notifications that come late, twice and in
// any order, reads that answer late, in parts or not at all, a sink that is held at any moment.
import { expect, test } from 'vitest';
import { compareIds, type LogName, type MessageId, ZERO_ID } from '../../../src/protocol/ids.js';
import type { Clock } from '../../../src/server/clock.js';
import { Counters } from '../../../src/server/comet/counters.js';
import { type Delivery, type FollowContext, LogFollower, type LogSink } from '../../../src/server/comet/user-log.js';
import type { Entry, ReadItem, ReadResult } from '../../../src/server/store/buckets.js';
import { fc } from '../../harness/property.js';

const LOG = 'user:1' as LogName;
const at = (n: number): MessageId => (n === 0 ? ZERO_ID : { epoch: 1, n });

/** A log whose ids are not dense, with its sink, its reads and its notifications, all moved by hand. */
class Model implements LogSink {
  /** n of every entry ever appended. */
  readonly all: number[] = [];
  trimmedTo = 0;
  held = false;
  closed = false;
  /** What the client was given, in order: entries by n, gaps as [after, upTo]. */
  readonly given: (number | [number, number])[] = [];
  readonly reads: { resolve: () => void; reject: () => void }[] = [];
  readonly notifications: { prev: number; n: number }[] = [];
  timers: (() => void)[] = [];
  holdAfter = Number.POSITIVE_INFINITY;
  readonly follower: LogFollower;
  readonly context: FollowContext;

  constructor(perRead: number, lateSnapshot: boolean) {
    this.context = {
      counters: new Counters(),
      limit: { entries: perRead, bytes: 1e9 },
      clock: { after: (_ms: number, run: () => void) => ({ timer: this.timers.push(run) }) } as unknown as Clock,
      logic: {
        read: (_log, after, limit) => {
          const early = this.#snapshot(after.n, limit.entries);
          return new Promise<ReadResult>((resolve, reject) => {
            this.reads.push({
              resolve: () => resolve(lateSnapshot ? this.#snapshot(after.n, limit.entries) : early),
              reject: () => reject(new Error('logic is away')),
            });
          });
        },
      },
    };
    this.follower = new LogFollower(LOG, ZERO_ID, ZERO_ID);
  }

  get ready(): boolean {
    return !this.held && !this.closed;
  }

  deliver(entry: Delivery): void {
    if (!this.ready) throw new Error('written while held');
    this.given.push(entry.id.n);
    if (--this.holdAfter <= 0) this.held = true;
  }

  missing(after: MessageId, upTo: MessageId): void {
    if (!this.ready) throw new Error('written while held');
    this.given.push([after.n, upTo.n]);
  }

  flush(): void {}

  append(step: number): void {
    const prev = this.all.at(-1) ?? 0;
    this.all.push(prev + step);
    this.notifications.push({ prev, n: prev + step });
  }

  notify(index: number, again: boolean): void {
    const note = this.notifications[index % Math.max(1, this.notifications.length)];
    if (note === undefined) return;
    if (!again) this.notifications.splice(this.notifications.indexOf(note), 1);
    const entry = { id: at(note.n), payload: new Uint8Array(0), operation: undefined };
    this.follower.notify(this.context, this, at(note.prev), entry);
  }

  async answer(index: number, fails: boolean): Promise<void> {
    const [read] = this.reads.splice(index % Math.max(1, this.reads.length), 1);
    if (fails) read?.reject();
    else read?.resolve();
    await Promise.resolve();
    await Promise.resolve();
  }

  /** Held again after so many deliveries. */
  resume(holdAfter = Number.POSITIVE_INFINITY): void {
    this.held = false;
    this.holdAfter = holdAfter;
    this.follower.resume(this.context, this);
  }

  async quiesce(): Promise<void> {
    this.holdAfter = Number.POSITIVE_INFINITY;
    if (this.held) this.resume();
    for (let round = 0; round < 10_000; round++) {
      if (this.notifications.length > 0) this.notify(0, false);
      else if (this.reads.length > 0) await this.answer(0, false);
      else if (this.timers.length > 0) for (const run of this.timers.splice(0)) run();
      else return;
    }
    throw new Error('does not come to rest');
  }

  /** What the client must have at the end, whatever happened: increasing, each entry once or covered by a gap. */
  check(): void {
    let last = 0;
    const covered = new Set<number>();
    for (const item of this.given) {
      const [after, upTo] = typeof item === 'number' ? [item - 1, item] : item;
      expect(after).toBeGreaterThanOrEqual(last);
      if (typeof item === 'number') expect(this.all).toContain(item);
      for (const n of this.all) if (n > after && n <= upTo) covered.add(n);
      last = upTo;
    }
    expect([...covered].sort((a, b) => a - b)).toEqual(this.all);
  }

  #snapshot(after: number, limit: number): ReadResult {
    const items: ReadItem[] = [];
    if (after < this.trimmedTo) items.push({ kind: 'gap', after: at(after), upTo: at(this.trimmedTo) });
    const from = Math.max(after, this.trimmedTo);
    const kept = this.all.filter((n) => n > from);
    for (const n of kept.slice(0, limit)) items.push({ kind: 'entry', entry: entry(n) });
    const head = at(this.all.at(-1) ?? 0);
    const last = kept.length <= limit ? head : at(kept[limit - 1] as number);
    const readTo = compareIds(last, at(from)) > 0 ? last : at(from);
    return { items, head, readTo };
  }
}

function entry(n: number): Entry {
  return {
    id: at(n),
    prev: ZERO_ID,
    payload: new Uint8Array(0),
    operation: undefined,
    acceptedAt: 0,
    expiresAt: 0,
    mid: 0,
  };
}

type Step =
  | { readonly do: 'append'; readonly step: number }
  | { readonly do: 'notify'; readonly index: number; readonly again: boolean }
  | { readonly do: 'answer'; readonly index: number; readonly fails: boolean }
  | { readonly do: 'hold' | 'recheck' | 'timers' | 'trim' }
  | { readonly do: 'resume'; readonly holdAfter: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('append' as const), step: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('notify' as const), index: fc.nat(5), again: fc.boolean() }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      index: fc.nat(3),
      fails: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom('hold', 'hold', 'recheck', 'timers', 'trim').map((name) => ({ do: name }) as Step),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('resume' as const), holdAfter: fc.integer({ min: 1, max: 4 }) }),
  },
);

async function run(model: Model, steps: readonly Step[]): Promise<void> {
  for (const next of steps) {
    switch (next.do) {
      case 'append':
        model.append(next.step);
        break;
      case 'notify':
        model.notify(next.index, next.again);
        break;
      case 'answer':
        await model.answer(next.index, next.fails);
        break;
      case 'hold':
        model.held = true;
        break;
      case 'resume':
        if (model.held) model.resume(next.holdAfter);
        break;
      case 'recheck':
        model.follower.recheck(model.context, model);
        break;
      case 'timers':
        for (const due of model.timers.splice(0)) due();
        break;
      case 'trim':
        model.trimmedTo = model.all.at(-2) ?? model.trimmedTo;
        break;
    }
    expect(model.reads.length).toBeLessThanOrEqual(1);
  }
}

test('any interleaving of notifications, reads and held sockets delivers each entry once, in order, or tells a gap', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 4 }),
      fc.boolean(),
      async (steps, perRead, lateSnapshot) => {
        const model = new Model(perRead, lateSnapshot);
        await run(model, steps);
        await model.quiesce();
        model.check();
      },
    ),
    { numRuns: 600 },
  );
});

test('what a read brings while the socket is held is not written; it comes once the socket is free', async () => {
  const model = new Model(10, false);
  model.append(1);
  model.append(1);
  model.notifications.shift();
  model.notify(0, false);
  expect(model.reads.length, 'a hole is read').toBe(1);
  model.held = true;
  await model.answer(0, false);
  expect(model.given).toEqual([]);
  model.resume();
  await model.answer(0, false);
  expect(model.given).toEqual(model.all);
});

test('a notification that was missed is made up for by a recheck', async () => {
  const model = new Model(10, true);
  model.append(1);
  model.notifications.length = 0;
  model.follower.recheck(model.context, model);
  await model.quiesce();
  expect(model.given).toEqual([1]);
});

test('an id that the store never shows is given up after bounded reads', async () => {
  const model = new Model(10, true);
  const ghost = { id: at(9), payload: new Uint8Array(0), operation: undefined };
  model.follower.notify(model.context, model, at(8), ghost);
  await model.quiesce();
  expect(model.given).toEqual([]);
  expect(model.context.counters.readBehind).toBe(1);
  model.append(1);
  await model.quiesce();
  expect(model.given).toEqual([1]);
});

test('a follower starts behind its position and skips the first read when nothing is there', () => {
  const model = new Model(10, true);
  model.follower.resume(model.context, model);
  expect(model.reads).toHaveLength(0);
});

test('a notification that comes again is dropped and counted', () => {
  const model = new Model(10, true);
  model.append(1);
  model.notify(0, true);
  model.notify(0, true);
  expect(model.given).toEqual([1]);
  expect(model.context.counters.notifiedAgain).toBe(1);
});

test('a read that failed is tried again by itself', async () => {
  const model = new Model(10, true);
  model.append(1);
  model.append(1);
  model.notify(1, false);
  await model.answer(0, true);
  expect(model.given).toEqual([]);
  for (const due of model.timers.splice(0)) due();
  await model.answer(0, false);
  expect(model.given).toEqual([1, 2]);
});

test('a sink that is held amid a read gets the rest of it when it is ready again', async () => {
  const model = new Model(10, false);
  for (let n = 0; n < 5; n++) model.append(1);
  model.holdAfter = 2;
  model.notify(4, false);
  await model.answer(0, false);
  expect(model.given).toEqual([1, 2]);
  model.resume();
  await model.answer(0, false);
  expect(model.given).toEqual([1, 2, 3, 4, 5]);
});
