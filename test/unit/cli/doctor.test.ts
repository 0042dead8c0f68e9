// `imgo doctor` on machines made of files as /proc and /sys have them: for each limit, one that is fine and one that is not, with
// the line that puts it right; then what it says of this machine, its folders and its ports.

import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { lookAtMachine } from '../../../src/bench/machine.js';
import { examine } from '../../../src/cli/doctor/doctor.js';
import type { Finding } from '../../../src/cli/doctor/finding.js';
import { clock, data, disk, node, ports } from '../../../src/cli/doctor/here.js';
import { kernelFindings } from '../../../src/cli/doctor/kernel.js';
import { parseTarget, targetOf } from '../../../src/cli/doctor/target.js';
import { type LoadedConfig, loadConfig } from '../../../src/server/config-load.js';

/** A machine on which a million connections go well. */
const GOOD: Readonly<Record<string, string>> = {
  '/proc/self/limits': 'Max open files            1024                 1048576              files\n',
  '/proc/meminfo': 'MemTotal: 65536000 kB\nMemAvailable: 60000000 kB\nSwapTotal: 0 kB\n',
  '/proc/loadavg': '0.10 0.20 0.30 2/150 4711\n',
  '/proc/sys/fs/file-max': '9223372036854775807\n',
  '/proc/sys/fs/file-nr': '4227\t0\t9223372036854775807\n',
  '/proc/sys/fs/nr_open': '1048576\n',
  '/proc/sys/net/ipv4/ip_local_port_range': '10240\t65535\n',
  '/proc/sys/net/ipv4/tcp_mem': '1000000\t1500000\t2000000\n',
  '/proc/sys/net/ipv4/tcp_wmem': '4096\t16384\t262144\n',
  '/proc/sys/net/ipv4/tcp_rmem': '4096\t131072\t6291456\n',
  '/proc/sys/net/ipv4/tcp_max_syn_backlog': '8192\n',
  '/proc/sys/net/core/somaxconn': '4096\n',
  '/proc/sys/kernel/threads-max': '192000\n',
  '/proc/sys/kernel/pid_max': '4194304\n',
  '/proc/sys/vm/swappiness': '60\n',
};
const GROUP = {
  '/proc/self/cgroup': '0::/imgo.service\n',
  '/proc/self/mountinfo': '31 24 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n',
};

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imgo-doctor-'));
});
afterEach(() => {
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true, force: true });
});

/** A folder with such files, and how it is read. */
function machineOf(other: Readonly<Record<string, string>>): (path: string) => string {
  for (const [path, text] of Object.entries({ ...GOOD, ...other })) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return (path) => {
    try {
      return readFileSync(join(folder, path), 'utf8');
    } catch {
      return '';
    }
  };
}

function configOf(settings: Readonly<Record<string, string | number>>): LoadedConfig {
  const flags = Object.entries(settings).map(([key, value]) => ({ key, value: String(value), where: key }));
  return loadConfig({ env: {}, flags, folder });
}

function look(other: Readonly<Record<string, string>>, asked?: number, settings = {}): readonly Finding[] {
  const read = machineOf(other);
  const machine = lookAtMachine(read);
  return kernelFindings(machine, read, targetOf(configOf(settings), machine, asked));
}
const wrong = (findings: readonly Finding[]) => findings.filter(({ state }) => state !== 'ok');

describe('a machine that is fit', () => {
  it.each([undefined, 1_000_000])('has nothing to put right for %s connections', (asked) => {
    expect(wrong(look({}, asked))).toEqual([]);
  });

  it('that tells nothing is not blamed', () => {
    const machine = lookAtMachine(() => '');
    const target = targetOf(configOf({}), machine, 1_000);
    expect(wrong(kernelFindings(machine, () => '', target))).toEqual([]);
  });
});

