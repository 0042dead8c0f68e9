// Which events a filter wants.

import { expect, test } from 'vitest';
import { NODE_EVENTS } from '../../../src/server/observe/events.js';
import { Kind, Matcher, namesNode, shareOf } from '../../../src/server/observe/filter.js';
import { fc } from '../../harness/property.js';

const session = {
  session: 's_1',
  handle: { user: 'u1' },
  topics: [{ log: 'all' }, { log: 'room:r1' }],
};

test.each([
  [{}, true],
  [{ users: ['u1'] }, true],
  [{ users: ['u2', 'u1'] }, true],
  [{ users: ['u2'] }, false],
  [{ rooms: ['r1'] }, true],
  [{ rooms: ['r2'] }, false],
  [{ rooms: ['all'] }, false],
  [{ sessions: ['s_1'] }, true],
  [{ sessions: ['s_2'] }, false],
  [{ users: ['u1'], rooms: ['r2'] }, false],
  [{ users: ['u1'], rooms: ['r1'], sessions: ['s_1'] }, true],
])('%j of a session: %s', (filter, wanted) => {
  expect(new Matcher(filter).session(session)).toBe(wanted);
});

test('a session without a user is none of a named user', () => {
  const nobody = { ...session, handle: { user: undefined } };
  expect(new Matcher({ users: ['u1'] }).session(nobody)).toBe(false);
  expect(new Matcher({}).session(nobody)).toBe(true);
});

test.each([
  [{}, 'user:u1', true],
  [{ users: ['u1'] }, 'user:u1', true],
  [{ users: ['u1'] }, 'room:u1', false],
  [{ rooms: ['r'] }, 'room:r', true],
  [{ rooms: ['r'] }, 'all', false],
  [{ rooms: ['r'], users: ['u1'] }, 'room:r', false],
  [{ sessions: ['s_1'] }, 'user:u1', false],
])('%j of what happens to the log %s: %s', (filter, log, wanted) => {
  expect(new Matcher(filter).log(log)).toBe(wanted);
});

test('kinds have a bit each', () => {
  expect(new Set(Object.values(Kind)).size).toBe(NODE_EVENTS.length);
  const some = new Matcher({ events: ['open', 'gap'] });
  expect(NODE_EVENTS.filter((name) => some.wants(Kind[name]))).toEqual(['open', 'gap']);
  expect(NODE_EVENTS.filter((name) => new Matcher({}).wants(Kind[name]))).toEqual(NODE_EVENTS);
});

test('a sample takes its share of the sessions, the same ones each time, and more with a larger share', () => {
  const ids = Array.from({ length: 20_000 }, (_, at) => `s_${at.toString(36)}x`);
  for (const sample of [0.01, 0.1, 0.5]) {
    const taken = ids.filter((id) => new Matcher({ sample }).identity(id, undefined));
    expect(taken.length / ids.length).toBeGreaterThan(sample * 0.85);
    expect(taken.length / ids.length).toBeLessThan(sample * 1.15);
  }
  fc.assert(
    fc.property(fc.string(), fc.double({ min: 0.001, max: 1, noNaN: true }), (id, sample) => {
      const share = shareOf(id);
      expect(share).toBe(shareOf(id));
      expect(share >= 0 && share < 1).toBe(true);
      expect(new Matcher({ sample }).identity(id, undefined)).toBe(sample >= 1 || share < sample);
    }),
  );
});

test('the name of a node names its workers', () => {
  expect(namesNode(undefined, 'a')).toBe(true);
  expect(['a', 'a/1', 'ab', 'b'].filter((node) => namesNode(['a'], node))).toEqual(['a', 'a/1']);
  expect(namesNode(['a/2'], 'a/1')).toBe(false);
});
