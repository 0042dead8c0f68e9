// The hub of a node: who watches gets what it wants, bounded; while nobody watches nothing is wanted.

import { afterEach, expect, test } from 'vitest';
import type { EventFilter } from '../../../src/server/observe/events.js';
import { EventHub, MAX_WATCHES } from '../../../src/server/observe/hub.js';
import { BYTES_PER_SECOND, RING_BYTES } from '../../../src/server/observe/watch.js';
import { until } from '../../harness/api.js';
import { TestClock } from '../store/test-clock.js';

const hubs: EventHub[] = [];

afterEach(() => {
  for (const hub of hubs.splice(0)) hub.stop();
});

function hubOf(clock = new TestClock()): EventHub {
  const hub = new EventHub('n', clock);
  hubs.push(hub);
  return hub;
}

function fetch(hub: EventHub, id: string, filter: EventFilter = {}, waitMs = 0) {
  return hub.watch({ id, filter, waitMs });
}

const ID = { epoch: 1, n: 7 };

function parsed(lines: string) {
  return lines
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

test('who watches gets what happens after its begin, in order, each once', async () => {
  const hub = hubOf();
  hub.accepted('user:1', { epoch: 1, n: 6 }, 3);
  expect(await fetch(hub, 'a')).toMatchObject({ began: true, count: 0, lines: '' });
  hub.accepted('user:1', ID, 3);
  hub.applied('user:1', ID, 3);
  const first = await fetch(hub, 'a');
  expect(parsed(first.lines)).toEqual([
    { event: 'accepted', at: expect.any(Number), node: 'n', log: 'user:1', id: '1-7', bytes: 3 },
    { event: 'applied', at: expect.any(Number), node: 'n', log: 'user:1', id: '1-7', bytes: 3 },
  ]);
  expect(first).toMatchObject({ began: false, count: 2, dropped: 0 });
  expect(await fetch(hub, 'a')).toMatchObject({ count: 0 });
});

test('every event begins with its kind and its time: formats rely on it', async () => {
  const hub = hubOf();
  await fetch(hub, 'a');
  hub.notified('all', undefined, 'c');
  expect((await fetch(hub, 'a')).lines).toMatch(
    /^\{"event":"notified","at":\d+,"node":"n","log":"all","comet":"c"\}\n$/,
  );
});

test('while nobody watches nothing is wanted; a watch wants the kinds that it names', async () => {
  const hub = hubOf();
  expect(hub.wants).toBe(0);
  await fetch(hub, 'a', { events: ['applied'] });
  expect(hub.wants).not.toBe(0);
  hub.accepted('user:1', ID, 3);
  hub.applied('user:1', ID, 3);
  expect(parsed((await fetch(hub, 'a')).lines).map(({ event }) => event)).toEqual(['applied']);
  await hub.unwatch('a');
  expect(hub.wants).toBe(0);
});

test('watches are of each other independent', async () => {
  const hub = hubOf();
  await fetch(hub, 'a', { users: ['1'] });
  await fetch(hub, 'b', { rooms: ['r'] });
  hub.accepted('user:1', ID, 3);
  hub.accepted('room:r', ID, 3);
  hub.accepted('user:2', ID, 3);
  expect(parsed((await fetch(hub, 'a')).lines).map(({ log }) => log)).toEqual(['user:1']);
  expect(parsed((await fetch(hub, 'b')).lines).map(({ log }) => log)).toEqual(['room:r']);
});

test('what finds no room is counted exactly, never kept; a fetch makes room again', async () => {
  const hub = hubOf();
  await fetch(hub, 'a');
  const count = 20_000;
  for (let n = 1; n <= count; n++) hub.accepted('user:1', { epoch: 1, n }, 3);
  const { lines, count: got, dropped } = await fetch(hub, 'a');
  expect(lines.length).toBeLessThanOrEqual(RING_BYTES);
  expect(lines.length).toBeGreaterThan(RING_BYTES / 2);
  expect(got + dropped).toBe(count);
  expect(parsed(lines).map(({ id }) => id)).toEqual(Array.from({ length: got }, (_, at) => `1-${at + 1}`));
  hub.accepted('user:1', ID, 3);
  expect(await fetch(hub, 'a')).toMatchObject({ count: 1, dropped: 0 });
});

test('an answer waits for an event, and for no longer than was asked for', async () => {
  const hub = hubOf();
  await fetch(hub, 'a');
  let answered = false;
  const waiting = fetch(hub, 'a', {}, 2_000).then((batch) => {
    answered = true;
    return batch;
  });
  await Promise.resolve();
  expect(answered).toBe(false);
  hub.accepted('user:1', ID, 3);
  expect(await waiting).toMatchObject({ count: 1 });
  expect(await fetch(hub, 'a', {}, 20)).toMatchObject({ count: 0 });
});

test('more watches than a node serves are refused, with its name and the limit', async () => {
  const hub = hubOf();
  for (let at = 0; at < MAX_WATCHES; at++) await fetch(hub, `w${at}`);
  expect(new Set(hub.watches.map(({ bit }) => bit)).size).toBe(MAX_WATCHES);
  await expect(fetch(hub, 'more')).rejects.toMatchObject({
    code: 'too_many_watches',
    details: { node: 'n', limit: MAX_WATCHES },
  });
  await hub.unwatch('w3');
  expect(await fetch(hub, 'more')).toMatchObject({ began: true });
});

test('a watch that nobody fetches is forgotten; asked for again it says that it begins anew', async () => {
  const clock = new TestClock();
  const hub = hubOf(clock);
  await fetch(hub, 'a');
  clock.pass(4_000);
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  expect(hub.watches.length).toBe(1);
  clock.pass(2_000);
  await until('forgotten', () => hub.watches.length === 0);
  expect(hub.wants).toBe(0);
  expect(await fetch(hub, 'a')).toMatchObject({ began: true });
});

test('a source that is told that the last watch ends sees that nothing is wanted any more', async () => {
  const hub = hubOf();
  const wanted: number[] = [];
  const end = () => void wanted.push(hub.wants);
  hub.source = { begin: async () => undefined, end, replay: () => ({ next: () => undefined }) };
  await fetch(hub, 'a', { events: ['held'] });
  await hub.unwatch('a');
  expect(wanted).toEqual([0]);
});

test('who begins in the past has all of it first, and the event loop a turn after each look', async () => {
  const hub = hubOf();
  let looks = 0;
  const turns: number[] = [];
  const next = () => {
    turns.push(0);
    if (++looks > 100) return undefined;
    return looks % 10 === 0 ? { lines: `{"look":${looks}}\n`, count: 1 } : { lines: '', count: 0 };
  };
  hub.source = { begin: async () => undefined, end: () => undefined, replay: () => ({ next }) };
  let over = false;
  const turn = () => {
    turns[turns.length - 1] = (turns.at(-1) ?? 0) + 1;
    if (!over) setImmediate(turn);
  };
  setImmediate(turn);
  const batch = await hub.watch({ id: 'a', filter: {}, waitMs: 0, sinceMs: 60_000 });
  over = true;
  expect(parsed(batch.lines).map(({ look }) => look)).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
  expect(turns.slice(1, -1).every((between) => between > 0)).toBe(true);
  hub.accepted('user:1', ID, 3);
  expect(await fetch(hub, 'a')).toMatchObject({ count: 1 });
});

test.each([1, 8, 40])('of %i nodes each keeps its share of what a stream is given in a second', async (nodes) => {
  const hub = hubOf();
  const request = { id: 'a', filter: {}, waitMs: 0, nodes };
  await hub.watch(request);
  for (let at = 0; at < 10_000; at++) hub.accepted('user:1', ID, at);
  const { lines, dropped } = await hub.watch(request);
  expect(lines.length).toBeGreaterThan(10_000);
  expect(lines.length).toBeLessThanOrEqual(Math.min(RING_BYTES, BYTES_PER_SECOND / nodes));
  expect(dropped).toBe(10_000 - parsed(lines).length);
});
