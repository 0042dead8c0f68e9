// What one sees while a benchmark runs: rates that are of the last second, what is left, and a view that fits its screen.
import { renderToString } from 'ink';
import { createElement } from 'react';
import { describe, expect, it } from 'vitest';
import type { BenchSample } from '../../../../src/bench/figures.js';
import type { BenchPlan } from '../../../../src/bench/plan.js';
import { progressLines } from '../../../../src/cli/bench/progress.js';
import { type Moment, Track } from '../../../../src/cli/bench/track.js';
import { BenchView, type ViewProps } from '../../../../src/cli/bench/view.js';
import { bar, spark } from '../../../../src/cli/tui/draw.js';
import { madeUpResult } from '../../../harness/bench-result.js';

const run = madeUpResult({ connections: 1_000_000, measureSeconds: 60 });
const plan: BenchPlan = { ...run.plan, warmupMs: 3_000, durationMs: 60_000, settleMs: 90_000 };
const CORES = 2;

/** The moments of the made-up run, second by second. */
function moments(samples: readonly BenchSample[] = run.samples): readonly Moment[] {
  const track = new Track(plan, CORES);
  return samples.map((sample) => track.add(sample));
}

function last(phase: BenchSample['phase']): Moment {
  return moments().findLast((moment) => moment.phase === phase) ?? expect.fail(`no ${phase}`);
}

function drawn(moment: Moment, over: Partial<ViewProps> = {}): readonly string[] {
  const columns = over.columns ?? 100;
  const props = {
    plan,
    moment,
    reference: false,
    agoMs: 0,
    stopping: false,
    columns,
    rows: 30,
    coloured: false,
    unicode: true,
    ...over,
  };
  return renderToString(createElement(BenchView, props), { columns }).split('\n');
}

describe('a moment', () => {
  it('has the rates of the last second, not of the whole run', () => {
    const samples = run.samples.filter(({ phase }) => phase === 'measure');
    const [before, now] = samples.slice(-2) as [BenchSample, BenchSample];
    const seconds = now.seconds - before.seconds;
    const moment = last('measure');
    expect(moment.deliveredPerSecond).toBeCloseTo((now.delivered - before.delivered) / seconds);
    expect(moment.offeredPerSecond).toBeCloseTo((now.offered - before.offered) / seconds);
    expect(moment.server.cores).toBeCloseTo((now.server.cpuSeconds - before.server.cpuSeconds) / seconds);
    expect(moment.delivered.at(-1)).toBe(moment.deliveredPerSecond);
  });

  it('keeps the last rate through a sample that came too soon, and loses none to a process that ended', () => {
    const [first, second] = run.samples.filter(({ phase }) => phase === 'measure').slice(-2) as [
      BenchSample,
      BenchSample,
    ];
    const soon = { ...second, seconds: second.seconds + 0.01, delivered: second.delivered + 5 };
    const ended = { ...second, seconds: second.seconds + 1, server: { ...second.server, cpuSeconds: 0 } };
    const [, before, after, gone] = moments([first, second, soon, ended]);
    expect(after?.deliveredPerSecond).toBe(before?.deliveredPerSecond);
    expect(gone?.server.cores).toBe(0);
  });

  it('knows what is over, and what is left of the phase', () => {
    const connect = moments().filter(({ phase }) => phase === 'connect')[10] as Moment;
    const left = (plan.connections - connect.open) / connect.connectsPerSecond;
    expect(connect.leftMs).toBeCloseTo(left * 1_000);
    const settle = last('settle');
    expect(settle.done.map(({ phase }) => phase)).toEqual(
      [...new Set(run.samples.map(({ phase }) => phase))].slice(0, settle.done.length),
    );
    expect(settle.leftMs).toBe(plan.settleMs - settle.phaseSeconds * 1_000);
    const [only] = moments(run.samples.slice(0, 1));
    expect(only?.leftMs).toBeUndefined();
  });

  it('marks what is not the server, and nothing on a machine that has time', () => {
    const sample = run.samples.findLast(({ phase }) => phase === 'measure') as BenchSample;
    const quiet = { idle: 0.6, steal: 0, swappedBytes: 0, listenDrops: 0, retransmits: 0 };
    const idle = { ...sample.client, loop: 0.4 };
    const next = (change: Partial<BenchSample['machine']>, loop = 0.4, cpu = 0.1) => {
      const machine = { ...sample.machine, ...quiet };
      const from = { ...sample, machine, client: idle, coordinator: { ...sample.coordinator, loop: 0.1 } };
      const client = { ...idle, loop, cpuSeconds: idle.cpuSeconds + cpu };
      return moments([from, { ...from, seconds: from.seconds + 1, machine: { ...machine, ...change }, client }])[1];
    };
    expect(next({})?.marks).toEqual([]);
    expect(next({ idle: 0.02 }, 0.4, 0.9)?.marks).toEqual(['machine-bound (idle 2 %, client 45 % of the CPU)']);
    expect(next({ idle: 0.02 })?.marks).toEqual([]);
    expect(next({}, 0.97)?.marks).toEqual(['client-bound (an event loop of it is 97 % busy)']);
    expect(next({ steal: 0.03, swappedBytes: 1, listenDrops: 2, retransmits: 3 })?.marks).toEqual([
      'steal 3 %',
      'swapping',
      'listen drops 2',
      'TCP sent again 3',
    ]);
  });

  it('lists what went wrong by reason, most first', () => {
    const [sample] = run.samples as [BenchSample];
    const fanOut = { ...sample.fanOut, reasons: { frame_too_large: 4 } };
    const [moment] = moments([
      { ...sample, failed: { timeout: 3, refused: 9, reset: 0 }, refused: 0, unknown: 1, fanOut },
    ]);
    expect(moment?.errors).toEqual([
      ['refused', 9],
      ['server: frame_too_large', 4],
      ['timeout', 3],
      ['push unknown', 1],
    ]);
  });
});

