// Pages of what comes and goes: none that stays is left out, and a page looks at no more than it holds.

import { expect, test } from 'vitest';
import { type Placed, pageBefore, Roster } from '../../../src/server/comet/roster.js';
import { fc } from '../../harness/property.js';

interface One extends Placed {
  readonly n: number;
}

test('whatever comes and goes between two pages, all that stay are in them', () => {
  const step = fc.record({ gone: fc.array(fc.nat(1_000), { maxLength: 20 }), come: fc.nat(20), limit: fc.nat(9) });
  fc.assert(
    fc.property(fc.nat(60), fc.array(step, { minLength: 1, maxLength: 30 }), (count, steps) => {
      const roster = new Roster<One>();
      let n = 0;
      const add = () => roster.add({ n: n++, place: -1 });
      for (let at = 0; at < count; at++) add();
      const stays = new Set(roster.all);
      const seen = new Set<One>();
      let before: number | undefined;
      for (let at = 0; before !== 0 && at < 200; at++) {
        const { gone, come, limit } = steps[at % steps.length] as (typeof steps)[number];
        const page = pageBefore(roster.all, before, limit + 1, (one, place) => ({ one, place }));
        for (const { one } of page) seen.add(one);
        before = page.length < limit + 1 ? 0 : page.at(-1)?.place;
        for (const which of gone) {
          const one = roster.all[which % Math.max(1, roster.all.length)];
          if (one === undefined) continue;
          roster.remove(one);
          stays.delete(one);
        }
        for (let added = 0; added < come; added++) add();
      }
      expect(before).toBe(0);
      expect([...stays].filter((one) => !seen.has(one))).toEqual([]);
      expect(roster.all.every((one, place) => one.place === place)).toBe(true);
    }),
  );
});

test('a page looks at what it holds, and at what stands in its way, however many there are', () => {
  const all = Array.from({ length: 100_000 }, (_, at) => at);
  let looked = 0;
  const even = (one: number) => {
    looked++;
    return one % 2 === 0 ? one : undefined;
  };
  expect(pageBefore(all, 50_000, 3, even)).toEqual([49_998, 49_996, 49_994]);
  expect(looked).toBe(6);
});
