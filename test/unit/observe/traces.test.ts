// What a node notes of traced messages: bounded in bytes, in time and in steps of one message, the oldest gives way, and
// each loss is counted; and nothing looks further than `any` while nothing is marked.
import { describe, expect, test } from 'vitest';
import { type LogName, type MessageId, ZERO_ID } from '../../../src/protocol/ids.js';
import { type Clock, systemClock, type Timer } from '../../../src/server/clock.js';
import { CometTraces } from '../../../src/server/comet/traces.js';
import type { TraceStep } from '../../../src/server/observe/steps.js';
import { newMark, TraceStore, traceKey } from '../../../src/server/observe/traces.js';
import { HandClock } from '../comet/stage.js';

const LOG = 'user:1' as LogName;
const MARK = 'ab'.repeat(16);
const APPLIED: TraceStep = { step: 'applied', outcome: 'appended' };
const id = (n: number): MessageId => ({ epoch: 1, n });
const message = (n: number, log = LOG) => ({ log, id: id(n), mark: MARK });

describe('a store of traces', () => {
  test('never holds more bytes than it may, and the oldest message goes first', () => {
    const store = new TraceStore(new HandClock(), 'n', { bytes: 8_192 });
    for (let n = 1; n <= 100; n++) {
      store.note(message(n), APPLIED);
      expect(store.bytes).toBeLessThanOrEqual(8_192);
    }
    expect(store.find(LOG, '1-1')).toBeUndefined();
    expect(store.find(LOG, '1-100')?.steps).toHaveLength(1);
    const { marked, evicted } = store.counters;
    expect(marked).toBe(100);
    const kept = Array.from({ length: 100 }, (_, at) => store.find(LOG, `1-${at + 1}`)).filter(Boolean).length;
    expect(evicted).toBe(100 - kept);
  });

  test('keeps so many steps of one message, and says how many more there were', () => {
    const store = new TraceStore(new HandClock(), 'n', { steps: 3 });
    for (let at = 0; at < 5; at++) store.note(message(1), APPLIED);
    expect(store.find(LOG, '1-1')).toMatchObject({ more: 2, steps: { length: 3 } });
    expect(store.counters.stepsDropped).toBe(2);
  });

  test('forgets after an hour, and then is as if there had been nothing', async () => {
    const clock = new HandClock();
    const store = new TraceStore(clock, 'n');
    expect(store.any).toBe(false);
    store.note(message(1), APPLIED);
    expect(store.any).toBe(true);
    await clock.pass(3_599_000);
    expect(store.find(LOG, '1-1')).toBeDefined();
    await clock.pass(61_000);
    expect(store.any).toBe(false);
    expect(store.find(LOG, '1-1')).toBeUndefined();
    expect([store.bytes, store.counters.expired]).toEqual([0, 1]);
  });

  test('looks for a range of a log, not at every message of it that is traced', () => {
    const store = new TraceStore(new HandClock(), 'n');
    let looks = 0;
    const counted = (n: number): MessageId => ({
      epoch: 1,
      get n() {
        looks++;
        return n;
      },
    });
    for (let n = 1; n <= 4_000; n++) store.mark({ ...message(n), id: counted(n) });
    looks = 0;
    expect(store.within(LOG, id(2_000), id(2_010))).toHaveLength(10);
    expect(looks).toBeLessThan(100);
  });

  test('finds what lies in a range of its log, and nothing of another log or without an id', () => {
    const store = new TraceStore(new HandClock(), 'n');
    for (const n of [3, 7, 9]) store.mark(message(n));
    store.mark(message(7, 'user:2' as LogName));
    store.mark({ log: LOG, id: undefined, mark: newMark(new HandClock()) });
    expect(store.within(LOG, id(3), id(9)).map((one) => one.id?.n)).toEqual([7, 9]);
    expect(store.within('user:3' as LogName, ZERO_ID, id(9))).toEqual([]);
    store.mark(message(5));
    expect(store.within(LOG, id(0), id(9)).map((one) => one.id?.n)).toEqual([3, 5, 7, 9]);
    expect(store.of(LOG, id(7))?.mark).toBe(MARK);
    expect(store.of(LOG, id(8))).toBeUndefined();
  });

  test('has what is not stored under its mark', () => {
    const store = new TraceStore(new HandClock(), 'n');
    store.note({ log: LOG, id: undefined, mark: MARK }, APPLIED);
    expect(store.find(LOG, traceKey(undefined, MARK))?.mark).toBe(MARK);
    expect(traceKey(ZERO_ID, MARK)).toBe(`t-${MARK}`);
    expect(traceKey(id(4), MARK)).toBe('1-4');
  });
});

