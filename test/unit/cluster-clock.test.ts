// A clock of a machine that is wrong is set right by one that counts; one that is right is left alone.
import { expect, test } from 'vitest';
import { ClusterClock } from '../../src/server/cluster-clock.js';
import { TestClock } from './store/test-clock.js';

function scene() {
  const base = new TestClock();
  const said: object[] = [];
  const clock = new ClusterClock(base, { warn: (details) => void said.push(details) });
  /** The other clock is `off` ahead, and its answer takes so long. */
  const learn = (off: number, took = 2): void => {
    const askedAt = clock.monotonic();
    base.pass(took);
    clock.learn(base.now() + off - took / 2, askedAt);
  };
  return { base, clock, said, learn };
}

test.each([-3_600_000, 3_600_000])('one that is wrong by %d ms is set right, once, and somebody is told', (off) => {
  const { base, clock, said, learn } = scene();
  for (let times = 0; times < 3; times++) learn(off);
  expect(clock.now()).toBe(base.now() + off);
  expect(said).toEqual([{ skewMs: off }]);
  base.set(base.now() + off);
  learn(0);
  expect(clock.now()).toBe(base.now());
});

test('one that agrees is left alone, and so is any by an answer that took too long', () => {
  const { base, clock, said, learn } = scene();
  for (const off of [0, 300, -300]) learn(off);
  learn(5_000, 3_000);
  learn(900, 1_000);
  expect(clock.now()).toBe(base.now());
  expect(said).toEqual([]);
});

test('only the wall clock differs: leases and deadlines are not moved', () => {
  const { base, clock, learn } = scene();
  const before = clock.monotonic();
  learn(3_600_000);
  expect(clock.monotonic() - before).toBe(base.monotonic() - before);
});
