// The timing wheel against a plain map of deadlines: nothing early, nothing more than a tick late, nothing twice.
import { describe, expect, test } from 'vitest';
import { Wheel } from '../../../src/server/comet/wheel.js';
import { fc } from '../../harness/property.js';

const TICK = 10;
const SLOTS = 8;

type Step =
  | { readonly kind: 'add'; readonly inMs: number }
  | { readonly kind: 'move'; readonly pick: number; readonly inMs: number }
  | { readonly kind: 'remove'; readonly pick: number }
  | { readonly kind: 'advance'; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), inMs: fc.integer({ min: -20, max: 400 }) }),
  fc.record({ kind: fc.constant('move' as const), pick: fc.nat(), inMs: fc.integer({ min: -20, max: 400 }) }),
  fc.record({ kind: fc.constant('remove' as const), pick: fc.nat() }),
  fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 300 }) }),
);

describe('the timing wheel', () => {
  test('every item is handed out once, at its deadline or up to one tick later, unless it was removed', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: 'max' }), fc.nat(1_000), (steps, start) => {
        let now = start;
        let names = 0;
        const wheel = new Wheel<number>(now, TICK, SLOTS);
        const live = new Map<number, { row: number; deadline: number; from: number }>();
        const chosen = (pick: number) => [...live.keys()][pick % live.size];
        for (const each of steps) {
          if (each.kind === 'add') {
            const name = names++;
            live.set(name, { row: wheel.add(name, now + each.inMs), deadline: now + each.inMs, from: now });
          } else if (each.kind === 'advance') {
            now += each.ms;
            wheel.advance(now, (name) => {
              const entry = live.get(name);
              expect(entry, 'handed out twice or after its removal').toBeDefined();
              expect(entry?.deadline).toBeLessThanOrEqual(now);
              live.delete(name);
            });
            for (const { deadline, from } of live.values()) {
              expect(Math.max(deadline, from) + TICK, 'still there a tick after its deadline').toBeGreaterThan(now);
            }
          } else if (live.size > 0) {
            const name = chosen(each.pick) as number;
            const entry = live.get(name) as { row: number; deadline: number; from: number };
            if (each.kind === 'remove') {
              wheel.remove(entry.row);
              live.delete(name);
            } else {
              wheel.move(entry.row, now + each.inMs);
              entry.deadline = now + each.inMs;
              entry.from = now;
            }
          }
          expect(wheel.size).toBe(live.size);
        }
      }),
    );
  });

  test('what is handed out may add, and remove others that are due in the same tick', () => {
    const wheel = new Wheel<string>(0, TICK, SLOTS);
    const seen: string[] = [];
    const rows = new Map<string, number>();
    for (const name of ['a', 'b', 'c']) rows.set(name, wheel.add(name, 5));
    wheel.advance(10, (name) => {
      seen.push(name);
      for (const [other, row] of rows) if (other !== name && !seen.includes(other)) wheel.remove(row);
      rows.clear();
      if (seen.length === 1) wheel.add('again', 15);
    });
    expect(seen).toHaveLength(1);
    wheel.advance(20, (name) => seen.push(name));
    expect(seen[1]).toBe('again');
    expect(wheel.size).toBe(0);
  });
});
