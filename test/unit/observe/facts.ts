// A whole server, well: what tests of alerts and of views make worse, one figure at a time.
import type { LogName, NodeId } from '../../../src/protocol/ids.js';
import type { Facts, NodeFacts } from '../../../src/server/observe/facts.js';
import type { CometStats, NodeReport, TopicStats } from '../../../src/server/rpc/services.js';

const GIB = 2 ** 30;

const process = {
  descriptors: { used: 1_000, limit: 65_536 },
  memory: { rssBytes: GIB / 2, limitBytes: 8 * GIB, availableBytes: 6 * GIB, constrained: false },
};

export function topic(more: Partial<TopicStats> = {}): TopicStats {
  return {
    log: 'room:live' as LogName,
    members: 900,
    lagging: 0,
    windowMs: 100,
    sweepMs: 40,
    ringBytes: 100_000,
    messages: 40,
    deliveries: 36_000,
    gaps: 0,
    perSecond: 40,
    ringMs: 25_000,
    ...more,
  };
}

export function comet(node: string, more: Partial<CometStats> = {}): CometStats {
  return {
    node: node as NodeId,
    draining: false,
    connections: 900,
    sessions: 900,
    byDialect: { 'native-tcp': 600, 'imgo-ws': 300 },
    topics: [topic()],
    counters: { deliveries: 10, topics_deliveries: 36_000, flushes: 9_000, bytes_out: 1e6, bytes_in: 1e4 },
    reasons: {},
    rssBytes: GIB / 2,
    cpuSeconds: 10,
    loopP99Ms: 4,
    at: 1_000_000,
    topicCount: 2,
    busiest: topic(),
    lagging: 0,
    process,
    capacity: { most: 65_000, by: 'fd_limit' },
    ...more,
  };
}

export function report(node: string, more: Partial<NodeReport> = {}): NodeReport {
  return {
    node: node as NodeId,
    problems: [],
    rssBytes: GIB / 2,
    cpuSeconds: 10,
    at: 1_000_000,
    process,
    loopP99Ms: 3,
    push: { accepted: { room: 40 }, refused: {} },
    ...more,
  };
}

export function node(name: string, more: Partial<NodeFacts> = {}): NodeFacts {
  return {
    node: name as NodeId,
    incarnation: 1,
    roles: ['comet', 'logic', 'job'],
    address: `10.0.0.1:7173`,
    version: '1.0.0',
    since: 1,
    state: 'ok',
    silentMs: 0,
    skewMs: 0,
    report: report(name),
    comet: comet(name),
    ...more,
  };
}

export function facts(more: Partial<Facts> = {}): Facts {
  return {
    now: 0,
    at: 1_000_000,
    version: '1.0.0',
    nodes: [node('a')],
    queue: { waiting: 0, waitingBytes: 0, oldestMs: 0, accepted: 40, refused: {}, dropped: {} },
    store: { writable: true, usedBytes: 1e6, freeBytes: 50 * GIB, onDisk: true, counters: {} },
    ...more,
  };
}
