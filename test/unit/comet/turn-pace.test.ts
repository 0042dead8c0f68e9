// Opens and ends in a storm: some each turn, in order, and none is forgotten.

import { expect, test } from 'vitest';
import { TurnPace } from '../../../src/server/comet/turn-pace.js';
import { HandClock } from './stage.js';

test('a few begin at once, the others turn by turn in the order in which they came', async () => {
  const clock = new HandClock();
  const pace = new TurnPace(clock, () => false);
  const begun: number[] = [];
  for (let n = 0; n < 200; n++) pace.begin(() => begun.push(n));
  expect(begun).toHaveLength(8);
  await clock.turn();
  expect(begun).toHaveLength(16);
  pace.begin(() => begun.push(200));
  expect(begun).toHaveLength(16);
  await clock.rest();
  expect(begun).toEqual(Array.from({ length: 201 }, (_, n) => n));
  expect(pace.waiting).toBe(0);
});

test('who comes alone never waits', async () => {
  const clock = new HandClock();
  const pace = new TurnPace(clock, () => false);
  let begun = 0;
  for (let n = 0; n < 300; n++) {
    pace.begin(() => begun++);
    expect(begun).toBe(n + 1);
    await clock.turn();
  }
});

test('while a sweep goes on fewer begin, and as many as before when it has ended', async () => {
  const clock = new HandClock();
  let sweeping = true;
  const pace = new TurnPace(clock, () => sweeping);
  const begun: number[] = [];
  for (let n = 0; n < 200; n++) pace.begin(() => begun.push(n));
  expect(begun).toHaveLength(4);
  await clock.turn();
  expect(begun).toHaveLength(8);
  sweeping = false;
  await clock.turn();
  expect(begun).toHaveLength(16);
  await clock.rest();
  expect(begun).toEqual(Array.from({ length: 200 }, (_, n) => n));
});

test('who comes when a sweep has just ended does not go before those that wait', async () => {
  const clock = new HandClock();
  let sweeping = true;
  const pace = new TurnPace(clock, () => sweeping);
  const begun: number[] = [];
  for (let n = 0; n < 20; n++) pace.begin(() => begun.push(n));
  sweeping = false;
  pace.begin(() => begun.push(20));
  await clock.rest();
  expect(begun).toEqual(Array.from({ length: 21 }, (_, n) => n));
});
