// Assertions are read as they are meant or refused before the run, judged by what the run found, and decide its exit status.
import { describe, expect, test } from 'vitest';
import { broken, exitStatus, judge, parseAssertions } from '../../../src/bench/assertions.js';
import type { AssertionResult, BenchResult, BenchSample } from '../../../src/bench/figures.js';
import { METRIC_NAMES, metricOf } from '../../../src/bench/metrics.js';
import { ImgoError } from '../../../src/protocol/errors.js';
import { madeUpResult } from '../../harness/bench-result.js';
import { fc } from '../../harness/property.js';

const result = madeUpResult({ connections: 1_000, processes: 1, measureSeconds: 5 });
const UNITS = {
  count: [['', 1]],
  share: [
    ['', 1],
    ['%', 1 / 100],
  ],
  time: [
    ['', 1],
    ['ms', 1],
    ['s', 1_000],
  ],
  size: [
    ['', 1],
    ['KiB', 1_024],
    ['MiB', 1_024 ** 2],
    ['GiB', 1_024 ** 3],
  ],
  perSecond: [
    ['', 1],
    ['/s', 1],
  ],
  perCpuSecond: [['', 1]],
  yes: [['', 1]],
} as const;
const OPERATORS = ['<', '<=', '>', '>=', '==', '!='] as const;

/** Every assertion that can be written, with what it has to be read as. */
const written = fc
  .record({
    metric: fc.constantFrom(...METRIC_NAMES),
    operator: fc.constantFrom(...OPERATORS),
    number: fc.oneof(fc.nat({ max: 100 }), fc.double({ min: 0, max: 1, noNaN: true })),
    unit: fc.nat(),
    aborts: fc.boolean(),
    spaces: fc.array(fc.constantFrom('', ' '), { minLength: 6, maxLength: 6 }),
  })
  .map(({ metric, operator, number, unit, aborts, spaces }) => {
    const { kind, ofSample } = metricOf(metric);
    const units = UNITS[kind];
    const [sign = '', factor = 1] = units[unit % units.length] ?? [];
    const value = kind === 'share' && sign === '' ? number % 1 : number;
    const end = aborts && ofSample !== undefined ? '!' : '';
    const [a, b, c, d, e, f] = spaces;
    const text = `${a}${metric}${b}${operator}${c}${value}${d}${sign}${e}${end}${f}`;
    return { text, metric, operator, value: value * factor, aborts: end === '!' };
  });

test('whatever is written by the grammar is read as it is written', () => {
  fc.assert(
    fc.property(written, ({ text, metric, operator, value, aborts }) => {
      const read = parseAssertions([text]).filter(({ byDefault }) => !byDefault);
      expect(read).toHaveLength(1);
      expect(read[0]).toMatchObject({ text: text.trim(), metric, operator, aborts });
      expect(Math.abs((read[0]?.value ?? Number.NaN) - value)).toBeLessThanOrEqual(Math.abs(value) * 1e-12);
    }),
  );
});

test('whatever is not is refused by an error that is shown as it is, never by another one', () => {
  const parts = fc.constantFrom(
    'p99',
    'lost',
    'p',
    '<',
    '==',
    '=',
    '!',
    '1',
    '200',
    'ms',
    '%',
    'KiB',
    ' ',
    'e9',
    '-',
    '.',
    '{',
    ']',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(parts, { maxLength: 8 }).map((all) => all.join('')),
      ),
      (text) => {
        try {
          parseAssertions([text]);
        } catch (error) {
          expect(error).toBeInstanceOf(ImgoError);
          expect((error as ImgoError).code).toBe('bench_assertion');
          expect((error as ImgoError).exit).toBe(2);
          expect((error as ImgoError).message).toContain(text);
        }
      },
    ),
  );
});

test.each([
  ['p9<200ms', 'there is no metric p9', 'p90<200ms'],
  ['p99.9<1s', 'there is no metric p99.9', 'p999<1s'],
  ['completness==1', 'there is no metric completness', 'completeness==1'],
  ['out-of-order==0', 'there is no metric out-of-order', 'outOfOrder==0'],
  ['zzzzzz==0', 'there is no metric zzzzzz', undefined],
  ['toString==0', 'there is no metric toString', undefined],
  ['lost=0', '= is none of < <= > >= == !=', 'lost==0'],
  ['p99=<5ms', '=< is none of', 'p99<=5ms'],
  ['p99', 'it has no operator; quote it', undefined],
  ['', 'it does not begin with a metric', undefined],
  ['<5', 'it does not begin with a metric', undefined],
  ['p99<', '< is not followed by a number', undefined],
  ['p99<-5ms', '< is not followed by a number', undefined],
  ['p99<1,5s', '< is not followed by a number', undefined],
  ['p99<200us', 'p99 is in ms, s, not us', 'p99<200ms'],
  ['rss<4gib', 'rss is in KiB, MiB, GiB, not gib', 'rss<4GiB'],
  ['lost==0ms', 'lost has no unit, not ms', undefined],
  ['connected==1000', 'connected is a share', 'connected==100%'],
  ['p99<5ms please', 'please is too much', undefined],
  ['lost==0!', 'lost is known when the run is over', undefined],
])('%j is refused: %s', (text, detail, better) => {
  try {
    parseAssertions([text]);
    expect.fail('it was read');
  } catch (error) {
    const { message } = error as ImgoError;
    expect(message).toContain(detail);
    if (better === undefined) expect(message).not.toContain('Did you mean');
    else expect(message).toContain(`Did you mean ${better}?`);
  }
});