describe('a sweep over very many members', () => {
  test('is one step with counts and a few names, and members that are held are counted until they are not', () => {
    const store = new TraceStore(new HandClock(), 'n');
    const traces = new CometTraces(store, new HandClock());
    const log = 'room:r' as LogName;
    const members = Array.from({ length: 10_000 }, (_, at) => ({ session: `s_${at}`, held: at >= 9_000 }));
    const given = new Set(members.slice(0, 9_000));
    const topic = {
      log,
      members,
      leave: () => false,
      resume: () => undefined,
      position: (outlet: object) => (given.has(outlet as never) ? id(5) : id(4)),
      lagBytes: () => 0,
    };
    traces.put(topic as never, { id: id(5), operation: undefined, trace: MARK });
    traces.swept(topic as never);
    traces.swept(topic as never);
    const steps = () => store.find(log, '1-5')?.steps ?? [];
    expect(steps()).toHaveLength(1);
    expect(steps()[0]).toMatchObject({ members: 10_000, written: 9_000, drained: 9_000, held: 1_000 });
    expect(steps()[0]).toMatchObject({ sample: { written: { length: 8 }, not: { length: 8 } } });
    for (const member of members) given.add(member);
    traces.swept(topic as never);
    expect(steps()[1]).toMatchObject({ written: 10_000, held: 0 });
    traces.swept(topic as never);
    expect(steps()).toHaveLength(2);
    expect(store.bytes).toBeLessThan(4_096);
  });

  test('that pass over members which lost thousands of traced messages note the newest of each, and count the others', () => {
    const store = new TraceStore(systemClock, 'n');
    const noted = new Map<string, number>();
    const note = ({ id: of }: { readonly id?: MessageId | undefined }) => {
      const name = String(of?.n);
      noted.set(name, (noted.get(name) ?? 0) + 1);
    };
    store.sink = {
      push: () => expect.fail('nothing is pushed'),
      batch: () => expect.fail('nor a batch'),
      note,
      counters: { exported: 0, dropped: {} },
    };
    const traces = new CometTraces(store, systemClock);
    const log = 'room:r' as LogName;
    for (let n = 1; n <= 2_000; n++) store.mark(message(n, log));
    for (let at = 0; at < 100; at++)
      traces.memberGap({ log } as never, { session: `s_${at}` } as never, id(0), id(2_000));
    expect([...noted.keys()].map(Number).sort((a, b) => a - b)[0]).toBe(2_000 - 15);
    expect(noted.get('2000')).toBe(100);
    expect(store.counters.stepsDropped).toBe(100 * (2_000 - 16));
    expect(store.find(log, '1-2000')?.steps).toHaveLength(100);
  });

  test('is counted rarely where counting takes long, in turns that let others in, and to the end all the same', async () => {
    const store = new TraceStore(systemClock, 'n');
    // Each look at the time is 10 ms later: a pass of five turns takes 50 ms.
    let now = 0;
    const soon: (() => void)[] = [];
    const later: { readonly ms: number; readonly run: () => void }[] = [];
    const clock: Clock = {
      ...systemClock,
      monotonic: () => {
        now += 10;
        return now;
      },
      soon: (run) => void soon.push(run),
      after: (ms, run) => {
        later.push({ ms, run });
        return {} as Timer;
      },
    };
    const traces = new CometTraces(store, clock);
    const members = Array.from({ length: 80_000 }, (_, at) => ({ session: `s_${at}`, held: at === 0 }));
    let looks = 0;
    let slow = id(4);
    const position = (outlet: object) => {
      looks++;
      return outlet === members[0] ? slow : id(9);
    };
    const topic = {
      log: 'room:r' as LogName,
      members,
      leave: () => false,
      resume: () => {},
      position,
      lagBytes: () => 0,
    };
    for (const n of [5, 6, 7]) traces.put(topic as never, { id: id(n), operation: undefined, trace: MARK });
    traces.swept(topic as never);
    expect(looks).toBeLessThan(20_000);
    const turns = async () => {
      while (soon.length > 0) {
        soon.shift()?.();
        await Promise.resolve();
      }
    };
    await turns();
    expect(looks).toBe(80_000);
    expect(store.find(topic.log, '1-6')?.steps).toMatchObject([{ written: 79_999, held: 1 }]);
    for (let sweep = 0; sweep < 10; sweep++) traces.swept(topic as never);
    expect(looks).toBe(80_000);
    slow = id(9);
    expect(later).toHaveLength(1);
    expect(later[0]?.ms).toBeGreaterThan(1_000);
    later[0]?.run();
    await turns();
    expect(looks).toBe(160_000);
    expect(store.find(topic.log, '1-7')?.steps.at(-1)).toMatchObject({ written: 80_000, held: 0 });
  });
});
