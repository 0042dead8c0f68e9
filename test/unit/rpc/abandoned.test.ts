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
  add(1);
  for (let attempt = 1; attempt <= 10; attempt++) {
    expect([asked.length, givenUp()]).toEqual([attempt, 0]);
    asked.at(-1)?.done.reject(new Error('away'));
    await clock.pass(60_000);
  }
  expect([asked.length, givenUp()]).toEqual([10, 1]);
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
