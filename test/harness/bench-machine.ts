// A machine as `lookAtMachine` finds one, made up: 2 cores, 24 GiB, 20,000 descriptors a process.
import type { Machine } from '../../src/bench/machine.js';

export function madeUpMachine(other: Partial<Machine> = {}): Machine {
  return {
    cores: 2,
    model: 'made up',
    kernel: '6.18',
    memoryBytes: 24 * 2 ** 30,
    availableBytes: 22 * 2 ** 30,
    memoryBound: 'machine',
    descriptors: 20_000,
    sourcePorts: 28_232,
    files: 2_466_183,
    openFiles: 4_000,
    tcpPressureBytes: 1.5 * 2 ** 30,
    tcpMemBytes: 2.25 * 2 ** 30,
    somaxconn: 4_096,
    synBacklog: 1_024,
    conntrack: Number.POSITIVE_INFINITY,
    threads: 190_000,
    threadBound: 'kernel.threads-max',
    ...other,
  };
}
