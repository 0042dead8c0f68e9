// Alerts: each is said for its reason and for no other, stays until its figure is clearly better, and a server that is well has none.
import { describe, expect, it } from 'vitest';
import type { NodeId } from '../../../src/protocol/ids.js';
import { Alarm } from '../../../src/server/observe/alarm.js';
import { ALERT_CODES, type AlertCode, alertRow } from '../../../src/server/observe/alerts.js';
import { alertDefaults, type Facts, type NodeFacts } from '../../../src/server/observe/facts.js';
import { comet, facts, node, report, topic } from './facts.js';

const GIB = 2 ** 30;
const SECOND = 1_000;
const DAY = 86_400_000;

const judge = (alarm: Alarm, now: number, moment: Facts) => alarm.judge({ ...moment, now, at: 1_000_000 + now });
const said = (alarm: Alarm) => alarm.alerts.map(({ code, severity, subject }) => [code, severity, subject]);
const made = () => new Alarm(() => alertDefaults);
const withNode = (more: Partial<NodeFacts>) => facts({ nodes: [node('a', more)] });
const queueOf = (oldestMs: number) => facts({ queue: { ...facts().queue, waiting: 12, oldestMs } });
const memoryOf = (availableBytes: number) => {
  const { process } = report('a');
  if (process === undefined) throw new Error('no figures');
  const figures = { ...process, memory: { ...process.memory, availableBytes } };
  return withNode({ comet: comet('a', { process: figures }), report: report('a', { process: figures }) });
};
const descriptorsOf = (used: number) => {
  const { process } = report('a');
  if (process === undefined) throw new Error('no figures');
  return withNode({ comet: comet('a', { process: { ...process, descriptors: { used, limit: 1_000 } } }) });
};

/** What makes it said, what keeps it said, what takes it back. */
const LEVELS: readonly (readonly [AlertCode, Facts, Facts, Facts])[] = [
  ['fd_limit', descriptorsOf(900), descriptorsOf(885), descriptorsOf(870)],
  [
    'max_conns',
    withNode({ comet: comet('a', { capacity: { most: 1_000, by: 'max_conns' } }) }),
    withNode({ comet: comet('a', { capacity: { most: 1_015, by: 'max_conns' } }) }),
    withNode({ comet: comet('a', { capacity: { most: 1_100, by: 'max_conns' } }) }),
  ],
  ['queue_lag', queueOf(5_001), queueOf(2_600), queueOf(2_400)],
  ['memory', memoryOf(1.1 * GIB), memoryOf(1.5 * GIB), memoryOf(1.7 * GIB)],
  [
    'disk',
    facts({ store: { ...facts().store, freeBytes: 0.9 * GIB } }),
    facts({ store: { ...facts().store, freeBytes: 1.2 * GIB } }),
    facts({ store: { ...facts().store, freeBytes: 1.3 * GIB } }),
  ],
  [
    'window',
    withNode({ comet: comet('a', { busiest: topic({ sweepMs: 201 }) }) }),
    withNode({ comet: comet('a', { busiest: topic({ sweepMs: 151 }) }) }),
    withNode({ comet: comet('a', { busiest: topic({ sweepMs: 149 }) }) }),
  ],
  [
    'lagging',
    withNode({ comet: comet('a', { lagging: 10 }) }),
    withNode({ comet: comet('a', { lagging: 6 }) }),
    withNode({ comet: comet('a', { lagging: 4 }) }),
  ],
  ['clock_skew', withNode({ skewMs: -1_100 }), withNode({ skewMs: 600 }), withNode({ skewMs: 400 })],
];

/** Something that is there, or is not. */
const PRESENT: readonly (readonly [AlertCode, Facts])[] = [
  ['no_comet', withNode({ roles: ['logic', 'job'] })],
  ['no_logic', withNode({ roles: ['comet', 'job'] })],
  ['no_job', withNode({ roles: ['comet', 'logic'] })],
  ['node_unreachable', withNode({ silentMs: 4_000 })],
  ['not_ready', withNode({ report: report('a', { problems: ['redis_unreachable'] }) })],
  ['certificate', withNode({ report: report('a', { certificateEndsAt: 1_000_000 + 13 * DAY }) })],
  ['version_skew', withNode({ version: '0.9.0' })],
  ['drain', withNode({ state: 'draining' })],
];

