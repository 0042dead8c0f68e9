/**
 * What a parent and its workers say to each other. A worker dials the parent's socket, asks for its orders, joins through the
 * parent's registry, and listens when it is told to; from then on it is a comet like any other.
 */
import type { CometAddresses } from '../comet/listeners.js';
import type { CometOptions, LiveCometOptions } from '../comet/options.js';
import type { OtlpSettings } from '../observe/otlp-settings.js';
import { SERVICE_CALLS } from '../rpc/calls.js';
import type { LinkOptions } from '../rpc/link.js';

/** What a worker is told at its start. */
export interface WorkerOrders {
  readonly options: CometOptions;
  readonly version: string;
  readonly renewMs: number;
  /** Where spans go; undefined: nowhere. */
  readonly otlp?: OtlpSettings | undefined;
}

/** What a parent offers its workers beside logic and the registry. */
export interface ParentService {
  orders(): Promise<WorkerOrders>;
  warn(details: object, message: string): Promise<void>;
}

/** What a worker offers beside its comet. */
export interface WorkerService {
  /** Takes connections. `ports`: where the first worker listens, when any free port was asked for. */
  listen(ports: WorkerPorts): Promise<CometAddresses>;
  /** Takes over what of its options can change; a worker that starts later has them in its orders. */
  reload(live: LiveCometOptions): Promise<void>;
  /** Graceful; the process ends after the answer. */
  stop(timeoutMs: number): Promise<void>;
}

/** Ports of the listeners that are on. */
export interface WorkerPorts {
  readonly tcp?: number;
  readonly ws?: number;
  readonly goim?: number;
}

/** Which methods each service has over a link. */
export const CALLS = {
  parent: ['orders', 'warn'],
  worker: ['listen', 'reload', 'stop'],
  lease: SERVICE_CALLS.lease,
  logic: SERVICE_CALLS.logic,
  comet: SERVICE_CALLS.comet,
  events: SERVICE_CALLS.events,
} as const satisfies {
  readonly parent: readonly (keyof ParentService)[];
  readonly worker: readonly (keyof WorkerService)[];
  readonly [service: string]: readonly string[];
};

/** How patient a parent and its workers are with each other, ms. */
export interface WorkerTimes extends Required<Pick<LinkOptions, 'deadlineMs' | 'silenceMs'>> {
  /** From the spawn to having joined. */
  readonly startMs: number;
  /** How long a job waits until a worker has taken what it was told; then the worker is to read heads again. */
  readonly ackMs: number;
  /** How long a worker's lease holds; as long a worker without its parent keeps its sockets. */
  readonly leaseMs: number;
  /** Between two turns of a worker's event loop, at least; 0: as they come. */
  readonly turnMs: number;
}

/**
 * With a core for each process, silence of seconds is a process that hangs. Where many share a core (a low limit of
 * descriptors, not speed, made them many), each waits for its turn, and giving one up for that would take its
 * connections with it. That a process has ended is seen at once in either case.
 */
export function workerTimes(workers: number, cores: number): WorkerTimes {
  return isCrowded(workers, cores)
    ? { startMs: 120_000, deadlineMs: 30_000, silenceMs: 30_000, ackMs: 20_000, leaseMs: 45_000, turnMs: 50 }
    : { startMs: 20_000, deadlineMs: 10_000, silenceMs: 8_000, ackMs: 1_000, leaseMs: 10_000, turnMs: 0 };
}

/** More processes than a few for each core. */
export function isCrowded(workers: number, cores: number): boolean {
  return workers > 4 * cores;
}