describe('the view', () => {
  const sizes = [
    [200, 50],
    [100, 30],
    [99, 24],
    [80, 24],
    [79, 20],
    [60, 14],
    [40, 10],
  ] as const;
  it.each(sizes)('fits %i x %i in every phase', (columns, rows) => {
    for (const moment of moments().filter((_, at) => at % 7 === 0)) {
      const lines = drawn(moment, { columns, rows });
      expect(lines.length).toBeLessThan(rows);
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
    }
  });

  it('shows the ramp with what is left, then the measured seconds', () => {
    const connect = moments().filter(({ phase }) => phase === 'connect')[20] as Moment;
    expect(drawn(connect).join('\n')).toMatch(
      /CONNECTED +3\d\d,\d{3} of 1,000,000 +█+.? +1\d(\.\d)? k\/s +[\d.]+ s left$/m,
    );
    const text = drawn(last('measure')).join('\n');
    expect(text).toMatch(/MEASURE +60 s +█+ +0 ms left/);
    expect(text).toMatch(/RATES +offered 40\/s +accepted 40\/s +delivered [\d.]+ M\/s +[▁-█]+/);
    expect(text).toMatch(/LATENCY +p50 .+ s +p90 .+ s +p99 .+ s +max .+ s +[▁-█]+ p99/);
    expect(text).toMatch(/SWEEP +▲ 1[\d.]* s, window [\d.]+ m?s +[\d.]+ k flushes\/s/);
    for (const group of ['server', 'client', 'coordinator', 'machine', 'ERRORS']) expect(text).toContain(`\n${group}`);
  });

  it('says less on fewer columns and lines, and the same figures', () => {
    const narrow = drawn(last('measure'), { columns: 60, rows: 14 }).join('\n');
    for (const label of ['CONNECTED', 'MEASURE', 'RATES', 'LATENCY', 'ERRORS']) expect(narrow).toContain(label);
    for (const label of ['\nSWEEP', '\nserver', '\nmachine ']) expect(narrow).not.toContain(label);
  });

  it('names the phases that are to come, bare sockets where they are to be measured', () => {
    const phases = (over: Partial<ViewProps>) => drawn(last('connect'), over)[1];
    expect(phases({})).toMatch(/● connect {2}warmup {2}measure {2}settle {2}audit {3,}/);
    expect(phases({ reference: true })).toMatch(/settle {2}audit {2}reference {3,}/);
    expect(phases({ reference: true, plan: { ...plan, mode: 'http' } })).not.toContain('reference');
  });

  it('says that nothing is heard, and that it was interrupted', () => {
    expect(drawn(last('measure')).join('\n')).not.toContain('no news');
    expect(drawn(last('measure'), { agoMs: 7_000 }).join('\n')).toContain('no news for 7 s');
    expect(drawn(last('measure')).at(-1)).toMatch(/^Ctrl-C ends it/);
    expect(drawn(last('settle'), { stopping: true }).at(-1)).toMatch(/^Interrupted/);
  });

  it('is coloured only where that is wanted, and plain where the locale is', () => {
    const moment = last('measure');
    expect(drawn(moment).join('')).not.toContain('\u001b');
    expect(drawn(moment, { coloured: true }).join('')).toContain('\u001b[');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: everything that is not ASCII
    expect(drawn(moment, { unicode: false }).join('')).not.toMatch(/[^\u0000-\u007f]/);
  });
});

describe('without a terminal', () => {
  it('is a line a second that can be searched', () => {
    const connect = moments().filter(({ phase }) => phase === 'connect')[20] as Moment;
    expect(progressLines(connect, plan)).toHaveLength(1);
    expect(progressLines(connect, plan)[0]).toMatch(
      /^CONNECT {2}3\d\d,\d{3} \/ 1,000,000 {2}1\d(\.\d)? k\/s {2}[\d.]+ s left {2}/,
    );
    expect(progressLines(last('measure'), plan)[0]).toMatch(
      /^MEASURE {2}60 s \/ 60 s {2}offered 40\/s {2}accepted 40\/s {2}delivered .+ M\/s {2}p50 .+ {2}p99 .+ {2}server .+ core {2}client .+ core {2}idle /,
    );
    expect(progressLines(last('settle'), plan)[0]).toMatch(/^SETTLE {2}\d+ s \/ at most 90 s {2}/);
  });
});

describe('drawing', () => {
  it('a bar has its width whatever the share', () => {
    for (const share of [-1, 0, 0.001, 0.5, 0.999, 1, 2]) {
      expect(bar(share, 20, true)).toHaveLength(20);
      expect(bar(share, 20, false)).toMatch(/^#*\.*$/);
      expect(bar(share, 20, false)).toHaveLength(20);
    }
    expect([bar(0, 4, true), bar(0.5, 4, true), bar(1, 4, true)]).toEqual(['    ', '██  ', '████']);
  });

  it('a sparkline goes from nothing to the largest of what it shows', () => {
    expect(spark([9, 0, 5, 10], 3, true)).toBe('▁▄█');
    expect(spark([0, 0], 4, true)).toBe('▁▁  ');
    expect(spark([], 3, true)).toBe('   ');
  });
});
