// The flight recorder: what happened of late, packed and bounded.

import { expect, test } from 'vitest';
import type { EventFilter } from '../../../src/server/observe/events.js';
import { Matcher } from '../../../src/server/observe/filter.js';
import { FlightRecorder, RECORDED_MS, RECORDER_BYTES } from '../../../src/server/observe/recorder.js';
import { fc } from '../../harness/property.js';
import { TestClock } from '../store/test-clock.js';

const WHO = { session: 's_1', user: 'u1', device: 'phone' };

function eventsOf(recorder: FlightRecorder, filter: EventFilter = {}, sinceMs = RECORDED_MS, bytes = 1_000) {
  const replay = recorder.replay(new Matcher(filter), sinceMs, 'n');
  const events = [];
  for (let part = replay.next(bytes); part !== undefined; part = replay.next(bytes)) {
    const lines = part.lines.split('\n').slice(0, -1);
    expect(lines.length).toBe(part.count);
    events.push(...lines.map((line) => JSON.parse(line)));
  }
  return events;
}

test('what was recorded is read back, in order', () => {
  const clock = new TestClock();
  const recorder = new FlightRecorder(clock);
  const at = clock.now();
  recorder.opened(WHO, 'goim2', 'ws', '10.0.0.1');
  recorder.gap(WHO, 'user:u1', { epoch: 1, n: 2 }, { epoch: 1, n: 9 }, 1, true);
  recorder.gap(undefined, 'room:r', { epoch: 1, n: 2 }, { epoch: 3, n: 2 ** 52 }, 0, false);
  recorder.closed({ session: 's_2', user: undefined, device: undefined }, 4103, 'kicked', 12.5);
  expect(eventsOf(recorder)).toEqual([
    { event: 'open', at, node: 'n', ...WHO, dialect: 'goim2', transport: 'ws', peer: '10.0.0.1' },
    { event: 'gap', at, node: 'n', ...WHO, log: 'user:u1', after: '1-2', upTo: '1-9', reason: 'lag', untold: true },
    { event: 'gap', at, node: 'n', log: 'room:r', after: '1-2', upTo: `3-${2 ** 52}`, reason: 'log' },
    { event: 'close', at, node: 'n', session: 's_2', code: 4103, reason: 'kicked', openMs: 12.5 },
  ]);
});

test('names of any length and script survive', () => {
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 128 })
    .filter((text) => Buffer.byteLength(text) <= 128);
  fc.assert(
    fc.property(fc.array(fc.tuple(name, name, name), { maxLength: 50 }), (all) => {
      const recorder = new FlightRecorder(new TestClock());
      for (const [session, user, device] of all) recorder.closed({ session, user, device }, 0, 'gone', 1);
      expect(eventsOf(recorder).map(({ session, user, device }) => [session, user, device])).toEqual(all);
    }),
  );
});

test('it begins small and is never larger than its bound; the newest are kept', () => {
  const recorder = new FlightRecorder(new TestClock());
  expect(recorder.bytes).toBe(0);
  recorder.opened(WHO, 'native', 'tcp', '10.0.0.1');
  expect(recorder.bytes).toBeLessThanOrEqual(4_096);
  let most = 0;
  for (let at = 0; at < 100_000; at++) {
    recorder.closed({ ...WHO, session: `s_${at}` }, 0, 'gone', at);
    most = Math.max(most, recorder.bytes);
  }
  expect(most).toBeLessThanOrEqual(RECORDER_BYTES);
  const kept = eventsOf(recorder, {}, RECORDED_MS, 1e6);
  expect(kept.length).toBeGreaterThan(50_000);
  expect(kept.map(({ openMs }) => openMs)).toEqual(
    Array.from({ length: kept.length }, (_, at) => 100_000 - kept.length + at),
  );
});

test('what is too old is let go', () => {
  const clock = new TestClock();
  const recorder = new FlightRecorder(clock);
  recorder.opened(WHO, 'native', 'tcp', '10.0.0.1');
  clock.pass(RECORDED_MS - 1);
  recorder.expire();
  expect(eventsOf(recorder).length).toBe(1);
  clock.pass(2);
  recorder.expire();
  expect(recorder.bytes).toBe(0);
});

test('a replay begins where it is asked to, and has what its filter wants', () => {
  const clock = new TestClock();
  const recorder = new FlightRecorder(clock);
  recorder.opened(WHO, 'native', 'tcp', '10.0.0.1');
  clock.pass(60_000);
  recorder.closed(WHO, 0, 'gone', 60_000);
  recorder.opened({ ...WHO, session: 's_2', user: 'u2' }, 'native', 'tcp', '10.0.0.1');
  recorder.gap(undefined, 'room:r', { epoch: 1, n: 2 }, { epoch: 1, n: 3 }, 0, false);
  const kinds = (filter: EventFilter, sinceMs?: number) =>
    eventsOf(recorder, filter, sinceMs).map(({ event }) => event);
  expect(kinds({}, 30_000)).toEqual(['close', 'open', 'gap']);
  expect(kinds({ users: ['u1'] })).toEqual(['open', 'close']);
  expect(kinds({ sessions: ['s_2'] })).toEqual(['open']);
  expect(kinds({ events: ['gap', 'frame'] })).toEqual(['gap']);
  // Which rooms a session was in is not recorded.
  expect(kinds({ rooms: ['r'] })).toEqual(['gap']);
});

test('what falls off while it is read is still read', () => {
  const recorder = new FlightRecorder(new TestClock(), 16_384);
  for (let at = 0; at < 100; at++) recorder.closed(WHO, 0, 'gone', at);
  const replay = recorder.replay(new Matcher({}), RECORDED_MS, 'n');
  const first = replay.next(1);
  for (let at = 0; at < 10_000; at++) recorder.closed(WHO, 0, 'gone', -1);
  let rest = '';
  for (let part = replay.next(1e6); part !== undefined; part = replay.next(1e6)) rest += part.lines;
  const all = `${first?.lines}${rest}`.split('\n').slice(0, -1);
  expect(all.map((line) => JSON.parse(line).openMs)).toEqual(Array.from({ length: 100 }, (_, at) => at));
});

test('one look decodes a chunk at most, whatever of it is wanted', () => {
  const recorder = new FlightRecorder(new TestClock());
  for (let at = 0; at < 100_000; at++) recorder.closed({ ...WHO, session: `s_${at}` }, 0, 'gone', at);
  const replay = recorder.replay(new Matcher({ users: ['nobody'] }), RECORDED_MS, 'n');
  let looks = 0;
  for (let part = replay.next(1e6); part !== undefined; part = replay.next(1e6), looks++) expect(part.count).toBe(0);
  expect(looks).toBeGreaterThanOrEqual(recorder.bytes / (64 * 1024));
});
