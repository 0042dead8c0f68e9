// What batches have for comets: shared calls, in order, and what becomes of batches when one fails.
import { expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import { type NodeId, type UserId, userLog } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import { createJobCounters } from '../../../src/server/job/counters.js';
import { Notifier } from '../../../src/server/job/notify.js';
import type { NodeRecord, Registry } from '../../../src/server/router/registry.js';
import type { CometService, Notification } from '../../../src/server/rpc/services.js';

const comet = (name: string): NodeRecord => {
  return { node: name as NodeId, incarnation: 1, roles: ['comet'], address: '', version: '1', since: 1, state: 'ok' };
};

function bench(answer: (node: NodeId) => Promise<void> = async () => undefined) {
  const calls: { readonly node: NodeId; readonly told: readonly number[] }[] = [];
  const marked: NodeId[] = [];
  const counters = createJobCounters();
  const registry: Pick<Registry, 'markResync'> = {
    markResync: async (node) => {
      marked.push(node);
    },
  };
  const notifier = new Notifier({
    registry: registry as Registry,
    cometFor: ({ node }) => {
      const notify = (notifications: readonly Notification[]) => {
        calls.push({ node, told: notifications.map(({ id }) => id.n) });
        return answer(node);
      };
      return { notify } as Pick<CometService, 'notify'> as CometService;
    },
    clock: systemClock,
    counters,
    ackMs: 10_000,
    maxUnackedBytes: 16 << 20,
  });
  return { notifier, calls, marked, counters };
}

function note(n: number, bytes = 10): Notification {
  const ids = { id: { epoch: 1, n }, prev: { epoch: 1, n: n - 1 } };
  return {
    log: userLog('1' as UserId),
    ...ids,
    payload: new Uint8Array(bytes),
    operation: undefined,
    acceptedAt: 1,
    ephemeral: false,
  };
}

const frame = (name: string, ...notifications: Notification[]) => ({ comet: comet(name), notifications });

test('what batches have for a comet in one turn goes in one call, in their order', async () => {
  const { notifier, calls, counters } = bench();
  await Promise.all([
    notifier.tell([frame('a', note(1), note(2)), frame('b', note(1))]),
    notifier.tell([frame('a', note(3))]),
  ]);
  await notifier.tell([frame('a', note(4))]);
  expect(calls).toEqual([
    { node: 'a', told: [1, 2, 3] },
    { node: 'b', told: [1] },
    { node: 'a', told: [4] },
  ]);
  expect(counters).toMatchObject({ frames: 4, notifications: 5, acknowledged: 4 });
});

test('a call grows to a megabyte, and no further; the order stays', async () => {
  const { notifier, calls } = bench();
  await Promise.all([1, 2, 3, 4].map((n) => notifier.tell([frame('a', note(n, 400_000))])));
  expect(calls.map(({ told }) => told)).toEqual([
    [1, 2],
    [3, 4],
  ]);
});

test('every batch of a call that fails has its comet marked', async () => {
  const { notifier, marked, counters } = bench(async (node) => {
    if (node === 'a') throw new ImgoError('node_unreachable', { node });
  });
  await Promise.all([notifier.tell([frame('a', note(1)), frame('b', note(1))]), notifier.tell([frame('a', note(2))])]);
  expect(marked).toEqual(['a', 'a']);
  expect(counters).toMatchObject({ resyncUnacknowledged: 2, acknowledged: 1 });
});
