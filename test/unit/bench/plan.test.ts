// What a run will use is said before it starts, and nothing is rounded away; what cannot be is told with all that is in the way.
import { describe, expect, it, test } from 'vitest';
import type { Machine } from '../../../src/bench/machine.js';
import type { BenchOptions } from '../../../src/bench/options.js';
import { type BenchPlan, largestPlan, planRun } from '../../../src/bench/plan.js';
import { ImgoError } from '../../../src/protocol/errors.js';
import { madeUpMachine } from '../../harness/bench-machine.js';
import { fc } from '../../harness/property.js';

const machine = madeUpMachine();
const asked: BenchOptions = {
  mode: 'room',
  connections: 1_000_000,
  rate: 40,
  durationMs: 60_000,
  rooms: 1,
  sizeBytes: 26,
  transport: 'tcp',
  dialect: 'imgo',
  store: 'memory',
  windowMs: undefined,
  seed: 1,
  connectRate: 'auto',
  warmupMs: 3_000,
  settleMs: 60_000,
  slow: 0,
  churn: 0,
  workers: 'auto',
  perProcess: 18_000,
  addresses: 'auto',
  server: undefined,
  reconnect: false,
  settings: [],
};

function plan(options: Partial<BenchOptions> = {}, here: Machine = machine): BenchPlan {
  return planRun({ ...asked, ...options }, here);
}

function refusal(options: Partial<BenchOptions>, here: Machine): ImgoError {
  try {
    plan(options, here);
  } catch (error) {
    if (error instanceof ImgoError) return error;
    throw error;
  }
  throw new Error('it was planned');
}

describe('what a run uses', () => {
  test.each([1, 7, 999, 17_999, 18_001, 100_003, 1_000_000])('%i connections are all of them', (connections) => {
    const { receivers, sources, workers } = plan({ connections });
    expect(receivers.reduce((sum, one) => sum + one, 0)).toBe(connections);
    expect(Math.max(...receivers)).toBeLessThanOrEqual(18_000);
    expect(Math.max(...receivers) - Math.min(...receivers)).toBeLessThanOrEqual(1);
    expect(sources.length * 2_000).toBeGreaterThanOrEqual(connections);
    expect(new Set(sources).size).toBe(sources.length);
    expect(workers).toBe(receivers.length);
  });

  it('a process has no more sockets than its descriptors allow, whatever was asked for', () => {
    const { receivers, workers } = plan(
      { connections: 10_000, perProcess: 50_000 },
      madeUpMachine({ descriptors: 4_096 }),
    );
    expect(Math.max(...receivers)).toBeLessThanOrEqual(4_096 - 64);
    // The kernel spreads them unevenly: the fullest of the server's has more than its share.
    expect(10_000 / workers + 5 * Math.sqrt(10_000 / workers)).toBeLessThanOrEqual(4_096 - 320);
  });

  it('many cores are used before descriptors ask for it, half of them on either side', () => {
    const big = madeUpMachine({ cores: 16, descriptors: 1_048_576 });
    expect(plan({ connections: 3_000, perProcess: 100_000 }, big)).toMatchObject({ workers: 1, receivers: [3_000] });
    expect(plan({ connections: 20_000, perProcess: 100_000 }, big).workers).toBe(4);
    expect(plan({ connections: 200_000, perProcess: 100_000 }, big).receivers).toHaveLength(8);
  });

  it('without connections there is nobody to receive, and a server all the same', () => {
    expect(plan({ mode: 'http', connections: 0 })).toMatchObject({ workers: 1, receivers: [], sources: [] });
  });
});