it('a server that is well has none', () => {
  const alarm = made();
  for (let now = 0; now < 300 * SECOND; now += 5 * SECOND) expect(judge(alarm, now, facts())).toEqual([]);
  expect([...alarm.counts()].every(({ count }) => count === 0)).toBe(true);
});

describe('a level is taken back lower than it is said', () => {
  it.each(LEVELS)('%s', (code, raises, holds, clears) => {
    const alarm = made();
    judge(alarm, 0, holds);
    expect(said(alarm), 'not there yet').toEqual([]);
    judge(alarm, 1, raises);
    expect(alarm.alerts.map((alert) => alert.code)).toEqual([code]);
    const since = alarm.alerts[0]?.since;
    judge(alarm, 2, holds);
    expect(alarm.alerts.map((alert) => [alert.code, alert.since])).toEqual([[code, since]]);
    judge(alarm, 3, clears);
    expect(said(alarm)).toEqual([]);
    judge(alarm, 4, holds);
    expect(said(alarm), 'taken back for good').toEqual([]);
  });
});

describe('what is there is said, and only that', () => {
  it.each(PRESENT)('%s', (code, there) => {
    const alarm = made();
    judge(alarm, 0, there);
    expect(alarm.alerts.map((alert) => alert.code)).toEqual([code]);
    expect(alarm.counts().filter((one) => one.code === code && one.count === 1).length).toBe(1);
    judge(alarm, 1, facts());
    expect(said(alarm)).toEqual([]);
  });
});

it('an event loop that is late is said after ten seconds, not for one pause', () => {
  const late = withNode({ comet: comet('a', { loopP99Ms: 212 }) });
  const alarm = made();
  judge(alarm, 0, late);
  judge(alarm, 9 * SECOND, late);
  judge(alarm, 9.5 * SECOND, facts());
  judge(alarm, 10 * SECOND, late);
  expect(said(alarm)).toEqual([]);
  judge(alarm, 20 * SECOND, late);
  expect(said(alarm)).toEqual([['loop_lag', 'warning', 'a']]);
  expect(alarm.alerts[0]?.message).toBe('event loop p99 212 ms; busiest: sweep of room:live');
});

describe('gaps and drops', () => {
  const gapsOf = (gaps: number) => withNode({ comet: comet('a', { counters: { gaps } }) });
  const dropsOf = (reasons: Readonly<Record<string, number>>) => withNode({ comet: comet('a', { reasons }) });

  it('are said for a minute after the last one; what was counted before is no news', () => {
    const alarm = made();
    judge(alarm, 0, gapsOf(7));
    expect(said(alarm)).toEqual([]);
    judge(alarm, 5 * SECOND, gapsOf(9));
    expect(alarm.alerts).toMatchObject([{ code: 'gaps', subject: 'a', message: '2 gaps in the last minute' }]);
    judge(alarm, 60 * SECOND, gapsOf(9));
    expect(said(alarm)).toHaveLength(1);
    judge(alarm, 66 * SECOND, gapsOf(9));
    expect(said(alarm)).toEqual([]);
  });

  it('a node that was started anew counts from 0', () => {
    const alarm = made();
    judge(alarm, 0, gapsOf(1_000));
    judge(alarm, 1, gapsOf(3));
    expect(alarm.alerts).toMatchObject([{ message: '3 gaps in the last minute' }]);
  });

  it('a reason that was never counted before is said with its name; closing by itself is none', () => {
    const alarm = made();
    judge(alarm, 0, dropsOf({}));
    judge(alarm, 1, dropsOf({ closed_kicked: 2, closed_handshake_timeout: 3 }));
    expect(said(alarm)).toEqual([]);
    judge(alarm, 2, dropsOf({ refused_fd_limit: 5 }));
    expect(alarm.alerts).toMatchObject([{ code: 'drops', message: 'refused_fd_limit 5 in the last minute' }]);
  });

  it('a job that applies again what the store had lost', () => {
    const behind = (times: number) => withNode({ report: report('a', { job: { behind: times } }) });
    const alarm = made();
    judge(alarm, 0, behind(0));
    judge(alarm, 1, behind(1));
    expect(said(alarm)).toEqual([['redis_failover', 'warning', 'a']]);
  });
});

