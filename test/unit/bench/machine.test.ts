// What a machine allows is what its files say: of the machine, and of the control group where that is less.
import { describe, expect, it, test } from 'vitest';
import { lookAtMachine } from '../../../src/bench/machine.js';

const files: Readonly<Record<string, string>> = {
  '/proc/self/limits':
    'Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 20000                files\n',
  '/proc/meminfo': 'MemTotal:       24683520 kB\nMemAvailable:   23400000 kB\n',
  '/proc/loadavg': '0.10 0.20 0.30 2/150 4711\n',
  '/proc/sys/fs/file-max': '2466170\n',
  '/proc/sys/fs/file-nr': '4227\t0\t2466170\n',
  '/proc/sys/net/ipv4/ip_local_port_range': '32768\t60999\n',
  '/proc/sys/net/ipv4/tcp_mem': '287898\t383867\t575796\n',
  '/proc/sys/net/ipv4/tcp_max_syn_backlog': '1024\n',
  '/proc/sys/net/core/somaxconn': '4096\n',
  '/proc/sys/kernel/threads-max': '192000\n',
  '/proc/sys/kernel/pid_max': '4194304\n',
};
const look = (other: Readonly<Record<string, string>> = {}) =>
  lookAtMachine((path) => ({ ...files, ...other })[path] ?? '');

it('reads every limit that counts', () => {
  expect(look()).toMatchObject({
    availableBytes: 23_400_000 * 1_024,
    memoryBound: 'machine',
    descriptors: 20_000,
    sourcePorts: 28_232,
    files: 2_466_170,
    openFiles: 4_227,
    tcpPressureBytes: 383_867 * 4_096,
    tcpMemBytes: 575_796 * 4_096,
    somaxconn: 4_096,
    synBacklog: 1_024,
    conntrack: Number.POSITIVE_INFINITY,
    threads: 191_850,
    threadBound: 'kernel.threads-max',
  });
});

it('connections are tracked where something is', () => {
  const most = { '/proc/sys/net/netfilter/nf_conntrack_max': '262144' };
  const tracked = '/proc/sys/net/netfilter/nf_conntrack_count';
  expect(look({ ...most, [tracked]: '0' }).conntrack).toBe(Number.POSITIVE_INFINITY);
  expect(look({ ...most, [tracked]: '44' }).conntrack).toBe(262_100);
});

it('a machine that tells nothing limits nothing', () => {
  const { descriptors, files: open, threads, tcpMemBytes, conntrack } = lookAtMachine(() => '');
  expect([descriptors, open, threads, tcpMemBytes, conntrack]).toEqual(Array(5).fill(Number.POSITIVE_INFINITY));
});

it('this machine is read without a word of complaint', () => {
  const { cores, availableBytes, descriptors } = lookAtMachine();
  expect(Math.min(cores, availableBytes, descriptors)).toBeGreaterThan(0);
});

describe('a control group that allows less', () => {
  const GIB = 2 ** 30;
  const v2 = {
    '/proc/self/cgroup': '0::/user.slice/bench.scope\n',
    '/proc/self/mountinfo': '31 24 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n',
  };
  const v1 = {
    '/proc/self/cgroup': '8:pids:/\n4:memory:/jobs/7\n1:cpu,cpuacct:/\n0::/\n',
    '/proc/self/mountinfo':
      '36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n',
  };

  test.each<[string, Readonly<Record<string, string>>, number]>([
    [
      'of version 2, with what its cache would give back',
      {
        ...v2,
        '/sys/fs/cgroup/user.slice/bench.scope/memory.max': String(4 * GIB),
        '/sys/fs/cgroup/user.slice/bench.scope/memory.current': String(3 * GIB),
        '/sys/fs/cgroup/user.slice/bench.scope/memory.stat': `anon 1\ninactive_file ${2 * GIB}\n`,
      },
      3 * GIB,
    ],
    [
      'above its own',
      {
        ...v2,
        '/sys/fs/cgroup/user.slice/bench.scope/memory.max': 'max',
        '/sys/fs/cgroup/user.slice/memory.max': String(2 * GIB),
        '/sys/fs/cgroup/user.slice/memory.current': String(GIB),
      },
      GIB,
    ],
    [
      'of version 1',
      {
        ...v1,
        '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712',
        '/sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes': String(5 * GIB),
        '/sys/fs/cgroup/memory/jobs/7/memory.usage_in_bytes': String(GIB),
      },
      4 * GIB,
    ],
    [
      'in a container, which sees its own group as the root',
      {
        '/proc/self/cgroup': '0::/../docker/ab12\n',
        '/proc/self/mountinfo': '31 24 0:28 /docker/ab12 /sys/fs/cgroup ro - cgroup2 cgroup rw\n',
        '/sys/fs/cgroup/memory.max': String(GIB),
        '/sys/fs/cgroup/memory.current': '0',
      },
      GIB,
    ],
  ])('%s', (_name, other, availableBytes) => {
    expect(look(other)).toMatchObject({ availableBytes, memoryBound: 'cgroup' });
  });

  it('of tasks', () => {
    const pids = { '/sys/fs/cgroup/pids/pids.max': '512', '/sys/fs/cgroup/pids/pids.current': '12' };
    expect(look({ ...v1, ...pids })).toMatchObject({ threads: 500, threadBound: 'pids.max', memoryBound: 'machine' });
  });
});
