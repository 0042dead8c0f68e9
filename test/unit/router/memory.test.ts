// The registry of one process: the contract, and what a restarted one does.

import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../../src/protocol/ids.js';
import { createMemoryRegistry } from '../../../src/server/router/memory.js';
import { registryConformance } from '../../conformance/registry.js';
import { seededRandom } from '../../harness/random.js';
import { Scheduler, SimProcess } from '../../simulation/scheduler.js';

function simulated() {
  const scheduler = new Scheduler(seededRandom(1));
  return { scheduler, clock: new SimProcess(scheduler, 'registry') };
}

describe('the memory registry keeps the contract', () => {
  const { scheduler, clock } = simulated();
  registryConformance({
    create: async (leaseMs) => createMemoryRegistry({ clock, leaseMs }),
    pass: (ms) => scheduler.run(scheduler.now + ms, 1_000),
  });
});

describe('the memory registry', () => {
  test('a new one knows nobody, and gives higher incarnations than the one before', async () => {
    const { scheduler, clock } = simulated();
    const options = { clock, leaseMs: 1_000 };
    const node = { node: 'a' as NodeId, roles: ['comet'] as const, address: '', version: '1', since: 1 };
    const before = await createMemoryRegistry(options).join(node);
    await scheduler.run(5, 10);
    const registry = createMemoryRegistry(options);
    expect(await registry.renew(before)).toEqual({ kind: 'expired' });
    expect((await registry.join(node)).incarnation).toBeGreaterThan(before.incarnation);
  });
});