test('three hold by default, and the same metric replaces them', () => {
  const texts = (given: readonly string[]) => parseAssertions(given).map(({ text }) => text);
  expect(texts([])).toEqual(['lost==0', 'outOfOrder==0', 'connected==100%']);
  expect(texts(['p99<1s', 'lost<5'])).toEqual(['outOfOrder==0', 'connected==100%', 'p99<1s', 'lost<5']);
  expect(texts(['p99<1s', 'p99>1ms']).slice(3)).toEqual(['p99<1s', 'p99>1ms']);
});

const judged = (text: string, changed: Partial<BenchResult> = {}): AssertionResult | undefined =>
  judge(parseAssertions([text]), { ...result, ...changed }).at(-1);

test('what was measured decides', () => {
  const { server } = result;
  expect(judged('lost==0', { lost: 1 })).toMatchObject({ holds: false, value: 1, shown: '1' });
  expect(judged('completeness>=99.9%', { completeness: 0.999 })).toMatchObject({ holds: true, shown: '99.9 %' });
  expect(
    judged('connected==100%', { connections: { ...result.connections, target: 1_000_000, open: 999_999 } }),
  ).toMatchObject({ holds: false, shown: '99.9999 %' });
  expect(judged('bytesPerConn<=4KiB')).toMatchObject({ holds: true, shown: '3.6 KiB' });
  expect(judged('rss<1GiB', { server: { ...server, rssBytes: 2 ** 30 } })).toMatchObject({
    holds: false,
    shown: '1 GiB',
  });
  expect(
    judged('errors==0', { unknown: 1, refused: 2, connections: { ...result.connections, failed: { timeout: 4 } } }),
  ).toMatchObject({ holds: false, value: 7 });
  expect(judged('trust==1')).toMatchObject({ holds: false, value: 0, shown: 'no' });
});

test('what was not measured does not hold, whatever was wanted of it', () => {
  const nothing = { latencies: [], server: { ...result.server, cpuSeconds: 0 } };
  for (const text of ['p99<1s', 'p99>=0', 'rss>=0', 'deliveriesPerCpuSecond>=0', 'loopP99<1s']) {
    expect(judged(text, nothing)).toMatchObject({ holds: false, value: null, shown: 'not measured' });
  }
});

describe('with ! at the end', () => {
  const last = result.samples.at(-1) as BenchSample;
  const slow = {
    ...last,
    phase: 'measure',
    seconds: 12,
    latencyMs: { p50: 1, p90: 2, p99: 900, p999: 950, max: 990 },
  } as const;
  const assertions = parseAssertions(['p99<500ms!', 'errors==0!', 'max<1ms']);

  test('the second that breaks it is seen, one that has nothing to say of it is not', () => {
    expect(broken(assertions, slow)?.text).toBe('p99<500ms!');
    expect(broken(assertions, { ...slow, latencyMs: null })).toBeUndefined();
    expect(broken(assertions, { ...slow, phase: 'warmup' })).toBeUndefined();
    expect(broken(assertions, { ...slow, latencyMs: null, unknown: 1 })?.text).toBe('errors==0!');
    expect(broken(parseAssertions(['p99<500ms']), slow)).toBeUndefined();
  });

  test('it does not hold although the whole run does', () => {
    const latencyMs = { p50: 1, p90: 1, p99: 1, p999: 1, max: 1 };
    const whole = { ...result, latencyMs, samples: [slow] };
    const [held] = judge(parseAssertions(['p99<500ms']).slice(-1), whole);
    const [ended] = judge(parseAssertions(['p99<500ms!']).slice(-1), whole);
    expect(held).toMatchObject({ holds: true, value: 1 });
    expect(ended).toMatchObject({ holds: false, value: 900, shown: '900 ms after 12 s' });
  });
});

test.each([
  [[], false, 0],
  [[], true, 98],
  [['p99<1h'], true, 98],
  [['trust==1'], false, 0],
  [['completeness==1', 'bytesPerConn<=5KiB', 'flushesPerCpuSecond>1'], true, 0],
  [['completeness==1', 'p50<1000s'], true, 98],
  [['completeness==1', 'lost!=0'], true, 99],
  [['lost!=0'], false, 99],
])('%j, at its limit: %s, ends with %i', (texts, is, status) => {
  const asked = texts.map((text) => text.replace('1h', '3600s'));
  const client = { ...result.client, saturated: { is, reasons: [] } };
  const assertions = judge(parseAssertions(asked), { ...result, client });
  expect(exitStatus({ assertions, client })).toBe(status);
});
