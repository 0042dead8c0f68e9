/**
 * What may be in the way of so many connections: each limit of the machine with what is there, what a run needs, and the knob
 * that moves it. Memory was measured, not guessed: Linux 6.18, x64, Node 24; over TCP with 56 processes on either side and up to
 * 800,000 connections, over WebSocket by what 3,000 take more than 1,000: the private memory of the processes, and the kernel's
 * for their sockets.
 */
import { type AddressPool, usablePorts } from './addresses.js';
import { messagesOfOne } from './expectation.js';
import { type Layout, layoutOf, receiverDescriptors, serverDescriptors } from './layout.js';
import type { Machine } from './machine.js';
import type { BenchOptions, BenchTransport } from './options.js';

export interface Limit {
  readonly name: string;
  readonly here: number;
  readonly unit: 'bytes' | 'count';
  /** For so many connections; it never falls when they become more. */
  readonly needed: (connections: number) => number;
  /** What moves it far enough. */
  readonly change: (needed: number) => string;
}

/** A process for connections by itself; the coordinator, the server's main process and all that is shared. */
const RECEIVER_BYTES = 10 * 2 ** 20;
const SERVER_BYTES = 17 * 2 ** 20;
const BASE_BYTES = 256 * 2 ** 20;
/** A connection in its process, on either side, and one end of it in the kernel. */
const CLIENT_BYTES: Record<BenchTransport, number> = { tcp: 2_816, ws: 2_816 };
const SESSION_BYTES: Record<BenchTransport, number> = { tcp: 3_840, ws: 8_192 };
const SOCKET_BYTES = 5_120;
/** The coordinator's share: a token, until it is used. */
const TOKEN_BYTES = 128;
/** What is not read waits in the kernel, in whole pages, up to what a socket's buffer is by default. */
const PAGE_BYTES = 4_096;
const RECEIVE_BUFFER = 131_072;
/** A Node process that uses its pool; and its files that are no connections. */
export const THREADS = 11;
export const FILES = 40;

/** Every limit that counts for such a run. */
export function limitsOf(options: BenchOptions, machine: Machine, pool: AddressPool): readonly Limit[] {
  const layout = (connections: number) => layoutOf(options, machine, connections);
  const { where, workers } = layout(0);
  const limits: Limit[] = [
    {
      name: machine.memoryBound === 'cgroup' ? 'memory of the control group' : 'memory',
      here: machine.availableBytes,
      unit: 'bytes',
      needed: (connections) => memoryFor(options, layout(connections), connections),
      change: () =>
        machine.memoryBound === 'cgroup' ? 'memory.max of the group' : 'a machine with more, or free some',
    },
    {
      name: 'open files',
      here: machine.files - machine.openFiles,
      unit: 'count',
      needed: (connections) => filesFor(layout(connections), connections),
      change: (needed) => `sysctl -w fs.file-max=${round(needed + machine.openFiles)}`,
    },
    {
      name: 'threads',
      here: machine.threads,
      unit: 'count',
      needed: (connections) => processesOf(layout(connections)) * THREADS,
      change: (needed) =>
        machine.threadBound === 'pids.max'
          ? 'pids.max of the control group'
          : `sysctl -w ${machine.threadBound}=${round(needed * 2)}`,
    },
    {
      name: 'descriptors of a receiver',
      here: machine.descriptors,
      unit: 'count',
      needed: (connections) => receiverDescriptors(options, connections),
      change: hardLimit,
    },
    {
      name: 'tracked connections',
      here: machine.conntrack,
      unit: 'count',
      needed: (connections) => connections,
      change: (needed) => `sysctl -w net.netfilter.nf_conntrack_max=${round(needed * 2)}`,
    },
  ];
  if (where === 'own') {
    limits.push({
      name: workers === 1 ? 'descriptors of the server' : 'descriptors of a server process',
      here: machine.descriptors,
      unit: 'count',
      needed: (connections) => serverDescriptors(options, connections),
      change: (needed) => (options.workers === 'auto' ? hardLimit(needed) : `--workers auto, or ${hardLimit(needed)}`),
    });
  }
  if (where === 'elsewhere') {
    limits.push({
      name: 'ports to the server',
      here: machine.sourcePorts,
      unit: 'count',
      needed: (connections) => connections,
      change: () => 'sysctl -w net.ipv4.ip_local_port_range="1024 65535"',
    });
  } else {
    limits.push({
      name: 'ports of loopback',
      here: pool.limit * usablePorts(machine.sourcePorts),
      unit: 'count',
      needed: (connections) => connections,
      change: () => (options.addresses === 'auto' ? 'net.ipv4.ip_local_port_range' : '--addresses auto'),
    });
  }
  const unread = options.slow * unreadBytes(options);
  if (unread > 0) {
    limits.push({
      name: 'socket buffers of slow readers',
      here: machine.tcpMemBytes,
      unit: 'bytes',
      needed: (connections) => connections * unread,
      change: (needed) =>
        `sysctl -w net.ipv4.tcp_mem="${[1, 1.5, 2].map((part) => round((part * needed) / PAGE_BYTES)).join(' ')}"`,
    });
  }
  return limits;
}

/** What a connection that stops reading has waiting at the end. */
function unreadBytes(options: BenchOptions): number {
  const bytes = (messagesOfOne(options) * options.durationMs * options.sizeBytes) / 1_000;
  return Math.min(RECEIVE_BUFFER, Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES);
}

/** Bytes that the run uses on this machine. */
export function memoryFor(options: BenchOptions, layout: Layout, connections: number): number {
  const { transport } = options;
  const server = layout.where === 'elsewhere' ? 0 : SESSION_BYTES[transport] + SOCKET_BYTES;
  const each = CLIENT_BYTES[transport] + SOCKET_BYTES + TOKEN_BYTES + server;
  return BASE_BYTES + layout.receivers * RECEIVER_BYTES + layout.serverProcesses * SERVER_BYTES + connections * each;
}

/** Bytes that a server with so many connections uses: its processes, and the kernel's for their sockets. */
export function serverBytes(transport: BenchTransport, processes: number, connections: number): number {
  return BASE_BYTES + processes * SERVER_BYTES + connections * (SESSION_BYTES[transport] + SOCKET_BYTES);
}

/** Open files of the machine that the run uses. */
export function filesFor(layout: Layout, connections: number): number {
  return (layout.where === 'elsewhere' ? 1 : 2) * connections + processesOf(layout) * FILES;
}

function processesOf(layout: Layout): number {
  return layout.receivers + layout.serverProcesses + 1;
}

function hardLimit(needed: number): string {
  return `a hard limit of descriptors (LimitNOFILE, ulimit -Hn) of ${round(needed)}`;
}

/** Upwards to two digits: a setting that one can remember. */
export function round(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, value))) - 1);
  return Math.ceil(value / unit) * unit;
}
