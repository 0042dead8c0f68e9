// The plan says what a run will use; the summary's first line says what not to believe, and its columns stand below one another.
import { expect, test } from 'vitest';
import type { BenchResult } from '../../../src/bench/figures.js';
import { count, counted, percent, short, size, time } from '../../../src/bench/numbers.js';
import { planLines, resultLines } from '../../../src/bench/report/text.js';
import { madeUpResult } from '../../harness/bench-result.js';

const result = madeUpResult();
const { plan, machine } = result;

test('the plan rounds no connection away and says what can be expected', () => {
  expect(planLines(plan, machine)).toEqual([
    'PLAN  room · 1,000,000 tcp connections · 40 msg/s for 5m · memory store · seed 7',
    '  server     56 workers ≤ 18,000 sockets     client  8 × 17,858 + 48 × 17,857',
    '  ports      71 loopback addresses × 14,085 source ports',
    '  needs      11.2 GiB of 22.1 GiB free · 2,002,000 of 2,466,183 files · 112 processes besides this one',
  ]);
  const expectation = {
    deliveries: 4e7,
    wanted: 1e7,
    possible: 84_000,
    sweepMs: 11_900,
    behind: true,
    line: 'a sweep takes ~11.9 s',
  };
  expect(planLines({ ...plan, expectation }, machine).at(-1)).toBe('  expect     a sweep takes ~11.9 s');
});

test('one of something is one', () => {
  const small = { ...plan, connections: 1, workers: 1, receivers: [1], sources: ['127.0.1.1'], rate: 1 };
  const lines = planLines(small, { ...machine, files: Number.POSITIVE_INFINITY }).join('\n');
  expect(lines).toContain('room · 1 tcp connection · 1 msg/s');
  expect(lines).toContain('server     1 process     client  1 × 1');
  expect(lines).toContain('1 loopback address × 1 source port');
  expect(lines).toContain('of unlimited files · 2 processes');
  expect(lines).not.toContain('expect');
});

test.each([
  [{ mode: 'idle' }, 'idle · 1,000,000 tcp connections · for 5m ·'],
  [{ mode: 'http' }, 'connections in a closed loop · for 5m ·'],
  [
    { mode: 'room', rooms: 5, transport: 'ws', dialect: 'native' },
    'room × 5 · 1,000,000 ws native connections · 40 msg/s',
  ],
  [{ mode: 'mix', churn: 0.05, slow: 0.01 }, '40 msg/s for 5m · 5 % a second come and go · 1 % do not read ·'],
] as const)('%j is a plan as it was asked for', (asked, words) => {
  expect(planLines({ ...plan, ...asked }, machine)[0]).toContain(words);
});

test('a server that was there already is named, and not planned', () => {
  const [first, second, , needs] = planLines({ ...plan, server: 'http://127.0.0.1:7172' }, machine);
  expect(first).not.toContain('store');
  expect(second).toContain('server     http://127.0.0.1:7172     client');
  expect(needs).toContain('56 processes besides this one');
});

test('the first line says that the harness was the bottleneck; what holds nevertheless is said at the end', () => {
  const lines = resultLines(result);
  expect(lines[0]).toMatch(
    /^▲ The harness was the bottleneck: the busiest client loop was 0\.97 busy \(limit 0\.85\); /,
  );
  expect(lines.find((line) => line.includes('LIMIT'))).toContain('Good: integrity, memory');
  expect(lines.at(-1)).toBe('  ✓ lost==0   ✓ outOfOrder==0   ✓ connected==100%   ✗ p99<50ms (13.4 s)   exit 99');
});

test('without that the first line is the result, and nothing speaks of limits', () => {
  const free = { ...result, client: { ...result.client, saturated: { is: false, reasons: [] } } };
  const lines = resultLines(free);
  expect(lines[0]).toMatch(/^RESULT {3}connected 1,000,000 of 1,000,000 in \d+ s/);
  expect(lines.join('\n')).toContain('LIMIT      none was met: every figure holds.');
});

test('a run that was cut short says so, and ends with the status it is given', () => {
  const lines = resultLines({ ...result, cutShort: 'comet 3 ended with signal SIGKILL' }, 130);
  expect(lines[1]).toBe(
    '▲ Cut short: comet 3 ended with signal SIGKILL. The figures are of what there was until then.',
  );
  expect(lines.at(-1)).toMatch(/exit 130$/);
});

