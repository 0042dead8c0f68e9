// The memory engine keeps every promise of the Buckets contract, and its own bound.

import { describe, expect, test } from 'vitest';
import { createMemoryBuckets } from '../../../src/server/store/memory.js';
import { bucketsConformance } from '../../conformance/buckets.js';
import { OPTIONS, Stage } from '../../conformance/buckets-stage.js';
import { TestClock } from './test-clock.js';

const engine = {
  create: async (...[options, clock]: Parameters<typeof createMemoryBuckets>) => createMemoryBuckets(options, clock),
  clock: () => new TestClock(),
};

describe('memory', () => {
  bucketsConformance(engine);

  test('beyond its bytes it refuses, and accepts again when something is gone', async () => {
    const clock = new TestClock();
    const small = { ...engine, create: async () => createMemoryBuckets(OPTIONS, clock, { maxBytes: 1_000 }) };
    const stage = await Stage.open({ ...small, clock: () => clock });
    await stage.push(1, { payload: Buffer.alloc(900) });
    expect(stage.buckets.health()).toMatchObject({ writable: false, code: 'store_full' });
    await expect(stage.push(1)).rejects.toMatchObject({ code: 'store_full', http: 507 });
    expect(await stage.shown()).toBe('1');
    expect(stage.count('refused_full')).toBe(1);
    const session = await stage.open('s');
    await stage.acknowledge(session, stage.id(1));
    expect(stage.buckets.health()).toMatchObject({ writable: true });
    expect((await stage.applyOne(stage.record(2))).kind).toBe('appended');
  });
});
