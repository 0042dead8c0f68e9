// What the flags of `imgo bench` ask for, and what is wrong with them, told by the flag's name before anything starts.
import { expect, test } from 'vitest';
import { type BenchFlags, readBenchOptions } from '../../../../src/cli/bench/options.js';
import { ImgoError } from '../../../../src/protocol/errors.js';

function refusal(flags: BenchFlags): ImgoError {
  try {
    readBenchOptions(flags);
  } catch (error) {
    if (error instanceof ImgoError) return error;
    throw error;
  }
  return expect.fail(`taken: ${JSON.stringify(flags)}`);
}

test('without flags it is the case of the documentation', () => {
  const { seed, ...asked } = readBenchOptions({});
  expect(asked).toEqual({
    mode: 'room',
    connections: 1_000,
    rate: 40,
    durationMs: 10_000,
    rooms: 1,
    sizeBytes: 26,
    transport: 'tcp',
    dialect: 'imgo',
    store: 'memory',
    windowMs: undefined,
    connectRate: 'auto',
    warmupMs: 3_000,
    settleMs: 60_000,
    slow: 0,
    churn: 0,
    workers: 'auto',
    perProcess: 18_000,
    addresses: 'auto',
    reconnect: false,
    settings: [],
  });
  expect(seed).toBeGreaterThan(0);
});

test('the API is called over fewer connections, and over no more than one process can dial', () => {
  expect(readBenchOptions({ mode: 'http' }).connections).toBe(256);
  expect(readBenchOptions({ mode: 'http', conns: '4000' }).connections).toBe(4_000);
  for (const conns of ['4001', 'max']) expect(refusal({ mode: 'http', conns }).message).toContain('up to 4000');
});

test('every flag is read in its own unit', () => {
  const asked = readBenchOptions({
    conns: '2500',
    duration: '1m',
    rate: '0.5',
    mode: 'mix',
    rooms: '20',
    size: '4KiB',
    transport: 'ws',
    dialect: 'goim',
    store: 'lmdb',
    window: '0',
    seed: '7',
    'connect-rate': '500',
    warmup: '0',
    settle: '90s',
    slow: '1%',
    churn: '2.5%/s',
    workers: '3',
    'per-process': '900',
    addresses: '127.0.8.0/24',
    set: ['limits.handshake=9s'],
  });
  expect(asked).toEqual({
    mode: 'mix',
    connections: 2_500,
    rate: 0.5,
    durationMs: 60_000,
    rooms: 20,
    sizeBytes: 4_096,
    transport: 'ws',
    dialect: 'goim',
    store: 'lmdb',
    windowMs: 0,
    seed: 7,
    connectRate: 500,
    warmupMs: 0,
    settleMs: 90_000,
    slow: 0.01,
    churn: 0.025,
    workers: 3,
    perProcess: 900,
    addresses: '127.0.8.0/24',
    reconnect: false,
    settings: ['limits.handshake=9s'],
  });
});

test("a preset is imgo's published case; what is given besides counts more", () => {
  const published = { connections: 1_000_000, rate: 40, durationMs: 900_000, windowMs: 1_000, mode: 'room' };
  expect(readBenchOptions({ preset: 'imgo' })).toMatchObject(published);
  expect(readBenchOptions({ preset: 'imgo', conns: '5000' })).toMatchObject({ ...published, connections: 5_000 });
  expect(readBenchOptions({ preset: 'smoke' })).toMatchObject({ connections: 200, durationMs: 5_000 });
  expect(readBenchOptions({ preset: 'imgo', server: 'http://127.0.0.1:1' }).windowMs).toBeUndefined();
});

test('as many as fit is left to the plan', () => {
  expect(readBenchOptions({ conns: 'max' }).connections).toBe('max');
});

test.each<[keyof BenchFlags, string]>([
  ...['0', '-1', '1e6', 'many', '1.5', '10000000000'].map((value): [keyof BenchFlags, string] => ['conns', value]),
  ...['0', '-4', 'x', '1/s'].map((value): [keyof BenchFlags, string] => ['rate', value]),
  ...['0', '10', 'long', '-1s'].map((value): [keyof BenchFlags, string] => ['duration', value]),
  ['rooms', '0'],
  ...['25', '65553', 'big'].map((value): [keyof BenchFlags, string] => ['size', value]),
  ['window', 'x'],
  ['seed', '0'],
  ['connect-rate', 'fast'],
  ['warmup', '3'],
  ['settle', 's'],
  ...['1', '101%', '1%/s', '%', '-1%'].map((value): [keyof BenchFlags, string] => ['slow', value]),
  ...['5%', '5/s', '101%/s'].map((value): [keyof BenchFlags, string] => ['churn', value]),
  ['workers', '0'],
  ['per-process', 'auto'],
  ...['10.0.0.0/8', '127.0.0.1', '127.0.0.0/7', '127.0.0.0/33', '127.0.0.256/24', '::1/128'].map(
    (value): [keyof BenchFlags, string] => ['addresses', value],
  ),
])('--%s %s is refused by name', (flag, value) => {
  const error = refusal({ [flag]: value });
  expect([error.code, error.exit]).toEqual(['usage', 2]);
  expect(error.message).toMatch(new RegExp(`^--${flag} wants .+\\.$`));
});

test('connections come back where the server goes on, unless they are not to', () => {
  const server = 'http://127.0.0.1:7172';
  expect(readBenchOptions({ server }).reconnect).toBe(true);
  expect(readBenchOptions({ server, 'no-reconnect': true }).reconnect).toBe(false);
  expect(refusal({ 'no-reconnect': true }).message).toMatch(/--no-reconnect is for a running server/);
});

test('what does not go together is refused', () => {
  const server = 'http://127.0.0.1:7172';
  expect(refusal({ rooms: '11', conns: '10' }).message).toContain('more rooms than connections');
  for (const flags of [{ workers: '2' }, { store: 'lmdb' as const }, { window: '1s' }, { set: ['a.b=1'] }]) {
    expect(refusal({ ...flags, server }).message).toContain('leave out --server');
  }
  expect(refusal({ clients: ['tcp://127.0.0.1:1'] }).message).toContain('add --server');
});
