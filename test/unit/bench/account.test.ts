// What a session takes is said where it can be told, and not where processes of the server came or went.
import { expect, test } from 'vitest';
import { type Mark, memoryOfEach } from '../../../src/bench/account.js';

const mark = (rssBytes: number, open: number, members = 'a b') =>
  ({ server: { processes: 2, cpuSeconds: 1, rssBytes }, clients: { open }, members }) as unknown as Mark;

test('the memory of a session is the least that the server grew by for each, once its garbage is collected', () => {
  expect(memoryOfEach(mark(1_000, 0), mark(6_000, 10), mark(4_000, 10))).toBe(300);
  expect(memoryOfEach(mark(1_000, 0), mark(6_000, 10), mark(0, 10))).toBe(500);
});

test('it cannot be told when a process of the server began or ended in the run, or the server shrank', () => {
  const idle = mark(9_000, 0);
  expect(memoryOfEach(idle, mark(12_000, 10), mark(8_000, 10, 'a c'))).toBeNull();
  expect(memoryOfEach(idle, mark(8_000, 10, 'a c'), mark(12_000, 10))).toBeNull();
  expect(memoryOfEach(idle, mark(8_000, 10), mark(12_000, 10))).toBeNull();
  expect(memoryOfEach(idle, mark(12_000, 0), mark(12_000, 0))).toBeNull();
});
