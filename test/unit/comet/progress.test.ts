// How far sessions are: told soon, together, and not too often; what could not be told is told again.
import { beforeEach, expect, test } from 'vitest';
import type { Dialect } from '../../../src/protocol/dialect.js';
import { type MessageId, ZERO_ID } from '../../../src/protocol/ids.js';
import { Counters } from '../../../src/server/comet/counters.js';
import { ProgressReporter } from '../../../src/server/comet/progress.js';
import type { Session } from '../../../src/server/comet/session.js';
import type { ProgressReport } from '../../../src/server/rpc/services.js';
import { HandClock } from './stage.js';

type Reported = Pick<
  Session,
  'dialect' | 'closed' | 'taken' | 'drainedTo' | 'reportedTaken' | 'reportedDrained' | 'reportedAt' | 'reportDue'
> & { readonly handle: { readonly session: string } };

let clock: HandClock;
let counters: Counters;
let calls: (readonly ProgressReport[])[];
let failing: boolean;
let sessions: Reported[];
let reporter: ProgressReporter;

beforeEach(() => {
  clock = new HandClock();
  clock.time = 10_000;
  counters = new Counters();
  calls = [];
  failing = false;
  sessions = [];
  const progress = async (reports: readonly ProgressReport[]) => {
    calls.push(reports);
    if (failing) throw new Error('away');
  };
  reporter = new ProgressReporter({ progress }, clock, counters, () => sessions as unknown as Session[]);
});

const id = (n: number): MessageId => ({ epoch: 1, n });

function open(dialect: Dialect = 'native'): Reported {
  const zero = { taken: ZERO_ID, drainedTo: ZERO_ID, reportedTaken: ZERO_ID, reportedDrained: ZERO_ID };
  const session = { dialect, closed: false, ...zero, reportedAt: 0, reportDue: 0 };
  sessions.push(Object.assign(session, { handle: { session: `s${sessions.length}` } }) as Reported);
  return sessions.at(-1) as Reported;
}

function take(session: Reported, n: number): void {
  Object.assign(session, { taken: id(n), drainedTo: id(n) });
  reporter.taken(session as unknown as Session);
}

function drain(session: Reported, n: number): void {
  session.drainedTo = id(n);
  reporter.drained(session as unknown as Session);
}

const told = (): unknown[] =>
  calls.flat().map(({ handle, upTo, acknowledge }) => [handle.session, upTo.n, acknowledge]);

test('a session that was quiet is told of in the same turn', async () => {
  take(open(), 1);
  await clock.rest();
  expect(told()).toEqual([['s0', 1, true]]);
});

test('those that come in one turn, or a few milliseconds after a call, share a call', async () => {
  const [a, b, c, d] = [open(), open(), open(), open()];
  take(a, 1);
  take(b, 1);
  await clock.rest();
  expect(calls).toHaveLength(1);
  take(c, 1);
  await clock.pass(5);
  take(d, 1);
  expect(calls).toHaveLength(1);
  await clock.pass(20);
  expect(calls.map((reports) => reports.length)).toEqual([2, 2]);
});

test('a busy native session is told of once a second, and up to its end', async () => {
  const session = open();
  for (let n = 1; n <= 300; n++) {
    drain(session, n);
    take(session, n);
    await clock.pass(10);
  }
  expect(calls.length).toBeGreaterThanOrEqual(3);
  expect(calls.length).toBeLessThanOrEqual(4);
  await clock.pass(1_100);
  expect(told().at(-1)).toEqual(['s0', 300, true]);
  expect(clock.idle).toBe(true);
});

test('a legacy session is told of five times a second', async () => {
  const session = open('imgo');
  for (let n = 1; n <= 100; n++) {
    take(session, n);
    await clock.pass(10);
  }
  expect(calls.length).toBeGreaterThanOrEqual(4);
  expect(calls.length).toBeLessThanOrEqual(6);
});

test('what a native client was sent and does not acknowledge moves its position within a second', async () => {
  const session = open();
  drain(session, 1);
  await clock.pass(500);
  drain(session, 2);
  expect(calls).toHaveLength(0);
  await clock.pass(600);
  expect(told()).toEqual([['s0', 2, false]]);
});

test('what it was sent and does not acknowledge is told of, too, where it has acknowledged what was before', async () => {
  const session = open();
  take(session, 1);
  drain(session, 2);
  await clock.pass(2_500);
  expect(told()).toEqual([
    ['s0', 1, true],
    ['s0', 2, false],
  ]);
  expect(clock.idle).toBe(true);
});

test('a session that ends says at once what it has not said', async () => {
  const session = open();
  take(session, 1);
  await clock.rest();
  take(session, 2);
  session.closed = true;
  reporter.last(session as unknown as Session);
  await clock.pass(2_000);
  expect(told()).toEqual([
    ['s0', 1, true],
    ['s0', 2, true],
  ]);
});

test('after a failure all that are open are told of again, a bounded number in a call', async () => {
  failing = true;
  for (let at = 0; at < 1_000; at++) take(open(), 1);
  await clock.rest();
  expect(counters.reasons['failed_progress']).toBe(calls.length);
  failing = false;
  calls = [];
  await clock.pass(2_500);
  expect(new Set(told().map((one) => (one as string[])[0])).size).toBe(1_000);
  expect(Math.max(...calls.map((reports) => reports.length))).toBeLessThan(1_000);
  expect(clock.idle).toBe(true);
});
