/**
 * The figures that alerts are judged by: each function finds every subject that an alert could be about, with its figure. A
 * subject without a figure has no alert. Nodes that are gone, or are being emptied because somebody wants it, are not wrong.
 */
import type { Role } from '../router/registry.js';
import type { CometStats, TopicStats } from '../rpc/services.js';
import { type Facts, type Increase, liveNodes, type Measure, type NodeFacts, type Severity } from './facts.js';
import { count, percent, size, time } from './say.js';

type Measured = Iterable<Measure>;

function* comets(facts: Facts): Generator<{ readonly node: string; readonly comet: CometStats }> {
  for (const { node, comet } of liveNodes(facts)) if (comet !== undefined) yield { node, comet };
}

export function* descriptors(facts: Facts): Measured {
  for (const { node, comet, report } of liveNodes(facts)) {
    const { used, limit } = comet?.process?.descriptors ?? report?.process?.descriptors ?? { used: 0, limit: 0 };
    if (used === 0 || limit === 0) continue;
    const { most = 0, by } = comet?.capacity ?? {};
    const clients = by === 'fd_limit' ? (comet?.connections ?? 0) / Math.max(1, most) : 0;
    const share = Math.max(used / limit, clients);
    const full = clients >= 1;
    const message = `${count(used)} of ${count(limit)} descriptors${full ? ': connections are refused' : ''}`;
    yield { subject: node, value: share, message };
  }
}

export function* connections(facts: Facts): Measured {
  for (const { node, comet } of comets(facts)) {
    const { connections, capacity } = comet;
    if (capacity?.by !== 'max_conns') continue;
    const value = connections / Math.max(1, capacity.most);
    yield { subject: node, value, message: `${count(connections)} of ${count(capacity.most)} connections` };
  }
}

export function missingRole(role: Role): (facts: Facts) => Measured {
  return function* missing(facts) {
    const live = liveNodes(facts);
    if (live.some(({ roles }) => roles.includes(role))) return;
    // Workers are all that a server with workers lists: the rest of it is what judges here.
    if (live.length > 0 && live.every(({ address }) => address === '')) return;
    yield { subject: '', value: 1, message: `no ${role} runs` };
  };
}

/** A busy machine is late with an answer now and then. */
const SILENT_MS = 2_000;

export function* unreachable(facts: Facts): Measured {
  for (const { node, silentMs } of liveNodes(facts)) {
    if (silentMs >= SILENT_MS) yield { subject: node, value: 1, message: `no answer for ${time(silentMs)}` };
  }
}

export function* notReady(facts: Facts): Measured {
  for (const { node, report } of liveNodes(facts)) {
    const problems = (report?.problems ?? []).filter((problem) => problem !== 'draining');
    if (problems.length > 0) yield { subject: node, value: 1, message: problems.join(', ') };
  }
}

export function* replays(facts: Facts, increase: Increase): Measured {
  for (const { node, report } of liveNodes(facts)) {
    const behind = increase(node, 'behind', report?.job?.['behind'] ?? 0);
    if (behind > 0) yield { subject: node, value: 1, message: 'the store had lost writes; they are applied again' };
  }
}

export function* queueLag({ queue }: Facts): Measured {
  const { waiting, oldestMs, lag } = queue;
  const records = Math.max(waiting, lag ?? 0);
  if (records === 0) return;
  yield { subject: '', value: oldestMs, message: `${count(records)} wait, the oldest for ${time(oldestMs)}` };
}

export function* disk({ store }: Facts): Measured {
  const { freeBytes, onDisk } = store;
  if (freeBytes === undefined || onDisk !== true) return;
  yield { subject: '', value: -freeBytes, message: `${size(freeBytes)} of disk free` };
}

export function* memory(facts: Facts): Measured {
  const groups = new Map<string, { used: number; limit: number }>();
  for (const node of liveNodes(facts)) {
    const figures = node.comet?.process?.memory ?? node.report?.process?.memory;
    if (figures === undefined || figures.limitBytes === 0) continue;
    const { rssBytes, limitBytes, availableBytes, constrained } = figures;
    const name = parentOf(node);
    const used = constrained ? (groups.get(name)?.used ?? 0) + rssBytes : limitBytes - availableBytes;
    groups.set(name, { used, limit: limitBytes });
  }
  const { usedBytes, freeBytes, onDisk } = facts.store;
  if (freeBytes !== undefined && onDisk !== true) {
    groups.set('store', { used: usedBytes, limit: Math.max(1, usedBytes + freeBytes) });
  }
  for (const [subject, { used, limit }] of groups) {
    const value = used / limit;
    const severity: Severity = value >= 0.95 ? 'error' : 'warning';
    yield { subject, value, message: `${size(used)} of ${size(limit)}`, severity };
  }
}

/** Whose worker it is; itself where it is none. */
function parentOf({ node, address }: NodeFacts): string {
  return address === '' ? node.replace(/\/\d+$/, '') : node;
}

