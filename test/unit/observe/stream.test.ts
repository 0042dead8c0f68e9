// A stream over several nodes: real hubs, some of them behind what a link puts between.

import { afterEach, expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import { systemClock } from '../../../src/server/clock.js';
import type { AdminEvent, EventFilter } from '../../../src/server/observe/events.js';
import { EventHub, MAX_WATCHES, type WatchService } from '../../../src/server/observe/hub.js';
import { EventStream, KEEP_ALIVE, OUTBOX_BYTES, type WatchedNode } from '../../../src/server/observe/stream.js';
import { SERVICE_CALLS } from '../../../src/server/rpc/calls.js';
import { serve, twin } from '../../../src/server/rpc/remote.js';
import { until } from '../../harness/api.js';

const hubs: EventHub[] = [];
const streams: EventStream[] = [];

afterEach(() => {
  for (const stream of streams.splice(0)) stream.stop();
  for (const hub of hubs.splice(0)) hub.stop();
});

function hubOf(node: string): EventHub {
  const hub = new EventHub(node, systemClock);
  hubs.push(hub);
  return hub;
}

interface Given {
  readonly filter?: EventFilter;
  readonly limit?: number;
}

function streamOf(nodes: () => readonly WatchedNode[], { filter = {}, limit }: Given = {}): EventStream {
  const parts = { clock: systemClock, version: '1.2.3', nodes: async () => nodes() };
  const stream = new EventStream(parts, { filter, sinceMs: undefined, limit });
  streams.push(stream);
  return stream;
}

/** Reads until it ends; `events` grows meanwhile. */
function read(stream: EventStream) {
  const events: (AdminEvent & Readonly<Record<string, unknown>>)[] = [];
  const ended = (async () => {
    for await (const lines of stream.lines()) {
      if (lines === KEEP_ALIVE) continue;
      for (const line of lines.split('\n').slice(0, -1)) events.push(JSON.parse(line));
    }
  })();
  const kind = async (name: string) => {
    await until(name, () => events.some(({ event }) => event === name));
    return events.find(({ event }) => event === name);
  };
  return { events, ended, kind };
}

const ID = { epoch: 1, n: 7 };

test('it begins with what it watches, then has the events of all nodes, those of one in order', async () => {
  const [a, b] = [hubOf('a'), hubOf('b')];
  const stream = streamOf(() => [a, b].map((hub) => ({ node: hub.node, service: hub })));
  await stream.begin();
  const { events } = read(stream);
  for (let n = 1; n <= 20; n++) (n % 2 === 0 ? a : b).accepted('user:1', { epoch: 1, n }, 3);
  await until('all', () => events.length === 21);
  expect(events[0]).toEqual({ event: 'watching', at: expect.any(Number), sessions: 0, nodes: 2, version: '1.2.3' });
  const of = (node: string) => events.filter((event) => event['node'] === node).map(({ id }) => id);
  expect(of('a')).toEqual([2, 4, 6, 8, 10, 12, 14, 16, 18, 20].map((n) => `1-${n}`));
  expect(of('b')).toEqual([1, 3, 5, 7, 9, 11, 13, 15, 17, 19].map((n) => `1-${n}`));
});

test('it ends after as many events as were asked for, and the nodes forget it', async () => {
  const hub = hubOf('a');
  const stream = streamOf(() => [{ node: 'a', service: hub }], { limit: 3 });
  await stream.begin();
  const { events, ended } = read(stream);
  for (let n = 1; n <= 20; n++) hub.accepted('user:1', { epoch: 1, n }, 3);
  await ended;
  expect(events.map(({ event, id }) => id ?? event)).toEqual(['watching', '1-1', '1-2', '1-3', 'end']);
  expect(events.at(-1)).toMatchObject({ reason: 'limit' });
  await until('forgotten', () => hub.watches.length === 0);
});

test('a server that stops ends it with a word', async () => {
  const hub = hubOf('a');
  const stream = streamOf(() => [{ node: 'a', service: hub }]);
  await stream.begin();
  const { events, ended } = read(stream);
  stream.finish('shutdown');
  await ended;
  expect(events.at(-1)).toMatchObject({ event: 'end', reason: 'shutdown' });
});

test('a reader that takes nothing costs a bounded buffer; what it did not get is counted where it is missing', async () => {
  const hub = hubOf('a');
  const stream = streamOf(() => [{ node: 'a', service: hub }]);
  await stream.begin();
  const lines = stream.lines();
  expect(JSON.parse(String((await lines.next()).value))).toMatchObject({ event: 'watching' });
  // Nothing is taken while ever more happens: in the end all of it finds no room.
  let n = 0;
  const busy = setInterval(() => {
    for (let more = 0; more < 1_500; more++) hub.accepted('user:1', { epoch: 1, n: ++n }, 3);
  }, 20);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  clearInterval(busy);
  const last = { epoch: 2, n: 1 };
  let got = '';
  let gotLast = false;
  let more = 0;
  while (!gotLast) {
    more++;
    hub.accepted('user:2', last, 3);
    const { value } = await lines.next();
    if (value !== KEEP_ALIVE) got += value;
    gotLast = String(value).includes('user:2');
    if (!gotLast) expect(got.length).toBeLessThan(4 * OUTBOX_BYTES);
  }
  const events = got
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
  const dropped = events.filter(({ event }) => event === 'dropped');
  expect(dropped.map(({ reason }) => reason)).toContain('slow_reader');
  const count = dropped.reduce((sum, one) => sum + one.count, 0);
  const shown = events.filter(({ log }) => log === 'user:1').length;
  expect(shown + count).toBeGreaterThanOrEqual(n);
  expect(shown + count).toBeLessThanOrEqual(n + more);
  await lines.return();
});

test('what flooded nodes drop while a reader takes nothing adds up, and is told when it reads again', async () => {
  const hub = hubOf('a');
  let floods = 0;
  const flooded: WatchService = {
    watch: async (request) => {
      const batch = await hub.watch({ ...request, waitMs: 0 });
      await new Promise((resolve) => setTimeout(resolve, 5));
      floods++;
      return { ...batch, lines: `${'x'.repeat(OUTBOX_BYTES / 3)}\n`, count: 1, dropped: 5 };
    },
    unwatch: (id) => hub.unwatch(id),
  };
  const stream = streamOf(() => [{ node: 'a', service: flooded }]);
  await stream.begin();
  const lines = stream.lines();
  await until('many answers', () => floods > 20);
  const before = floods;
  let words = 0;
  let count = 0;
  while (count < 5 * before) {
    for (const line of String((await lines.next()).value).split('\n')) {
      if (!line.startsWith('{"event":"dropped"') || !line.includes('node_buffer')) continue;
      words++;
      count += JSON.parse(line).count;
    }
  }
  expect(words).toBeLessThan(before);
  expect(count % 5).toBe(0);
  await lines.return();
});

test('with a limit no event comes after the last, however slowly it is read', async () => {
  const hub = hubOf('a');
  const stream = streamOf(() => [{ node: 'a', service: hub }], { limit: 2 });
  await stream.begin();
  const lines = stream.lines();
  await lines.next();
  const more = () => {
    for (let n = 1; n <= 3; n++) hub.accepted('user:1', { epoch: 1, n }, 3);
  };
  more();
  const first = String((await lines.next()).value);
  more();
  // As long as a fetch takes: what it brings must not be read.
  await new Promise((resolve) => setTimeout(resolve, 500));
  let rest = '';
  for await (const text of lines) rest += text;
  expect(first.split('\n').length - 1).toBe(2);
  expect(
    rest
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line).event),
  ).toEqual(['end']);
});

