// What a logic knows of all nodes while several look at them at once, each with a request of its own; and that none asks for more
// than it shows.

import { expect, test } from 'vitest';
import type { NodeId, RoomId } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import { ClusterWatch } from '../../../src/server/logic/cluster-watch.js';
import { logicDefaults } from '../../../src/server/logic/options.js';
import { createEmbeddedQueue } from '../../../src/server/queue/embedded.js';
import { createMemoryRegistry } from '../../../src/server/router/memory.js';
import type { CometStats, StatsRequest } from '../../../src/server/rpc/services.js';
import { createMemoryBuckets } from '../../../src/server/store/memory.js';
import { until } from '../../harness/api.js';
import { bucketsOptions, call, RecordingComet, setUp } from './setup.js';

/** Answers when it is let, with one topic: the room that was asked for. */
class LeisurelyComet extends RecordingComet {
  readonly waiting: (() => void)[] = [];

  override async stats(request?: StatsRequest): Promise<CometStats> {
    await new Promise<void>((resolve) => this.waiting.push(resolve));
    const { topics, ...rest } = await super.stats();
    return { ...rest, topics: topics.filter(({ log }) => log === `room:${request?.room}`) };
  }
}

const asking = (room: string): StatsRequest => ({ topics: 5, topicOrder: 'members', sessions: 0, room });

async function stage() {
  const clock = systemClock;
  const comet = new LeisurelyComet('c' as NodeId);
  for (const room of ['a', 'b']) comet.rooms.set(room as RoomId, 1);
  const registry = createMemoryRegistry({ clock, leaseMs: 60_000 });
  const roles = ['comet', 'logic', 'job'] as const;
  await registry.join({ node: comet.node, roles, address: '', version: 'test', since: 0 });
  const buckets = createMemoryBuckets(bucketsOptions, clock);
  const watch = new ClusterWatch({
    registry,
    clock,
    buckets,
    options: { ...logicDefaults, confirmMs: 5_000 },
    cometFor: () => comet,
    queue: createEmbeddedQueue({ epoch: buckets.epoch, clock, maxWaitingBytes: 1_024 }),
    version: 'test',
    reports: async (nodes) => nodes.map(() => undefined),
  });
  return { comet, watch };
}

test('each is shown what it was answered, and a node that others still wait for is not silent', async () => {
  const { comet, watch } = await stage();
  const first = watch.look(asking('a'));
  const second = watch.look(asking('b'));
  const third = watch.look(asking('a'));
  await until('all three ask', () => comet.waiting.length === 3);
  comet.waiting[1]?.();
  comet.waiting[0]?.();
  const looks = await Promise.all([first, second]);
  comet.waiting[2]?.();
  await third;
  const shown = looks.map(({ nodes }) => nodes.map(({ comet, silentMs }) => [comet?.topics[0]?.log, silentMs]));
  expect(shown).toEqual([[['room:a', 0]], [['room:b', 0]]]);
  expect(watch.alerts.map(({ code }) => code)).not.toContain('node_unreachable');
});

test.each([
  ['GET', '/metrics', undefined],
  ['POST', '/v1/push/dry-run', '{"to":{"all":true},"message":1}'],
  ['POST', '/v1/nodes/c%2F1/drain', '{}'],
  ['GET', '/goim/online/total', undefined],
  ['GET', '/1/count?type=server', undefined],
])('%s %s shows no topic, and has no comet list its own', async (method, path, body) => {
  await using server = await setUp();
  const headers = { 'content-type': 'application/json' };
  const { status } = await call(server.http.addresses().http, method, path, body, body === undefined ? {} : headers);
  expect(status).toBe(200);
  expect(server.comet.statsAsked.length).toBeGreaterThan(0);
  expect(server.comet.statsAsked.map((request) => request?.topics)).toEqual(server.comet.statsAsked.map(() => 0));
});