describe('a machine that cannot', () => {
  const tries: [string, Partial<BenchOptions>, Partial<Machine>, string][] = [
    ['memory', {}, { availableBytes: 4 * 2 ** 30 }, 'memory'],
    ['a control group', {}, { availableBytes: 4 * 2 ** 30, memoryBound: 'cgroup' }, 'memory of the control group'],
    ['fs.file-max', {}, { files: 100_000 }, 'open files'],
    ['threads', {}, { threads: 400 }, 'threads'],
    ['one server process', { workers: 1 }, {}, 'descriptors of the server'],
    ['few server processes', { workers: 3 }, {}, 'descriptors of a server process'],
    ['few addresses', { addresses: '127.0.8.0/28' }, {}, 'ports of loopback'],
    ['a firewall that tracks', {}, { conntrack: 262_144 }, 'tracked connections'],
    ['tcp_mem', { slow: 0.1 }, { tcpMemBytes: 200 * 2 ** 20 }, 'socket buffers of slow readers'],
    ['a server elsewhere', { server: 'http://192.0.2.1:7172' }, {}, 'ports to the server'],
  ];

  test.each(tries)('%s: named with what it holds, which is then planned', (_name, options, other, limit) => {
    const here = madeUpMachine(other);
    const error = refusal(options, here);
    expect([error.code, error.exit]).toEqual(['bench_too_big', 5]);
    expect(error.table?.columns).toEqual(['limit', 'here', 'holds', 'needed', 'change']);
    expect(error.table?.rows.map(([name]) => name)).toEqual([limit]);
    const holds = Number(error.details['holds']);
    expect(holds).toBeGreaterThan(0);
    expect(holds).toBe(largestPlan({ ...asked, ...options }, here));
    expect(plan({ ...options, connections: holds }, here).connections).toBe(holds);
    expect(refusal({ ...options, connections: Math.ceil(holds * 1.1) }, here).code).toBe('bench_too_big');
    expect(error.advice[0]).toBe(`imgo bench --conns ${holds}`);
  });

  it('all that is in the way stands in one table', () => {
    const error = refusal({ workers: 2 }, madeUpMachine({ files: 100_000, availableBytes: 2 ** 30 }));
    expect(error.table?.rows.map(([name]) => name)).toEqual([
      'memory',
      'open files',
      'descriptors of a server process',
    ]);
  });

  it('of a server on this machine both ends count, of one elsewhere only ours', () => {
    const connections = 20_000;
    const own = plan({ connections });
    const here = plan({ connections, server: 'http://127.0.0.1:7172' });
    const elsewhere = plan({ connections, server: 'http://192.0.2.1:7172' });
    expect([own.workers, here.workers, elsewhere.workers]).toEqual([2, 0, 0]);
    expect(here.sources.length).toBe(own.sources.length);
    expect(elsewhere.sources).toEqual([]);
    expect(here.needsFiles).toBeGreaterThan(2 * connections);
    expect(elsewhere.needsFiles).toBeLessThan(2 * connections);
    expect(elsewhere.needsBytes).toBeLessThan(here.needsBytes - connections * 8_000);
  });

  it('the largest plan is never refused, on any machine', () => {
    const limits = fc.record({
      descriptors: fc.integer({ min: 600, max: 2_000_000 }),
      files: fc.integer({ min: 10_000, max: 10_000_000 }),
      availableBytes: fc.integer({ min: 2 ** 29, max: 2 ** 38 }),
      threads: fc.integer({ min: 100, max: 100_000 }),
      cores: fc.integer({ min: 1, max: 128 }),
    });
    const options = fc.record({
      perProcess: fc.integer({ min: 1, max: 1_000_000 }),
      workers: fc.oneof(fc.constant('auto' as const), fc.integer({ min: 1, max: 20 })),
      transport: fc.constantFrom('tcp' as const, 'ws' as const),
    });
    fc.assert(
      fc.property(limits, options, (other, more) => {
        const here = madeUpMachine({ openFiles: 0, ...other });
        const connections = largestPlan({ ...asked, ...more }, here);
        const planned = connections === 0 ? [] : plan({ ...more, connections }, here).receivers;
        expect(planned.reduce((sum, one) => sum + one, 0)).toBe(connections);
      }),
      { numRuns: 200 },
    );
  });
});

describe('addresses', () => {
  it('are taken from the part of loopback that was named', () => {
    const three = ['127.0.8.1', '127.0.8.2', '127.0.8.3'];
    expect(plan({ connections: 5_000, addresses: '127.0.8.0/24', seed: 0 }).sources).toEqual(three);
    expect(plan({ connections: 5_000, addresses: '127.9.9.9' }).sources).toEqual(['127.9.9.9']);
    expect(plan({ connections: 1_000_000, addresses: '127.0.0.0/8', seed: 0 }).sources).toContain('127.0.1.250');
  });

  it('are others for a run with another seed: ports of the last one are not free yet', () => {
    const [first, next] = [
      plan({ connections: 100_000, seed: 8 }).sources,
      plan({ connections: 100_000, seed: 9 }).sources,
    ];
    expect([first.length, next.length]).toEqual([50, 50]);
    expect(next.filter((one) => first.includes(one))).toEqual([]);
    for (const seed of [1, 7, 999_999, 2 ** 31 - 1]) {
      const { sources } = plan({ connections: 5_000, addresses: '127.0.8.0/30', seed });
      expect(sources.every((one) => one.startsWith('127.0.8.'))).toBe(true);
    }
  });

  test.each(['10.0.0.0/8', '126.0.0.0/7', '127.0.0.1/33', '127.0.0.300', 'loopback', '::1'])(
    '%s is refused',
    (addresses) => {
      const error = refusal({ connections: 10, addresses }, machine);
      expect([error.code, error.exit]).toEqual(['usage', 2]);
      expect(error.message).toContain(addresses);
    },
  );
});

describe('what can be expected', () => {
  it('latency of seconds is said before it is measured', () => {
    const { expectation } = plan({ connections: 1_000_000 });
    expect(expectation).toMatchObject({ behind: true });
    expect(expectation?.sweepMs).toBeGreaterThan(5_000);
    expect(expectation?.line).toMatch(
      /^~\d+ k flushes\/s, both ends on 2 cores: a sweep takes ~[\d.]+ s, so latency will be seconds$/,
    );
  });

  it('where sweeps keep up, that is said', () => {
    const { expectation } = plan({ connections: 2_000, rate: 5 });
    expect(expectation).toMatchObject({ behind: false, wanted: 10_000 });
  });

  it('who pushes to nobody is told nothing', () => {
    expect(plan({ mode: 'idle' }).expectation).toBeUndefined();
  });
});
