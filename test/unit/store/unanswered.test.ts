// What Redis has not answered: given up after a time in which this process ran, counted until it is answered, and not added to
// where nothing that is asked now could be answered in time.
import { expect, test } from 'vitest';
import { Unanswered } from '../../../src/server/store/redis/unanswered.js';
import { HandClock } from '../comet/stage.js';

/** A clock whose one timer is run by hand, as one of a process that does not always run. */
class Ticking extends HandClock {
  tick: () => void = () => undefined;

  override every(_ms: number, run: () => void) {
    this.tick = run;
    return { timer: undefined };
  }
}

function stage(options: { readonly mostBytes?: number } = {}) {
  const clock = new Ticking();
  const redis = { clock, address: 'r', waitMs: 1_000, ...options };
  const unanswered = new Unanswered(redis);
  const asked: PromiseWithResolvers<string>[] = [];
  const outcomes: string[] = [];
  const ask = (bytes = 100, server = 'a') => {
    const answer = Promise.withResolvers<string>();
    const ask = () => {
      asked.push(answer);
      return answer.promise;
    };
    const at = outcomes.push('waits') - 1;
    unanswered.wait(server, bytes, ask).then(
      (value) => {
        outcomes[at] = value;
      },
      (error: Error) => {
        outcomes[at] = error.message;
      },
    );
  };
  /** Turns of this process, each a tenth of what is waited. */
  const run = async (ticks: number) => {
    for (let at = 0; at < ticks; at++) {
      clock.tick();
      await clock.turn();
    }
  };
  return { clock, unanswered, asked, outcomes, ask, run };
}

test('what is not answered in time is given up, and counts until it is', async () => {
  const { unanswered, asked, outcomes, ask, run } = stage();
  ask();
  ask();
  asked[0]?.resolve('one');
  await run(10);
  expect(outcomes).toEqual(['one', 'waits']);
  await run(2);
  expect(outcomes).toEqual(['one', 'Command timed out']);
  expect(unanswered.bytes).toBe(356);
  asked[1]?.resolve('late');
  await run(1);
  expect([outcomes[1], unanswered.bytes]).toEqual(['Command timed out', 0]);
});

test('time in which this process does not run is not the time of an answer, and one that has come is read first', async () => {
  const { clock, asked, outcomes, ask, run } = stage();
  ask();
  await run(9);
  // For a minute, and then one timer.
  clock.time += 60_000;
  await run(1);
  expect(outcomes).toEqual(['waits']);
  clock.tick();
  // The answer was in the socket all the time.
  asked[0]?.resolve('one');
  await clock.turn();
  expect(outcomes).toEqual(['one']);
});

test('behind what was given up long ago nothing is asked, and again when that is answered', async () => {
  const { asked, outcomes, ask, run } = stage();
  ask();
  await run(15);
  ask();
  expect(asked).toHaveLength(2);
  await run(8);
  ask();
  await run(0);
  expect(asked).toHaveLength(2);
  await run(1);
  expect(outcomes[2]).toMatch(/it is behind with its answers/);
  for (const one of asked) one.resolve('late');
  await run(1);
  ask();
  asked[2]?.resolve('three');
  await run(1);
  expect(outcomes[3]).toBe('three');
});

test('servers of a cluster answer each for itself: one that is behind, or has too much, takes nothing from the others', async () => {
  const { unanswered, asked, outcomes, ask, run } = stage({ mostBytes: 1_000 });
  ask(100, 'hangs');
  await run(30);
  ask(600, 'full');
  for (const server of ['hangs', 'full', 'works']) ask(300, server);
  await run(1);
  expect(asked).toHaveLength(3);
  expect(outcomes).toEqual([
    'Command timed out',
    'waits',
    expect.stringMatching(/^Redis at hangs .*it is behind with its answers/),
    expect.stringMatching(/^Redis at full .*too much waits for its answers/),
    'waits',
  ]);
  for (const one of asked) one.resolve('answered');
  await run(1);
  expect([outcomes[1], outcomes[4], unanswered.bytes]).toEqual(['answered', 'answered', 0]);
});

test('what a server sent on to another one, which hangs, is not its own: it has answered what came later', async () => {
  const { unanswered, asked, outcomes, ask, run } = stage();
  ask();
  await run(15);
  ask();
  asked[1]?.resolve('two');
  await run(15);
  ask();
  asked[2]?.resolve('three');
  await run(1);
  expect(outcomes).toEqual(['Command timed out', 'two', 'three']);
  expect(unanswered.bytes).toBe(356);
});

test('what has no answer is bounded in bytes; one that is larger goes by itself', async () => {
  const { unanswered, asked, outcomes, ask, run } = stage({ mostBytes: 1_000 });
  ask(5_000);
  ask(1);
  await run(1);
  expect([asked.length, outcomes[1]]).toEqual([1, expect.stringMatching(/too much waits for its answers/)]);
  asked[0]?.reject(new Error('the connection broke'));
  await run(1);
  expect([outcomes[0], unanswered.bytes]).toEqual(['the connection broke', 0]);
  ask(400);
  ask(10);
  ask(10);
  await run(1);
  expect(asked).toHaveLength(3);
});