describe('what is not enough comes with the line that puts it right', () => {
  const limits = (hard: number) => ({ '/proc/self/limits': `Max open files 1024 ${hard} files\n` });
  const tracked = (count: number) => ({
    '/proc/sys/net/netfilter/nf_conntrack_max': '262144',
    '/proc/sys/net/netfilter/nf_conntrack_count': String(count),
  });
  const M = 1_000_000;

  test.each<[string, Readonly<Record<string, string>>, number | undefined, Partial<Finding>]>([
    ['descriptors', limits(1_024), undefined, { state: 'warning', unit: ['LimitNOFILE=1048576'] }],
    ['open files', { '/proc/sys/fs/file-max': '100000' }, M, { state: 'error', sysctl: ['fs.file-max = 1100000'] }],
    ['open files', { '/proc/sys/fs/file-max': '6000' }, undefined, { state: 'warning' }],
    ['memory', { '/proc/meminfo': 'MemAvailable: 4000000 kB\n' }, M, { state: 'error', needed: '13 GiB' }],
    ['memory', { '/proc/meminfo': 'MemAvailable: 40000 kB\n' }, undefined, { state: 'warning' }],
    [
      'memory',
      {
        ...GROUP,
        '/sys/fs/cgroup/imgo.service/memory.max': '4294967296',
        '/sys/fs/cgroup/imgo.service/memory.current': '0',
      },
      M,
      { state: 'error', unit: [expect.stringMatching(/^MemoryMax=\d+M$/) as unknown as string] },
    ],
    [
      'tasks',
      { ...GROUP, '/sys/fs/cgroup/imgo.service/pids.max': '20', '/sys/fs/cgroup/imgo.service/pids.current': '10' },
      undefined,
      { state: 'error', unit: ['TasksMax=44'] },
    ],
    ['tasks', { '/proc/sys/kernel/pid_max': '160' }, undefined, { state: 'error', sysctl: ['kernel.pid_max = 44'] }],
    ['somaxconn', { '/proc/sys/net/core/somaxconn': '128' }, undefined, { sysctl: ['net.core.somaxconn = 4096'] }],
    [
      'tcp_max_syn_backlog',
      { '/proc/sys/net/ipv4/tcp_max_syn_backlog': '2048' },
      M,
      { state: 'warning', sysctl: ['net.ipv4.tcp_max_syn_backlog = 8192'] },
    ],
    ['conntrack', tracked(44), M, { state: 'error', sysctl: ['net.netfilter.nf_conntrack_max = 1200000'] }],
    ['conntrack', tracked(262_000), undefined, { state: 'warning' }],
    [
      'ephemeral ports',
      { '/proc/sys/net/ipv4/ip_local_port_range': '32768 60999' },
      M,
      { state: 'warning', sysctl: ['net.ipv4.ip_local_port_range = 10240 65535'] },
    ],
    [
      'tcp_mem',
      { '/proc/sys/net/ipv4/tcp_mem': '287898 383867 575796', '/proc/sys/net/ipv4/tcp_wmem': '4096 16384 131072' },
      M,
      { state: 'warning', sysctl: ['net.ipv4.tcp_mem = 500000 750000 1000000'] },
    ],
    [
      'tcp buffers',
      { '/proc/sys/net/ipv4/tcp_wmem': '4096 16384 4194304' },
      M,
      { state: 'warning', sysctl: ['net.ipv4.tcp_wmem = 4096 16384 262144'] },
    ],
    [
      'swap',
      { '/proc/meminfo': 'MemAvailable: 60000000 kB\nSwapTotal: 8000000 kB\n' },
      undefined,
      { sysctl: ['vm.swappiness = 1'] },
    ],
  ])('%s (%#)', (name, other, asked, expected) => {
    expect(wrong(look(other, asked))).toEqual([expect.objectContaining({ name, ...expected })]);
  });

  it('descriptors of processes whose number was set; and the kernel lets a limit be no higher than fs.nr_open', () => {
    const few = { ...limits(20_000), '/proc/sys/fs/nr_open': '65536' };
    expect(wrong(look(few, M, { workers: 4 }))).toMatchObject([
      {
        name: 'descriptors',
        state: 'error',
        advice: [expect.stringContaining('--workers auto --max-conns 1000000: 53 processes'), expect.anything()],
        unit: ['LimitNOFILE=260000'],
        sysctl: ['fs.nr_open = 260000'],
      },
    ]);
    const apart = { role: 'comet', 'cluster.logic': '10.0.0.1:7173', 'cluster.key_file': 'k' };
    expect(wrong(look(few, M, apart))).toMatchObject([
      { name: 'descriptors', advice: [expect.stringMatching(/^53 comets, each with ports/), expect.anything()] },
    ]);
    expect(wrong(look(few, M, { workers: 'auto' }))).toEqual([]);
    expect(wrong(look(few, M))).toEqual([]);
  });

  it('limits.max_conns is a target as well', () => {
    const [found] = wrong(look(limits(20_000), undefined, { workers: 1, 'limits.max_conns': 50_000 }));
    expect(found).toMatchObject({ name: 'descriptors', unit: ['LimitNOFILE=65536'] });
  });
});