export function* loopLag(facts: Facts): Measured {
  for (const { node, comet, report } of liveNodes(facts)) {
    const value = comet?.loopP99Ms ?? report?.loopP99Ms;
    if (value === undefined) continue;
    const { busiest } = comet ?? {};
    const by = busiest === undefined ? '' : `; busiest: sweep of ${busiest.log}`;
    yield { subject: node, value, message: `event loop p99 ${time(value)}${by}` };
  }
}

export function* windows(facts: Facts): Measured {
  const worst = new Map<string, { readonly share: number; readonly topic: TopicStats; readonly node: string }>();
  for (const { node, comet } of comets(facts)) {
    const topics = comet.busiest === undefined ? comet.topics : [comet.busiest];
    for (const topic of topics) {
      // At once is no window: what counts then is the ring.
      const share = topic.windowMs > 0 ? topic.sweepMs / topic.windowMs : 0;
      const value = Math.max(share, ringShare(topic) >= 0.25 ? 2 : 0);
      if (value >= (worst.get(topic.log)?.share ?? 1)) worst.set(topic.log, { share: value, topic, node });
    }
  }
  for (const [log, { share, topic, node }] of worst) {
    const ring = topic.ringMs === undefined ? '' : `; ring ${time(topic.ringMs)}: ${percent(ringShare(topic))}`;
    const message = `sweeps in ${time(topic.sweepMs)} on ${node}, window ${time(topic.windowMs)}${ring}`;
    const used = ringShare(topic);
    const severity: Severity = used >= 0.6 ? 'error' : used >= 0.25 ? 'warning' : 'note';
    yield { subject: log, value: share, message, severity };
  }
}

/** How much of what a ring holds passes while it is swept once: at 1 members lose their place. */
function ringShare({ sweepMs, ringMs }: TopicStats): number {
  return ringMs === undefined || ringMs <= 0 ? 0 : sweepMs / ringMs;
}

export function* lagging(facts: Facts): Measured {
  for (const { node, comet } of comets(facts)) {
    const { lagging = 0, sessions } = comet;
    if (lagging < 2 || sessions === 0) continue;
    const message = `${count(lagging)} of ${count(sessions)} sessions take nothing`;
    yield { subject: node, value: lagging / sessions, message };
  }
}

export function* gaps(facts: Facts, increase: Increase): Measured {
  for (const { node, comet } of comets(facts)) {
    const { gaps = 0, topics_gaps_log = 0 } = comet.counters;
    const counted = increase(node, 'gaps', gaps + topics_gaps_log);
    if (counted > 0) yield { subject: node, value: 1, message: `${count(counted)} gaps in the last minute` };
  }
}

export function* drops(facts: Facts, increase: Increase): Measured {
  for (const { node, comet } of comets(facts)) {
    const grown: string[] = [];
    for (const [reason, times] of Object.entries(comet.reasons)) {
      if (!isDrop(reason)) continue;
      const by = increase(node, reason, times);
      if (by > 0) grown.push(`${reason} ${count(by)}`);
    }
    const ephemeral = increase(node, 'ephemeral_dropped', comet.counters['topics_ephemeral_dropped'] ?? 0);
    if (ephemeral > 0) grown.push(`ephemeral_dropped ${count(ephemeral)}`);
    if (grown.length > 0) yield { subject: node, value: 1, message: `${grown.join(', ')} in the last minute` };
  }
  const queue: string[] = [];
  for (const [reason, times] of Object.entries(facts.queue.dropped)) {
    const by = increase('', reason, times);
    if (by > 0) queue.push(`${reason} ${count(by)}`);
  }
  if (queue.length > 0) yield { subject: 'queue', value: 1, message: `${queue.join(', ')} in the last minute` };
}

/** Of the reasons that a comet counts: something did not reach a client, or a client did not get in. Who connects and says nothing is no drop. */
export function isDrop(reason: string): boolean {
  return /^(dropped_|refused_|failed_|closed_lag_exceeded$)/.test(reason);
}

export function* certificates(facts: Facts): Measured {
  for (const { node, report } of liveNodes(facts)) {
    if (report?.certificateEndsAt === undefined) continue;
    const leftMs = report.certificateEndsAt - facts.at;
    const message = leftMs > 0 ? `ends in ${time(leftMs)}` : 'has ended';
    yield { subject: node, value: -leftMs, message: `cluster.tls.cert ${message}` };
  }
}

export function* clockSkew(facts: Facts): Measured {
  for (const { node, skewMs } of liveNodes(facts)) {
    if (skewMs === undefined) continue;
    const message = `its clock is ${time(Math.abs(skewMs))} ${skewMs > 0 ? 'ahead' : 'behind'}`;
    yield { subject: node, value: Math.abs(skewMs), message };
  }
}

export function* versionSkew(facts: Facts): Measured {
  for (const { node, version } of liveNodes(facts)) {
    if (version === facts.version) continue;
    yield { subject: node, value: 1, message: `runs ${version}, this one ${facts.version}` };
  }
}

export function* draining(facts: Facts): Measured {
  for (const { node, state, comet } of liveNodes(facts)) {
    if (state !== 'draining' && comet?.draining !== true) continue;
    const left = comet?.connections ?? 0;
    yield { subject: node, value: 1, message: left > 0 ? `${count(left)} clients left` : 'empty, and takes nobody' };
  }
}
