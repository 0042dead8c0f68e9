// What this machine allows, as far as a benchmark needs to know: read from /proc and the control groups, changed nowhere.

import { availableParallelism, cpus, freemem, release, totalmem } from 'node:os';
import { groupRoom } from './cgroup.js';
import { type ReadText, readHere } from './read-text.js';

/** What bounds a run. Bytes and counts; Infinity where there is no limit or it cannot be read (null in JSON). */
export interface Machine {
  readonly cores: number;
  readonly model: string;
  readonly kernel: string;
  readonly memoryBytes: number;
  /** Free to this process: of the machine, or of its control group where that is less. */
  readonly availableBytes: number;
  readonly memoryBound: 'machine' | 'cgroup';
  /** Descriptors of one process (hard limit). */
  readonly descriptors: number;
  /** Ports that one address may dial from. */
  readonly sourcePorts: number;
  /** Open files of the whole machine: allowed, and open now. */
  readonly files: number;
  readonly openFiles: number;
  /** Where the kernel begins to press on socket buffers of TCP, and where it refuses more. */
  readonly tcpPressureBytes: number;
  readonly tcpMemBytes: number;
  /** Connections that may wait to be accepted, of one listener; and half open ones. */
  readonly somaxconn: number;
  readonly synBacklog: number;
  /** Connections that the firewall can still track; Infinity: it tracks none. */
  readonly conntrack: number;
  /** Threads that may still be started, and by which knob. */
  readonly threads: number;
  readonly threadBound: 'kernel.threads-max' | 'kernel.pid_max' | 'pids.max';
}

/** Linux's own, where it cannot be read. */
const SOURCE_PORTS = 28_232;
const PAGE_BYTES = 4_096;

/** Looks at the machine as it is now. */
export function lookAtMachine(read: ReadText = readHere): Machine {
  const number = (path: string, otherwise = Number.POSITIVE_INFINITY) => {
    const text = read(path).trim();
    return text === '' ? otherwise : Number(text);
  };
  const numbers = (path: string) => read(path).trim().split(/\s+/).map(Number);
  const descriptors = /^Max open files\s+\S+\s+(\d+)/m.exec(read('/proc/self/limits'))?.[1];
  const [low, high] = numbers('/proc/sys/net/ipv4/ip_local_port_range');
  const [, tcpPressure = Number.POSITIVE_INFINITY, tcpMost = Number.POSITIVE_INFINITY] =
    numbers('/proc/sys/net/ipv4/tcp_mem');
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(read('/proc/meminfo'))?.[1];
  const availableBytes = available === undefined ? freemem() : Number(available) * 1_024;
  const group = groupRoom(read);
  const tracked = number('/proc/sys/net/netfilter/nf_conntrack_count', 0);
  const running = Number(/\/(\d+)/.exec(read('/proc/loadavg'))?.[1] ?? 0);
  const [threads, threadBound] = (
    [
      [number('/proc/sys/kernel/threads-max') - running, 'kernel.threads-max'],
      [number('/proc/sys/kernel/pid_max') - running, 'kernel.pid_max'],
      [group.tasks, 'pids.max'],
    ] as const
  ).reduce((least, one) => (one[0] < least[0] ? one : least));
  return {
    cores: availableParallelism(),
    model: cpus()[0]?.model ?? 'unknown',
    kernel: release(),
    memoryBytes: totalmem(),
    availableBytes: Math.min(availableBytes, group.bytes),
    memoryBound: group.bytes < availableBytes ? 'cgroup' : 'machine',
    descriptors: descriptors === undefined ? Number.POSITIVE_INFINITY : Number(descriptors),
    sourcePorts: low === undefined || high === undefined ? SOURCE_PORTS : high - low + 1,
    files: number('/proc/sys/fs/file-max'),
    openFiles: numbers('/proc/sys/fs/file-nr')[0] ?? 0,
    tcpPressureBytes: tcpPressure * PAGE_BYTES,
    tcpMemBytes: tcpMost * PAGE_BYTES,
    somaxconn: number('/proc/sys/net/core/somaxconn'),
    synBacklog: number('/proc/sys/net/ipv4/tcp_max_syn_backlog'),
    // The module alone tracks nothing: a rule has to ask for it, and then there is always something that is tracked.
    conntrack: tracked === 0 ? Number.POSITIVE_INFINITY : number('/proc/sys/net/netfilter/nf_conntrack_max') - tracked,
    threads,
    threadBound,
  };
}

/** A process and all that it started. */
export function processTree(root: number): readonly number[] {
  const pids = [root];
  for (const pid of pids) {
    const children = readHere(`/proc/${pid}/task/${pid}/children`).trim();
    if (children !== '') pids.push(...children.split(' ').map(Number));
  }
  return pids;
}
