// Sessions that end, told to logic: so many at a time however many leave at once, each until it is answered, and at the end of a
// comet no longer than there is a logic.
import { expect, test } from 'vitest';
import { type ErrorCode, ImgoError } from '../../../src/protocol/errors.js';
import { type SessionId, ZERO_ID } from '../../../src/protocol/ids.js';
import { Departures } from '../../../src/server/comet/departures.js';
import type { SessionHandle } from '../../../src/server/rpc/services.js';
import { HandClock } from './stage.js';

const CROWD = 5_000;
const AT_ONCE = 1_024;

function stage() {
  const clock = new HandClock();
  const asked: { readonly session: string; readonly answer: PromiseWithResolvers<void> }[] = [];
  const ended: string[] = [];
  let failed = 0;
  const close = ({ session }: SessionHandle): Promise<void> => {
    const answer = Promise.withResolvers<void>();
    asked.push({ session, answer });
    return answer.promise;
  };
  const departures = new Departures({ close }, clock, () => failed++);
  const leave = (session: string): void => {
    void departures.tell({ session: session as SessionId } as SessionHandle, ZERO_ID).then(() => ended.push(session));
  };
  const crowd = Array.from({ length: CROWD }, (_, at) => `s${at}`);
  const refuse = (code: ErrorCode) => {
    for (const { answer } of asked.splice(0)) answer.reject(new ImgoError(code));
  };
  return { clock, departures, asked, ended, leave, crowd, refuse, failed: () => failed };
}

test('a crowd that leaves at once is told some at a time, each once and in its order', async () => {
  const { clock, asked, ended, leave, crowd, failed } = stage();
  for (const one of crowd) leave(one);
  const order: string[] = [];
  while (order.length < CROWD) {
    await clock.rest();
    expect(asked.length).toBe(Math.min(AT_ONCE, CROWD - order.length));
    // Some are answered sooner than those before them.
    for (const { session, answer } of asked.splice(asked.length > 1 ? 1 : 0, 500)) {
      order.push(session);
      answer.resolve();
    }
  }
  await clock.rest();
  expect([asked.length, ended.length, failed()]).toEqual([0, CROWD, 0]);
  expect([...order].sort()).toEqual([...crowd].sort());
});

test('what is not answered is repeated after a while in which others have its turn, and given up at last', async () => {
  const { clock, asked, ended, leave, crowd, refuse, failed } = stage();
  for (const one of crowd.slice(0, AT_ONCE + 1)) leave(one);
  await clock.rest();
  refuse('store_failed');
  await clock.rest();
  expect(asked.map(({ session }) => session)).toEqual([`s${AT_ONCE}`]);
  asked.splice(0)[0]?.answer.resolve();
  await clock.pass(100);
  expect(asked).toHaveLength(AT_ONCE);
  for (let again = 0; again < 20; again++) {
    refuse('store_failed');
    await clock.pass(3_000);
  }
  expect([asked.length, ended.length, failed()]).toEqual([0, AT_ONCE + 1, AT_ONCE]);
});

test('a comet that ends finds once that no logic is there, and then tells nobody of those that are left', async () => {
  const { clock, departures, asked, ended, leave, crowd, refuse, failed } = stage();
  for (const one of crowd) leave(one);
  await clock.rest();
  refuse('node_unreachable');
  await clock.rest();
  // One that does not end waits for a logic to come.
  expect(asked).toHaveLength(AT_ONCE);
  departures.last();
  refuse('node_unreachable');
  await clock.pass(100);
  expect([asked.length, ended.length, failed()]).toEqual([0, CROWD, CROWD]);
});
