// A comet keeps its lease whatever else it has to do meanwhile.
import { expect, test } from 'vitest';
import type { NodeId } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import { LeaseKeeper } from '../../../src/server/comet/lease.js';
import { createMemoryRegistry } from '../../../src/server/router/memory.js';
import type { Renewal } from '../../../src/server/router/registry.js';
import type { LeaseService } from '../../../src/server/rpc/calls.js';
import { until } from '../../harness/api.js';
import { HandClock } from './stage.js';

const LEASE_MS = 400;
const NODE = 'n-1' as NodeId;

test('a resync that takes longer than the lease holds does not lose it; a mark made meanwhile is a resync of its own', async () => {
  const registry = createMemoryRegistry({ clock: systemClock, leaseMs: LEASE_MS });
  let rejoined = 0;
  let held = 0;
  const resyncs: PromiseWithResolvers<void>[] = [];
  const keeper = new LeaseKeeper(
    registry,
    systemClock,
    { node: NODE, version: '0', address: '', roles: ['comet'] },
    20,
    {
      held: () => void held++,
      rejoined: async () => void rejoined++,
      taken: () => expect.fail('taken'),
      resync: () => {
        const one = Promise.withResolvers<void>();
        resyncs.push(one);
        return one.promise;
      },
      failed: (error) => expect.fail(String(error)),
    },
  );
  const { incarnation } = await keeper.join();
  keeper.start();
  await registry.markResync(NODE, incarnation);
  await until('a resync', () => resyncs.length === 1);
  const before = held;
  const since = performance.now();
  await until('renewals for longer than a lease', () => performance.now() - since > 2 * LEASE_MS && held > before + 2);
  expect([rejoined, resyncs.length]).toEqual([0, 1]);
  // The first one's end does not answer for what was dropped after it had begun.
  await registry.markResync(NODE, incarnation);
  resyncs[0]?.resolve();
  await until('another resync', () => resyncs.length === 2);
  resyncs[1]?.resolve();
  await until('the mark is gone', async () => {
    const renewal = await registry.renew({ node: NODE, incarnation, holdsMs: LEASE_MS });
    return renewal.kind === 'renewed' && renewal.resync === undefined;
  });
  expect(rejoined).toBe(0);
  await keeper.leave();
});

test('who leaves while a renewal waits for somebody who is gone does not wait for it, and is not back when it ends', async () => {
  const clock = new HandClock();
  const registry = createMemoryRegistry({ clock, leaseMs: LEASE_MS });
  const renewal = Promise.withResolvers<Renewal>();
  const slow: LeaseService = {
    join: (node) => registry.join(node),
    renew: () => renewal.promise,
    leave: (lease) => registry.leave(lease),
    resynced: (lease, resync) => registry.resynced(lease, resync),
    nodes: () => registry.nodes(),
  };
  const keeper = new LeaseKeeper(slow, clock, { node: NODE, version: '0', address: '', roles: ['comet'] }, 20, {
    held: () => undefined,
    rejoined: async () => expect.fail('rejoined'),
    taken: () => expect.fail('taken'),
    resync: async () => undefined,
    failed: (error) => expect.fail(String(error)),
  });
  await keeper.join();
  keeper.start();
  await clock.pass(20);
  let left = false;
  void keeper.leave().then(() => {
    left = true;
  });
  await clock.pass(5_000);
  expect(left).toBe(true);
  renewal.resolve({ kind: 'expired' });
  await clock.rest();
  expect((await registry.nodes()).filter(({ state }) => state !== 'gone')).toEqual([]);
});
