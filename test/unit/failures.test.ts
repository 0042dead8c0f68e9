// What fails again and again is said once an outage, now and then while it lasts, and when it is over.
import { expect, test } from 'vitest';
import { Failures } from '../../src/server/failures.js';
import { TestClock } from './store/test-clock.js';

test('an outage is logged when it begins, each half minute, and when it is over, with how often it failed', () => {
  const clock = new TestClock();
  const said: unknown[] = [];
  const failures = new Failures(clock, { warn: (details, message) => said.push([details, message]) }, 'renewing');
  failures.over();
  expect(said).toEqual([]);
  for (let at = 0; at < 20; at++) {
    failures.report(new Error(`no answer ${at}`));
    clock.pass(2_000);
  }
  failures.over();
  failures.over();
  expect(said).toEqual([
    [{ error: 'Error: no answer 0', failed: 1 }, 'renewing failed; it is tried again'],
    [{ error: 'Error: no answer 15', failed: 16 }, 'renewing failed; it is tried again'],
    [{ failed: 20, forMs: 40_000 }, 'renewing works again'],
  ]);
  failures.report(new Error('anew'));
  expect(said.at(-1)).toEqual([{ error: 'Error: anew', failed: 1 }, 'renewing failed; it is tried again']);
});
