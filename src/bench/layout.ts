// How so many connections are spread over processes, on either side: what one process can hold, and how many there are.
import type { Machine } from './machine.js';
import type { BenchOptions } from './options.js';

/** Where the server is: a run's own, one that runs on this machine, one elsewhere. */
export type Where = 'own' | 'here' | 'elsewhere';

export interface Layout {
  readonly where: Where;
  /** Server processes that hold connections; of a server that is not this run's own nobody knows. */
  readonly workers: number;
  /** All processes of the server, with the one that is no worker. */
  readonly serverProcesses: number;
  readonly receivers: number;
}

/** Descriptors of a process that are not its connections. The server keeps 256 back (`limits.reserve_fds`) and takes some 30. */
const SERVER_FDS = 320;
const CLIENT_FDS = 64;
/** A process is worth its memory from here on. */
const LEAST_SHARE = 100;
/** A second core is worth using from so many connections on. */
const SHARE_OF_A_CORE = 5_000;

export function layoutOf(options: BenchOptions, machine: Machine, connections: number): Layout {
  const where = whereIs(options.server);
  const { descriptors, cores } = machine;
  const spread = Math.min(Math.floor(cores / 2), Math.floor(connections / SHARE_OF_A_CORE));
  const processes = (room: number) =>
    Math.ceil(connections / Math.min(options.perProcess, Math.max(LEAST_SHARE, room)));
  const room = descriptors - SERVER_FDS;
  const auto = Math.max(spread, processes(room) <= 1 ? 1 : processes(evenShare(room)));
  const workers = where !== 'own' ? 0 : options.workers === 'auto' ? auto : options.workers;
  return {
    where,
    workers,
    serverProcesses: workers > 1 ? workers + 1 : workers,
    receivers: connections === 0 ? 0 : Math.max(spread, processes(descriptors - CLIENT_FDS)),
  };
}

/** Connections of each of so many processes: together all of them, and nearly alike. */
export function shares(connections: number, processes: number): readonly number[] {
  const least = Math.floor(connections / Math.max(1, processes));
  return Array.from({ length: processes }, (_, at) => least + (at < connections % processes ? 1 : 0));
}

/** Descriptors that a receiver process needs at least: connections can be spread over more of them, down to this. */
export function receiverDescriptors(options: BenchOptions, connections: number): number {
  return CLIENT_FDS + Math.min(connections, options.perProcess, LEAST_SHARE);
}

/** The same of a server process; where their number was given, what the fullest of them needs. */
export function serverDescriptors(options: BenchOptions, connections: number): number {
  const { workers, perProcess } = options;
  if (workers === 'auto') return SERVER_FDS + Math.min(connections, perProcess, LEAST_SHARE);
  return workerDescriptors(workers, connections);
}

/** Descriptors that each of so many server processes needs, when they hold so many connections together. */
export function workerDescriptors(workers: number, connections: number): number {
  const share = connections / workers;
  return SERVER_FDS + Math.ceil(workers === 1 ? share : share + unevenness(share));
}

/** Server processes that hold so many connections with so many descriptors each. */
export function workersFor(descriptors: number, connections: number): number {
  const room = descriptors - SERVER_FDS;
  if (connections <= room) return 1;
  return Math.ceil(connections / Math.max(LEAST_SHARE, evenShare(room)));
}

/** The kernel spreads connections over listeners of one port by a hash: one process gets more, another less (five sigma). */
function unevenness(share: number): number {
  return 5 * Math.sqrt(share);
}

/** The largest even share with which the fullest process still has room. */
function evenShare(room: number): number {
  if (!Number.isFinite(room)) return room;
  return Math.floor((Math.sqrt(6.25 + Math.max(0, room)) - 2.5) ** 2);
}

function whereIs(server: string | undefined): Where {
  if (server === undefined) return 'own';
  const { hostname } = new URL(server);
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname) ? 'here' : 'elsewhere';
}
