// Who is dialled when: the ramp in its pace, those that broke beside it, and never more under way than are bounded.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Dialler } from '../../../src/bench/pace.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

test('connections that broke do not wait for the rate of the ramp; a bounded number is under way', () => {
  const dialled: number[] = [];
  const pace = { underWay: 1, mostUnderWay: 4, dialsPerSecond: 1 };
  const dialler = new Dialler(pace, (index) => dialled.push(index));
  for (const index of [0, 1]) dialler.add(index);
  for (let index = 10; index < 20; index++) dialler.again(index);
  expect(dialled).toEqual([10, 11, 12, 13]);
  dialler.failed();
  dialler.answered(1);
  expect(dialled).toEqual([10, 11, 12, 13, 14, 15]);
  for (let left = 0; left < 8; left++) dialler.answered(1);
  expect(dialled.slice(6)).toEqual([16, 17, 18, 19]);
  vi.advanceTimersByTime(1_000);
  expect(dialled.slice(10)).toEqual([0]);
  vi.advanceTimersByTime(5_000);
  expect(dialled.slice(10)).toEqual([0, 1]);
});

test('without a rate they do not wait for answers to the ramp, which are slow then', () => {
  const dialled: number[] = [];
  const dialler = new Dialler({ underWay: 2, mostUnderWay: 6, dialsPerSecond: undefined }, (index) =>
    dialled.push(index),
  );
  for (const index of [0, 1, 2, 3]) dialler.add(index);
  expect(dialled).toEqual([0, 1]);
  for (let index = 10; index < 20; index++) dialler.again(index);
  expect(dialled).toEqual([0, 1, 10, 11, 12, 13]);
  // The ramp goes on when fewer than its window are under way.
  for (let left = 0; left < 6; left++) dialler.answered(10_000);
  expect(dialled.slice(6, 12)).toEqual([14, 15, 16, 17, 18, 19]);
  for (let left = 0; left < 6; left++) dialler.failed();
  expect(dialled).toHaveLength(14);
});
