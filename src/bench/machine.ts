// What this machine allows, as far as a benchmark needs to know: read from /proc, changed nowhere.

import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, freemem, release, totalmem } from 'node:os';

/** What bounds a run. Bytes and counts; Infinity where it cannot be read. */
export interface Machine {
  readonly cores: number;
  readonly model: string;
  readonly kernel: string;
  readonly memoryBytes: number;
  readonly availableBytes: number;
  /** Descriptors of one process (hard limit). */
  readonly descriptors: number;
  /** Ports that one address may dial from. */
  readonly sourcePorts: number;
  /** Open files of the whole machine. */
  readonly files: number;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Looks at the machine as it is now. */
export function lookAtMachine(): Machine {
  const limit = /^Max open files\s+\S+\s+(\d+)/m.exec(read('/proc/self/limits'))?.[1];
  const [low, high] = read('/proc/sys/net/ipv4/ip_local_port_range').trim().split(/\s+/).map(Number);
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(read('/proc/meminfo'))?.[1];
  const files = Number(read('/proc/sys/fs/file-max'));
  return {
    cores: availableParallelism(),
    model: cpus()[0]?.model ?? 'unknown',
    kernel: release(),
    memoryBytes: totalmem(),
    availableBytes: available === undefined ? freemem() : Number(available) * 1_024,
    descriptors: limit === undefined ? Number.POSITIVE_INFINITY : Number(limit),
    sourcePorts: low === undefined || high === undefined ? 28_232 : high - low + 1,
    files: files > 0 ? files : Number.POSITIVE_INFINITY,
  };
}

/** CPU seconds and resident bytes of processes, those they share counted once; what has ended is left out. */
export function usageOf(pids: readonly number[]): { readonly cpuSeconds: number; readonly rssBytes: number } {
  let ticks = 0;
  let kib = 0;
  for (const pid of pids) {
    const stat = read(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
    kib += Number(/^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
  }
  return { cpuSeconds: ticks / 100, rssBytes: kib * 1_024 };
}

/** A process and all that it started. */
export function processTree(root: number): readonly number[] {
  const pids = [root];
  for (const pid of pids) {
    const children = read(`/proc/${pid}/task/${pid}/children`).trim();
    if (children !== '') pids.push(...children.split(' ').map(Number));
  }
  return pids;
}