test('a node that fails is missed once, with why, and back when it answers; the others go on', async () => {
  const [a, b] = [hubOf('a'), hubOf('b')];
  let down = false;
  const shaky: WatchService = {
    watch: (request) => (down ? Promise.reject(new ImgoError('node_unreachable', { node: 'b' })) : b.watch(request)),
    unwatch: (id) => b.unwatch(id),
  };
  const stream = streamOf(() => [
    { node: 'a', service: a },
    { node: 'b', service: shaky },
  ]);
  await stream.begin();
  const { events, kind } = read(stream);
  down = true;
  b.applied('user:1', ID, 3);
  expect(await kind('missed')).toMatchObject({ node: 'b', reason: 'unreachable' });
  a.accepted('user:1', ID, 3);
  await kind('accepted');
  down = false;
  expect(await kind('back')).toMatchObject({ node: 'b' });
  b.notified('user:1', ID, 'c');
  await kind('notified');
  expect(events.filter(({ event }) => event === 'missed').length).toBe(1);
});

test('a node that is too old to be asked is missed for its version, over a real link’s answers', async () => {
  const hub = hubOf('a');
  const old = serve([{ name: 'node', methods: ['report'], service: { report: async () => ({}) } }]);
  const events = twin<WatchService, keyof WatchService>('events', SERVICE_CALLS.events, old);
  const stream = streamOf(() => [
    { node: 'a', service: hub },
    { node: 'old', service: events },
  ]);
  await stream.begin();
  const { kind } = read(stream);
  expect(await kind('missed')).toMatchObject({ node: 'old', reason: 'version' });
});

