// Opens that are taken back: a few at a time, again while that fails, and not without bound.
import { expect, test } from 'vitest';
import { Abandoned } from '../../../src/server/rpc/abandoned.js';
import type { OpenRequest } from '../../../src/server/rpc/services.js';
import { HandClock } from '../comet/stage.js';

function stage() {
  const clock = new HandClock();
  const asked: { readonly seq: number; readonly done: PromiseWithResolvers<void> }[] = [];
  let givenUp = 0;
  const abandoned = new Abandoned(
    clock,
    ({ seq }) => {
      const done = Promise.withResolvers<void>();
      asked.push({ seq, done });
      return done.promise;
    },
    () => givenUp++,
  );
  const add = (seq: number, token = 't') => {
    abandoned.add({ seq, credential: { kind: 'token', token }, rooms: undefined } as unknown as OpenRequest);
  };
  return { clock, asked, abandoned, add, givenUp: () => givenUp };
}

test('a few are under way at a time, and the next one begins when one is settled', async () => {
  const { clock, asked, add } = stage();
  for (let seq = 0; seq < 20; seq++) add(seq);
  expect(asked.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  asked[3]?.done.resolve();
  await clock.turn();
  expect(asked.at(-1)?.seq).toBe(8);
});

test('one that fails is tried again, later each time, and is given up in the end', async () => {
  const { clock, asked, add, givenUp } = stage();
  const began = clock.time;
  add(1);
  while (givenUp() === 0) {
    asked.at(-1)?.done.reject(new Error('away'));
    await clock.pass(500);
    expect(clock.time - began).toBeLessThan(130_000);
  }
  expect(clock.time - began).toBeGreaterThan(100_000);
  expect(asked.length).toBeLessThan(100);
  expect(clock.idle).toBe(true);
});

test('after a minute in which none could be, all are settled within seconds', async () => {
  const clock = new HandClock();
  let away = true;
  let settled = 0;
  const takeBack = async () => {
    if (away) throw new Error('away');
    settled++;
  };
  const abandoned = new Abandoned(clock, takeBack, () => undefined);
  for (let seq = 0; seq < 100; seq++)
    abandoned.add({ seq, credential: { kind: 'key', key: 'k' } } as unknown as OpenRequest);
  await clock.pass(60_000);
  away = false;
  await clock.pass(3_000);
  expect(settled).toBe(100);
});

test('whoever stops it leaves nothing that waits', async () => {
  const { clock, asked, abandoned, add, givenUp } = stage();
  add(1);
  asked[0]?.done.reject(new Error('away'));
  await clock.turn();
  abandoned.stop();
  await clock.turn();
  expect([clock.idle, asked.length, givenUp()]).toEqual([true, 1, 0]);
});

test('those that wait are bounded in bytes: the oldest is given up', async () => {
  const { clock, asked, add, givenUp } = stage();
  for (let seq = 0; seq < 8; seq++) add(seq);
  for (let seq = 100; seq < 300; seq++) add(seq, 'x'.repeat(64 * 1024));
  expect(givenUp()).toBe(73);
  asked[0]?.done.resolve();
  await clock.turn();
  expect(asked.at(-1)?.seq).toBe(173);
});
