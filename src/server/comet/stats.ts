// What a comet says of itself when it is asked: its figures, its first topics in an order, its slowest sessions. It looks at each
// topic once, and at no session but the slow ones.

import { cpuSeconds } from '../observe/process.js';
import type { CometStats, StatsRequest, TopicOrder, TopicStats, TopicSums } from '../rpc/services.js';
import type { CometCore } from './core.js';
import { slowest } from './slow-sessions.js';
import type { Topic } from './topic.js';

/** What of a topic its place in an order is by. */
const ORDERS: Readonly<Record<TopicOrder, (topic: Topic) => number>> = {
  members: ({ members }) => members.length,
  rate: ({ gauge }) => gauge.perSecond,
  sweep: (topic) => topic.sweepMs,
  lag: ({ lagging }) => lagging,
};

export function cometStats(
  core: CometCore,
  state: Pick<CometStats, 'draining'> & { readonly capacity: CometStats['capacity'] },
  request?: StatsRequest,
): CometStats {
  const counters = core.counters.snapshot();
  for (const [name, value] of Object.entries(core.fanOut)) {
    if (typeof value !== 'number') continue;
    counters[`topics_${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`] = value;
  }
  counters.pins_evicted = core.pins.evicted;
  counters.recovered_evicted = core.recovered.evicted;
  const figures = core.load.process.figures();
  const topics = [...core.topics];
  return {
    node: core.node,
    draining: state.draining,
    connections: core.connections.size,
    sessions: core.sessions.size,
    byDialect: { ...core.byDialect },
    topics: first(topics, request).map((topic) => topic.stats()),
    counters,
    reasons: { ...core.counters.reasons },
    rssBytes: figures.memory.rssBytes,
    cpuSeconds: cpuSeconds(),
    ...(core.traces.store.sink === undefined ? {} : { spans: core.traces.store.sink.counters }),
    loopP99Ms: core.load.lateness.p99(),
    at: core.clock.now(),
    topicCount: topics.length,
    ...busiest(topics),
    ...(request?.sums === true ? { sums: sumsOf(topics) } : {}),
    lagging: core.load.held.lagging(),
    ...(request === undefined || request.sessions === 0
      ? {}
      : { slowest: slowest(core, request.sessions, request.search) }),
    process: figures,
    ...(state.capacity === undefined ? {} : { capacity: state.capacity }),
    took: core.load.latency.figures(),
  };
}

function first(topics: readonly Topic[], request: StatsRequest | undefined): readonly Topic[] {
  if (request === undefined) return topics;
  const { room, search, topicOrder } = request;
  if (request.topics === 0) return [];
  const asked =
    room === undefined && search === undefined
      ? topics
      : topics.filter(({ log }) => (room === undefined || log === `room:${room}`) && log.includes(search ?? ''));
  const by = ORDERS[topicOrder];
  return asked.toSorted((a, b) => by(b) - by(a)).slice(0, request.topics);
}

function sumsOf(topics: readonly Topic[]): TopicSums {
  let [members, lagging, ringBytes, slowestSweepMs] = [0, 0, 0, 0];
  for (const topic of topics) {
    const stats = topic.stats();
    members += stats.members;
    lagging += stats.lagging;
    ringBytes += stats.ringBytes;
    slowestSweepMs = Math.max(slowestSweepMs, stats.sweepMs);
  }
  return { members, lagging, ringBytes, slowestSweepMs };
}

/** Whose sweeps are the longest for what they may take. */
function busiest(topics: readonly Topic[]): { readonly busiest?: TopicStats } {
  let most: Topic | undefined;
  for (const topic of topics) if (topic.members.length > 0 && topic.sweepMs > (most?.sweepMs ?? 0)) most = topic;
  return most === undefined ? {} : { busiest: most.stats() };
}