test('nodes that come are followed, nodes that leave are missed', async () => {
  const [a, b] = [hubOf('a'), hubOf('b')];
  let nodes = [a];
  const stream = streamOf(() => nodes.map((hub) => ({ node: hub.node, service: hub })));
  await stream.begin();
  const { kind } = read(stream);
  nodes = [a, b];
  expect(await kind('back')).toMatchObject({ node: 'b' });
  b.applied('user:1', ID, 3);
  await kind('applied');
  nodes = [a];
  expect(await kind('missed')).toMatchObject({ node: 'b', reason: 'gone' });
});

test('nodes are told how many share the stream', async () => {
  const told = new Map<string, number | undefined>();
  let nodes = ['a', 'b'].map((name) => hubOf(name));
  const watchedBy = (hub: EventHub): WatchService => ({
    watch(request) {
      told.set(hub.node, request.nodes);
      return hub.watch(request);
    },
    unwatch: (id) => hub.unwatch(id),
  });
  const stream = streamOf(() => nodes.map((hub) => ({ node: hub.node, service: watchedBy(hub) })));
  await stream.begin();
  const { kind } = read(stream);
  expect([...told.values()]).toEqual([2, 2]);
  nodes = [...nodes, hubOf('c')];
  await kind('back');
  await expect.poll(() => [...told.values()], { timeout: 5_000 }).toEqual([3, 3, 3]);
});

test('a node that forgot the watch says that it begins anew: what was between is missed', async () => {
  const hub = hubOf('a');
  const stream = streamOf(() => [{ node: 'a', service: hub }]);
  await stream.begin();
  const { events, kind } = read(stream);
  hub.stop();
  await kind('back');
  expect(events.map(({ event }) => event)).toEqual(['watching', 'missed', 'back']);
});

test('an unknown node, and a node without room for another watch, are errors and leave nothing behind', async () => {
  const hub = hubOf('a');
  const nodes = () => [{ node: 'a', service: hub }];
  await expect(streamOf(nodes, { filter: { nodes: ['z'] } }).begin()).rejects.toMatchObject({ code: 'node_not_found' });
  for (let at = 0; at < MAX_WATCHES; at++) await hub.watch({ id: `w${at}`, filter: {}, waitMs: 0 });
  await expect(streamOf(nodes).begin()).rejects.toMatchObject({ code: 'too_many_watches' });
  expect(hub.watches.length).toBe(MAX_WATCHES);
});

test('with named nodes no others are asked', async () => {
  const [a, b] = [hubOf('a'), hubOf('b')];
  const stream = streamOf(() => [a, b].map((hub) => ({ node: hub.node, service: hub })), { filter: { nodes: ['b'] } });
  await stream.begin();
  expect([a.watches.length, b.watches.length]).toEqual([0, 1]);
});
