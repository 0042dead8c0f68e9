// Random histories of a small world (world.ts), as fast-check draws them; shared by the tests of engines.

import type { BucketsOptions } from '../../../src/server/store/buckets.js';
import { fc } from '../../harness/property.js';
import type { Step } from './world.js';

/** Bounds so small that everything happens within a few steps. */
export const OPTIONS: BucketsOptions = {
  keep: { messages: 8, bytes: 400, ageMs: 10_000 },
  rooms: { messages: 8, bytes: 400, ageMs: 10_000 },
  devicesPerUser: 2,
  newDevice: 'kept',
  idempotency: { forMs: 4_000, bytes: 3_000 },
  forgetLogAfterMs: 1_000_000,
};

const user = fc.integer({ min: 0, max: 1 });
const session = fc.nat({ max: 7 });
export const push = fc.record({
  do: fc.constant('push' as const),
  user,
  size: fc.integer({ min: 0, max: 120 }),
  ttl: fc.constantFrom(1_000, 5_000, 1_000_000),
  key: fc.constantFrom(0, 0, 0, 1, 2),
});
const open = fc.record({ do: fc.constant('open' as const), user, device: fc.nat({ max: 2 }), given: fc.boolean() });
const read = fc.record({ do: fc.constant('read' as const), session, limit: fc.integer({ min: 1, max: 9 }) });
const acknowledge = fc.record({ do: fc.constant('acknowledge' as const), session, confirmed: fc.boolean() });
const how = fc.constantFrom('clean' as const, 'unclean' as const, 'vanish' as const);
const close = fc.record({ do: fc.constant('close' as const), session, how });
const rest = fc.oneof(
  fc.record({ do: fc.constant('repeat' as const), back: fc.nat({ max: 20 }) }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 900, 3_000, 9_000) }),
  fc.constant({ do: 'maintain' as const }),
);
export const restart = fc.record({
  do: fc.constant('restart' as const),
  how: fc.constantFrom('orderly' as const, 'crash' as const),
});
export const weighted = [
  { arbitrary: push, weight: 8 },
  { arbitrary: open, weight: 4 },
  { arbitrary: read, weight: 6 },
  { arbitrary: acknowledge, weight: 4 },
  { arbitrary: close, weight: 3 },
  { arbitrary: rest, weight: 3 },
];
type More = { readonly arbitrary: typeof restart; readonly weight: number };
export const history = (more: readonly More[]): fc.Arbitrary<Step[]> =>
  fc.array(fc.oneof(...weighted, ...more) as fc.Arbitrary<Step>, { minLength: 1, maxLength: 80 });

/** How many are drawn: IMGO_RUNS. */
export const runs = (count: number) => ({ numRuns: Number(process.env.IMGO_RUNS ?? count) });
