// Opens at the rate at which they succeed: what waits, what is refused and when it is to come again, and that a herd ends.
import { expect, test } from 'vitest';
import { ImgoError } from '../../src/protocol/errors.js';
import { againOf, isUntouched, OpenLimit } from '../../src/server/open-limit.js';
import { HandClock } from './comet/stage.js';

/** Opens that end when they are told to. */
function opensWith(clock: HandClock) {
  const limit = new OpenLimit(clock, 'opens');
  const begun: { readonly name: string; readonly done: PromiseWithResolvers<void> }[] = [];
  const failures: Record<string, ImgoError> = {};
  const open = (name: string, order: Partial<Parameters<OpenLimit['run']>[0]> = {}) => {
    const asked = { bytes: 100, until: clock.monotonic() + 5_000, ...order };
    const run = limit.run(asked, () => {
      const done = Promise.withResolvers<void>();
      begun.push({ name, done });
      return done.promise;
    });
    run.catch((error: unknown) => {
      failures[name] = error as ImgoError;
    });
  };
  const names = () => begun.map(({ name }) => name);
  return { limit, begun, failures, open, names };
}

test('who comes when few are there begins at once; the others in their order, as fast as those end', async () => {
  const clock = new HandClock();
  const { limit, begun, open, names } = opensWith(clock);
  for (let n = 0; n < 100; n++) open(`${n}`);
  await clock.turn();
  expect([begun.length, limit.underWay, limit.waiting]).toEqual([64, 64, 36]);
  begun[0]?.done.resolve();
  await clock.turn();
  // One ended, and it was answered soon: two begin.
  expect(names().slice(64)).toEqual(['64', '65']);
  for (const { done } of begun) done.resolve();
  await clock.turn();
  expect(names()).toEqual(Array.from({ length: 100 }, (_, n) => `${n}`));
});

test('when nobody waits for it any more an open never begins, and is counted', async () => {
  const clock = new HandClock();
  const { limit, begun, failures, open, names } = opensWith(clock);
  let gone = false;
  for (let n = 0; n < 64; n++) open(`${n}`);
  open('too late', { until: clock.monotonic() + 500 });
  open('gone', { isGone: () => gone });
  open('called off', { nonce: 'c 1' });
  open('waits');
  gone = true;
  limit.callOff('c 1');
  clock.time += 600;
  begun[0]?.done.resolve();
  await clock.turn();
  expect(names().slice(64)).toEqual(['waits']);
  expect(Object.keys(failures).toSorted()).toEqual(['called off', 'gone', 'too late']);
  expect(Object.values(failures).every((error) => isUntouched(error) && error.code === 'overloaded')).toBe(true);
  expect(limit.counters.dropped).toBe(3);
});

test('fewer are let in after one that failed or was late, once for all that had begun; more again after answers', async () => {
  const clock = new HandClock();
  const { limit, begun, open } = opensWith(clock);
  for (let n = 0; n < 64; n++) open(`${n}`);
  await clock.turn();
  clock.time += 100;
  for (const { done } of begun.slice(0, 30))
    done.reject(new ImgoError('redis_unreachable', { address: 'x', detail: 'y' }));
  await clock.turn();
  expect([limit.most, limit.counters.narrowed]).toEqual([44, 1]);
  clock.time += 3_000;
  for (const { done } of begun.slice(30)) done.resolve();
  await clock.turn();
  expect(limit.most).toBe(44);
  open('late');
  await clock.turn();
  clock.time += 3_500;
  begun.at(-1)?.done.resolve();
  await clock.turn();
  expect([limit.most, limit.counters.narrowed]).toEqual([31, 2]);
  for (let n = 0; n < 100; n++) {
    open(`more ${n}`);
    await clock.turn();
    begun.at(-1)?.done.resolve();
    await clock.turn();
  }
  expect(limit.most).toBeGreaterThan(32);
  open('refused');
  await clock.turn();
  begun.at(-1)?.done.reject(new ImgoError('token_refused', { disconnect: 'token_refused' }));
  await clock.turn();
  expect(limit.counters.narrowed).toBe(2);
});

test('who would wait in vain is refused at once, each with a later time to come again', async () => {
  const clock = new HandClock();
  const { limit, begun, failures, open } = opensWith(clock);
  for (let n = 0; n < 64; n++) open(`${n}`);
  await clock.turn();
  clock.time += 1_000;
  // From now on an open is known to take a second.
  begun[0]?.done.resolve();
  await clock.turn();
  for (let n = 0; n < 1_000; n++) open(`herd ${n}`);
  await clock.turn();
  const times = Object.values(failures).map((error) => againOf(error)?.minMs ?? 0);
  expect(times.length).toBe(limit.counters.refused);
  expect([limit.waiting > 200, limit.waiting < 400]).toEqual([true, true]);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  // Behind those who wait, at the rate of 64 a second.
  expect(times[0]).toBeGreaterThan(4_000);
  expect(times.at(-1)).toBeGreaterThan(times[0] as number);
  expect(Math.max(...times)).toBeLessThanOrEqual(15_000);
});

test('what waits is bounded in bytes', async () => {
  const clock = new HandClock();
  const { limit, failures, open } = opensWith(clock);
  for (let n = 0; n < 64; n++) open(`${n}`);
  for (let n = 0; n < 200; n++) open(`large ${n}`, { bytes: 64 * 1024 });
  await clock.turn();
  expect(limit.waiting).toBe(128);
  expect(Object.keys(failures)).toHaveLength(72);
});

test.each([20, 100, 2_000])(
  'a herd against a server that opens %i a second ends: nearly all that begins is answered',
  async (perSecond) => {
    // One that works on all that has begun in turn, and on what nobody waits for, too.
    const clock = new HandClock();
    const limit = new OpenLimit(clock, 'opens');
    const work: (() => void)[] = [];
    let late = 0;
    let open = 0;
    const herd = 2_000;
    let capacity = 0;
    const server = clock.every(10, () => {
      for (capacity = Math.min(1, capacity) + perSecond / 100; capacity >= 1; capacity--) work.shift()?.();
    });
    const come = async (): Promise<void> => {
      const until = clock.monotonic() + 5_000;
      const served = limit.run({ bytes: 100, until }, () => new Promise<void>((resolve) => work.push(resolve)));
      const answer = await served.then(
        () => undefined,
        (error: ImgoError) => againOf(error) ?? { minMs: 1_000, maxMs: 30_000 },
      );
      if (answer === undefined && clock.monotonic() <= until) {
        open++;
        return;
      }
      if (answer === undefined) late++;
      const { minMs, maxMs } = answer ?? { minMs: 1_000, maxMs: 15_000 };
      clock.after(minMs + clock.random() * (maxMs - minMs), () => void come());
    };
    for (let n = 0; n < herd; n++) void come();
    let seconds = 0;
    while (open < herd && seconds < 1_000) {
      await clock.pass(1_000);
      seconds++;
    }
    clock.clear(server);
    expect(open).toBe(herd);
    expect(late).toBeLessThan(herd / 5);
  },
  60_000,
);

test('many that come one by one say nothing of how many could come at once', async () => {
  const clock = new HandClock();
  const { limit, begun, open } = opensWith(clock);
  for (let n = 0; n < 2_000; n++) {
    open(`${n}`);
    await clock.turn();
    begun.at(-1)?.done.resolve();
    await clock.turn();
  }
  expect([limit.underWay, limit.most]).toEqual([0, 64]);
});
