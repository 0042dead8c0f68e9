// What a server says of its comets: counts never go back, whoever is too busy to answer or begins anew.
import { expect, test } from 'vitest';
import { HttpCaller } from '../../../src/bench/http-caller.js';
import { NodesWatch } from '../../../src/bench/nodes.js';

const item = (node: string, since: number, flushes: number, ringBytes = 0) => ({
  node,
  since,
  comet: {
    node,
    connections: 1,
    cpuSeconds: flushes,
    rssBytes: 100,
    loopP99Ms: 1,
    topics: [{ windowMs: 100, sweepMs: 1, ringBytes, lagging: 0 }],
    counters: { flushes },
    reasons: { closed_shutdown: 1 },
  },
});

test('a comet that is silent keeps its figures; one that began anew keeps its counts, and is there once', () => {
  const watch = new NodesWatch(new HttpCaller('http://127.0.0.1:1', undefined));
  expect(watch.take([item('a/1', 1, 10, 7), item('a/2', 1, 20, 7)]).fanOut.flushes).toBe(30);
  const silent = watch.take([{ node: 'a/1', since: 1, comet: null }, item('a/2', 1, 25, 7)]);
  expect([silent.fanOut.flushes, silent.comets.length]).toEqual([35, 2]);
  const anew = watch.take([item('a/1', 2, 3, 5), item('a/2', 1, 26, 7)]);
  expect(anew.fanOut).toMatchObject({ flushes: 10 + 3 + 26, ringBytes: 12, reasons: { closed_shutdown: 3 } });
  expect(anew.comets.map(({ name, cpuSeconds }) => [name, cpuSeconds])).toEqual([
    ['a/1', 3],
    ['a/2', 26],
  ]);
});

test('one that lost its lease is the same process still: what it counted and used counts once', () => {
  const watch = new NodesWatch(new HttpCaller('http://127.0.0.1:1', undefined));
  const apart = (incarnation: number, cpuSeconds: number) => {
    const whole = { incarnation, roles: ['comet'], address: 'x', state: 'ok', report: { cpuSeconds, rssBytes: 10 } };
    return [item('a', 1, cpuSeconds), item('b', 1, 1)].map((one) => ({ ...one, ...whole }));
  };
  watch.take(apart(1, 5));
  const again = watch.take(apart(2, 7));
  expect([again.cpuByRole, again.fanOut.flushes]).toEqual([{ comet: 14 }, 8]);
});

test('roles apart: each says what it uses, and one that is started again adds to what its role used', () => {
  const node = (name: string, since: number, role: string, cpuSeconds: number | null) => ({
    node: name,
    since,
    roles: [role],
    address: `127.0.0.1:${name.length}`,
    state: 'ok',
    report: cpuSeconds === null ? null : { cpuSeconds, rssBytes: 10 },
    comet: null,
  });
  const watch = new NodesWatch(new HttpCaller('http://127.0.0.1:1', undefined));
  expect(watch.take([item('a', 1, 10)])).toMatchObject({ apart: [], cpuByRole: {} });
  watch.take([node('l1', 1, 'logic', 5), node('j1', 1, 'job', 3), node('j2', 1, 'job', 4)]);
  const silent = watch.take([node('l1', 1, 'logic', 6), node('j1', 1, 'job', null), node('j2', 1, 'job', 5)]);
  expect(silent.cpuByRole).toEqual({ logic: 6, job: 8 });
  expect(silent.apart).toHaveLength(3);
  const anew = watch.take([node('l1', 1, 'logic', 7), node('j1', 2, 'job', 1)]);
  expect(anew.cpuByRole).toEqual({ logic: 7, job: 3 + 5 + 1 });
  expect(anew.apart.map(({ role, cpuSeconds }) => [role, cpuSeconds])).toEqual([
    ['logic', 7],
    ['job', 1],
  ]);
});
