/**
 * What a run will use, worked out before its first socket: processes, descriptors, addresses, memory; or what this machine
 * cannot do, which limit is in the way, and how far it could go.
 */
import { ImgoError } from '../protocol/errors.js';
import type { Machine } from './machine.js';
import type { BenchOptions } from './options.js';

export interface BenchPlan extends BenchOptions {
  readonly workers: number;
  /** Connections of each receiver process: together all of them. */
  readonly receivers: readonly number[];
  /** Loopback addresses that receivers dial from. */
  readonly sources: readonly string[];
  readonly needsBytes: number;
  readonly needsFiles: number;
}

/** Descriptors of a process that are not connections. */
const OTHER_FDS = 320;
/** Connections from one address: the kernel searches longer for a free port the more of them are taken (at 5,000 it shows). */
const PER_SOURCE = 2_000;
/** Memory: a connection with both ends, its share of the kernel's included; a process of either side. */
const CONNECTION_BYTES = 14 * 1_024;
const PROCESS_BYTES = 60 * 1024 * 1024;
const BASE_BYTES = 200 * 1024 * 1024;

/** @throws ImgoError bench_too_big */
export function planRun(options: BenchOptions, machine: Machine): BenchPlan {
  const { connections } = options;
  const each = Math.min(options.perProcess, machine.descriptors - OTHER_FDS);
  const processes = Math.max(1, Math.ceil(connections / each));
  const workers = options.workers === 'auto' ? processes : options.workers;
  const least = Math.floor(connections / processes);
  const receivers = Array.from({ length: processes }, (_, at) => least + (at < connections % processes ? 1 : 0));
  const perSource = Math.min(PER_SOURCE, machine.sourcePorts);
  const count = Math.ceil(connections / perSource);
  const sources = Array.from({ length: count }, (_, at) => `127.0.${1 + Math.floor(at / 250)}.${1 + (at % 250)}`);
  const needsBytes = BASE_BYTES + (processes + workers) * PROCESS_BYTES + connections * CONNECTION_BYTES;
  const needsFiles = 2 * connections + (processes + workers) * OTHER_FDS;
  const limits = [
    {
      name: 'memory',
      here: machine.availableBytes,
      needed: needsBytes,
      holds:
        (machine.availableBytes - BASE_BYTES - 2 * PROCESS_BYTES) / (CONNECTION_BYTES + (2 * PROCESS_BYTES) / each),
    },
    { name: 'open files (fs.file-max)', here: machine.files, needed: needsFiles, holds: machine.files / 2.1 },
    {
      name: 'descriptors of a server process (LimitNOFILE)',
      here: workers * (machine.descriptors - OTHER_FDS),
      needed: connections,
      holds: workers * (machine.descriptors - OTHER_FDS),
    },
  ];
  const short = limits.filter(({ here, needed }) => needed > here).sort((a, b) => a.holds - b.holds)[0];
  if (short !== undefined) {
    throw new ImgoError('bench_too_big', {
      conns: connections,
      limit: short.name,
      here: Math.floor(short.here),
      needed: Math.ceil(short.needed),
      holds: Math.max(0, Math.floor(short.holds / 1_000) * 1_000),
    });
  }
  return { ...options, workers, receivers, sources, needsBytes, needsFiles };
}