test.each<[string, number | undefined]>([
  ['1M', 1_000_000],
  ['200k', 200_000],
  ['50000', 50_000],
  ['0', undefined],
  ['1G', undefined],
  ['-5', undefined],
  ['1.5M', undefined],
  ['900000000M', undefined],
])('a target of %s', (text, value) => {
  if (value === undefined) expect(() => parseTarget(text)).toThrow(expect.objectContaining({ code: 'usage' }));
  else expect(parseTarget(text)).toBe(value);
});

describe('what a server needs beside the kernel', () => {
  const GIB = 2 ** 30;

  it('an old Node', () => {
    expect(node('v20.20.2')).toMatchObject({ state: 'error', needed: 'Node 24' });
    expect(node(process.version).state).toBe('ok');
  });

  test.each<[string, { bavail: number; bsize: number; type: number }, string]>([
    ['a free one', { bavail: 10 * GIB, bsize: 1, type: 0xef53 }, 'ok'],
    ['one that is nearly full', { bavail: 0.6 * GIB, bsize: 1, type: 0xef53 }, 'warning'],
    ['one below the reserve', { bavail: 0.2 * GIB, bsize: 1, type: 0xef53 }, 'error'],
    ['memory', { bavail: 10 * GIB, bsize: 1, type: 0x01021994 }, 'warning'],
    ['a network', { bavail: 10 * GIB, bsize: 1, type: 0x6969 }, 'warning'],
  ])('a disk: %s', (_name, found, state) => {
    expect(disk(found, 256 * 2 ** 20).state).toBe(state);
  });

  it('a data folder: one to be made, one for its owner, one for everybody, one that is a file, one that may not be made', async () => {
    const found = async (path: string) => (await data(configOf({ data: join(folder, path) }).config))[0];
    expect(await found('new/deeper')).toMatchObject({ state: 'ok', found: expect.stringContaining('will be made') });
    mkdirSync(join(folder, 'own'), { mode: 0o700 });
    expect(await found('own')).toMatchObject({ state: 'ok' });
    mkdirSync(join(folder, 'all'));
    chmodSync(join(folder, 'all'), 0o755);
    expect(await found('all')).toMatchObject({ state: 'warning', advice: [expect.stringMatching(/^chmod 700 /)] });
    writeFileSync(join(folder, 'file'), '');
    expect(await found('file')).toMatchObject({ state: 'error' });
    expect(await found('file/below')).toMatchObject({ state: 'error' });
    expect(await data(configOf({ data: 'memory' }).config)).toMatchObject([{ state: 'ok' }]);
  });

  it('ports: a free one, one that was named and is taken, one that may move', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const { port } = holder.address() as { port: number };
    const { config } = configOf({ 'listen.http': port, 'listen.ws': 0, 'listen.tcp': 'off' });
    expect(await ports(config)).toMatchObject([
      { name: 'port http', state: 'error', found: expect.stringContaining(`(pid ${process.pid})`) },
    ]);
    const moving = { ...config, listen: { ...config.listen, http: { host: '127.0.0.1', port, named: false } } };
    expect(await ports(moving)).toMatchObject([{ state: 'warning' }]);
    await new Promise((resolve) => holder.close(resolve));
    expect(await ports(config)).toMatchObject([{ state: 'ok' }]);
  });

  test.each<[number, string]>([
    [200, 'ok'],
    [-1_500, 'warning'],
    [6_000, 'error'],
  ])('a clock that is %d ms off', async (ms, state) => {
    expect(await clock({ ms, of: 'another' })).toMatchObject({ state });
  });

  it('brokers that do not answer', async () => {
    const settings = { role: 'job', 'redis.url': 'redis://127.0.0.1:1', 'cluster.key_file': 'k', 'listen.http': 0 };
    const kafka = { 'queue.engine': 'kafka', 'queue.kafka.brokers': '127.0.0.1:2', 'cluster.rpc': 0 };
    const { findings } = await examine(configOf({ ...settings, ...kafka }), undefined, machineOf({}));
    expect(findings.filter(({ name }) => name === 'redis' || name === 'kafka')).toMatchObject([
      { name: 'redis', state: 'error', found: expect.stringContaining('ECONNREFUSED') },
      { name: 'kafka', state: 'error', found: expect.stringContaining('ECONNREFUSED') },
    ]);
  }, 30_000);
});

it('this machine is examined without a word of complaint', async () => {
  const { findings } = await examine(configOf({ 'listen.http': 0, 'listen.ws': 0, 'listen.tcp': 0 }), undefined);
  expect(findings.length).toBeGreaterThan(12);
  for (const { found } of findings) expect(found).not.toMatch(/NaN|undefined|Infinity/);
});
