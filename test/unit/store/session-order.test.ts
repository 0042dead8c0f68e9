// The order of session ids beside a model that sorts them all: the same ids from any place, whatever was added and removed.

import { expect, test } from 'vitest';
import type { SessionId } from '../../../src/protocol/ids.js';
import { SessionOrder } from '../../../src/server/store/session-order.js';
import { fc } from '../../harness/property.js';

test('what is there is told in order from any place, also when blocks are cut and emptied', () => {
  // Few names, so that many are removed again; more of them than two blocks hold.
  const id = fc.integer({ min: 0, max: 3_000 }).map((n) => `s_${String(n).padStart(4, '0')}` as SessionId);
  const step = fc.record({ from: id, length: fc.integer({ min: 1, max: 700 }), add: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), fc.array(id, { maxLength: 5 }), (steps, places) => {
      const order = new SessionOrder();
      const model = new Set<SessionId>();
      for (const { from, length, add } of steps) {
        for (let n = Number(from.slice(2)); n < Number(from.slice(2)) + length; n++) {
          // Not in their order, and not all of them.
          const one = `s_${String((n * 1_201) % 3_001).padStart(4, '0')}` as SessionId;
          if (!add) order.delete(one);
          else if (!model.has(one)) order.add(one);
          if (add) model.add(one);
          else model.delete(one);
        }
      }
      for (const place of ['', ...places, 's_9']) {
        expect([...order.from(place)]).toEqual([...model].filter((one) => one >= place).sort());
      }
    }),
    { numRuns: 60 },
  );
});