test('offered, accepted and delivered stand side by side, and the audit says how it looked', () => {
  const text = resultLines(result).join('\n');
  expect(text).toMatch(/load {7}offered 40\/s {3}accepted 40\/s {3}delivered [\d.]+ M\/s/);
  expect(text).toContain('audited: 1,000,000 connections by frame boundaries, 1,000,000 by the number of each message');
  expect(text).toContain('from when due, not when sent');
  expect(text).toMatch(/of bare sockets: flushes 0\.93 × \([\d.]+ k of 82 k\/cpu·s\)/);
});

test('the labels have one width', () => {
  const rows = resultLines(result).filter((line) => /^ {2}[a-zA-Z ]{10} \S/.test(line));
  expect(rows.map((row) => row.slice(2, 13).trim())).toEqual([
    'load',
    'integrity',
    '',
    'latency',
    'connect',
    'server',
    'client',
    'reference',
    'LIMIT',
    'note',
  ]);
});

test('what a mode does not have is not there', () => {
  const none = { p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
  const idle: BenchResult = {
    ...result,
    plan: { ...plan, mode: 'idle' },
    ...{ offered: 0, accepted: 0, delivered: 0, expected: 0, latencies: [], latencyMs: none, reference: null },
  };
  const text = resultLines(idle).join('\n');
  for (const word of ['load', 'integrity', 'latency', 'reference', 'accepted', 'deliveries/cpu·s']) {
    expect(text).not.toContain(`  ${word} `);
  }
  const unseen = { ...idle, server: { ...result.server, rssBytes: 0, cpuSeconds: 0 } };
  expect(resultLines(unseen).join('\n')).toContain('its processes cannot be seen from here');
});

test('a session whose memory cannot be told has no figure', () => {
  const text = resultLines({ ...result, server: { ...result.server, bytesPerConnection: null } }).join('\n');
  expect(text).toContain(' · memory a session cannot be told · ');
  expect(text).not.toContain('B a session');
});

test('figures have about three digits, and never more than they are', () => {
  expect([0, 0.04, 9.96, 312, 9_871, 14_900, 999_499, 39.94e6, 1.2e9].map(short)).toEqual([
    '0',
    '0.04',
    '10',
    '312',
    '9,871',
    '14.9 k',
    '999 k',
    '39.9 M',
    '1.2 G',
  ]);
  expect([0.4, 12, 999.4, 6_700, 119_000, 124_000, 300_000].map(time)).toEqual([
    '0.4 ms',
    '12 ms',
    '999 ms',
    '6.7 s',
    '119 s',
    '2m04s',
    '5m',
  ]);
  expect([512, 3_686, 6.8 * 2 ** 30].map(size)).toEqual(['512 B', '3.6 KiB', '6.8 GiB']);
  expect([1, 0.999_999_9, 0.9996, 0.5, 0.000_001, 0].map(percent)).toEqual([
    '100 %',
    '99.9999 %',
    '99.96 %',
    '50 %',
    '<0.01 %',
    '0 %',
  ]);
  expect([count(1e6), counted(1, 'a', 'b'), counted(2, 'a', 'b')]).toEqual(['1,000,000', '1 a', '2 b']);
});

const breaks = {
  connections: 3_300,
  causes: { closed: 3_290, ECONNRESET: 12 },
  returned: 3_301,
  away: 1,
  retries: { ECONNREFUSED: 7 },
  awayMs: { p50: 410, p90: 500, p99: 1_200, p999: 2_000, max: 2_100 },
  resumed: 12_000,
  gapped: 4,
  missed: 0,
  lost: 2,
};

test('what became of connections that broke stands below the integrity, and nothing where none did', () => {
  const native = { ...result, plan: { ...plan, dialect: 'native' as const }, breaks };
  const lines = resultLines(native);
  const at = lines.findIndex((line) => line.startsWith('  breaks'));
  expect(lines.slice(at, at + 2)).toEqual([
    '  breaks     3,300 connections broke (closed 3,290, ECONNRESET 12) · 3,301 returns · 1 still away · away p50 410 ms  p99 1.2 s  max 2.1 s',
    '             12,000 delivered after a return · told as gap 4 · lost 2 · dials for nothing: ECONNREFUSED 7',
  ]);
  expect(resultLines({ ...result, breaks }).join('\n')).toContain('missed while away 0');
  const none = { ...breaks, connections: 0 };
  expect(resultLines({ ...result, breaks: none }).join('\n')).not.toContain('broke');
});