describe('a window', () => {
  it.each([
    ['note', 390, 25_000],
    ['warning', 7_000, 25_000],
    ['error', 16_000, 25_000],
  ] as const)('is a %s by what its ring holds', (severity, sweepMs, ringMs) => {
    const alarm = made();
    judge(alarm, 0, withNode({ comet: comet('a', { busiest: topic({ sweepMs, ringMs }) }) }));
    expect(said(alarm)).toEqual([['window', severity, 'room:live']]);
    expect(alarm.alerts[0]?.message).toMatch(/^sweeps in .* on a, window 100 ms; ring 25 s: \d/);
  });

  it('that sends at once is judged by its ring alone', () => {
    const alarm = made();
    judge(alarm, 0, withNode({ comet: comet('a', { busiest: topic({ windowMs: 0, sweepMs: 3_000 }) }) }));
    expect(said(alarm)).toEqual([]);
    judge(alarm, 1, withNode({ comet: comet('a', { busiest: topic({ windowMs: 0, sweepMs: 7_000 }) }) }));
    expect(said(alarm)).toEqual([['window', 'warning', 'room:live']]);
  });
});

it('workers of a node share the memory of a control group', () => {
  const memory = { rssBytes: 3.5 * GIB, limitBytes: 8 * GIB, availableBytes: 0, constrained: true };
  const process = { descriptors: { used: 10, limit: 1_000 }, memory };
  const worker = (name: string) => node(name, { address: '', comet: comet(name, { process }) });
  const alarm = made();
  judge(alarm, 0, facts({ nodes: [worker('a/1')] }));
  expect(said(alarm)).toEqual([]);
  judge(alarm, 1, facts({ nodes: [worker('a/1'), worker('a/2')] }));
  expect(said(alarm)).toEqual([['memory', 'warning', 'a']]);
});

it('a node that is gone, and one of an earlier version that says less, are not wrong', () => {
  const old = node('b', {
    comet: { ...pick(comet('b')), node: 'b' as NodeId },
    report: { node: 'b' as NodeId, problems: [], rssBytes: 1, cpuSeconds: 1 },
    skewMs: undefined,
  });
  const gone = node('c', { state: 'gone', silentMs: 0, report: undefined, comet: undefined });
  const alarm = made();
  judge(alarm, 0, facts({ nodes: [node('a'), old, gone] }));
  judge(alarm, 60 * SECOND, facts({ nodes: [node('a'), old, gone] }));
  expect(said(alarm)).toEqual([]);
});

function pick({ draining, connections, sessions, byDialect, counters, reasons }: ReturnType<typeof comet>) {
  return {
    ...{ draining, connections, sessions, byDialect, counters, reasons },
    topics: [],
    rssBytes: 1,
    cpuSeconds: 1,
    loopP99Ms: 1,
  };
}

it('the worst comes first, and thresholds are those of the moment', () => {
  let thresholds = alertDefaults;
  const alarm = new Alarm(() => thresholds);
  const moment = { ...queueOf(6_000), nodes: [node('a', { state: 'draining', skewMs: 2_000 })] };
  judge(alarm, 0, moment);
  expect(alarm.alerts.map(({ code }) => code)).toEqual(['queue_lag', 'clock_skew', 'drain']);
  thresholds = { ...alertDefaults, queueLagMs: 20_000 };
  judge(alarm, 1, moment);
  expect(alarm.alerts.map(({ code }) => code)).toEqual(['clock_skew', 'drain']);
});

it('every row says when, until, and what to do', () => {
  for (const code of ALERT_CODES) {
    const { when, until, advice } = alertRow(code);
    expect(
      [when, until, ...advice].every((text) => text.length > 3),
      code,
    ).toBe(true);
    expect(advice.length, code).toBeGreaterThan(0);
  }
});
