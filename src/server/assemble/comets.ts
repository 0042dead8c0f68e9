// Where connections are held: in this process, or in its workers.

import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import type { NodeId } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import type { CometAddresses } from '../comet/listeners.js';
import type { CometOptions, LiveCometOptions } from '../comet/options.js';
import type { Config } from '../config.js';
import type { EventHub, WatchService } from '../observe/hub.js';
import type { OtlpSettings } from '../observe/otlp-settings.js';
import type { TraceStore } from '../observe/traces.js';
import type { NodeRecord, Registry, Role } from '../router/registry.js';
import type { LeaseService } from '../rpc/calls.js';
import type { CometService, LogicService } from '../rpc/services.js';
import type { Buckets } from '../store/buckets.js';

/** Between two renewals of a lease. */
export const RENEW_MS = 2_000;
/** Descriptors of a worker that are not connections. */
const PROCESS_FDS = 64;

export interface Comets {
  cometFor(node: NodeId): CometService | undefined;
  /** Those that there are now. */
  all(): readonly CometService[];
  /** Where events of that node are, of this process or its workers. */
  eventsFor(node: NodeId): WatchService | undefined;
  listen(): Promise<void>;
  /** All go on with these. */
  reload(live: LiveCometOptions): void;
  addresses(): CometAddresses;
  /** Codes of what keeps them from taking clients. */
  problems(): readonly string[];
  stop(timeoutMs: number): Promise<void>;
}

export interface CometsParts {
  readonly log: Logger;
  readonly version: string;
  readonly logic: LogicService;
  readonly lease: LeaseService;
  readonly clock: Clock;
  readonly node: NodeId;
  readonly roles: readonly Role[];
  /** Where jobs and logics of other processes reach it. */
  readonly address: string;
  readonly onTaken: (holder: NodeRecord) => void;
  /** Where events of this process go. */
  readonly hub: EventHub;
  readonly traces: TraceStore;
  /** Where spans go; undefined: nowhere. */
  readonly otlp: OtlpSettings | undefined;
  /** Of this process: what workers need of their parent. */
  readonly store: { readonly registry: Registry; readonly buckets: Buckets } | undefined;
}

/** Joins; takes connections once `listen` was called. */
export async function startComets(options: CometOptions, count: number, parts: CometsParts): Promise<Comets> {
  const { log, node, version, store, lease } = parts;
  if (count > 1 && store !== undefined) {
    const { Supervisor } = await import('../workers/supervisor.js');
    const supervisor = new Supervisor({
      ...parts,
      ...store,
      count,
      orders: { options, version, renewMs: RENEW_MS, otlp: parts.otlp },
    });
    try {
      await supervisor.start();
    } catch (error) {
      await supervisor.stop(0);
      throw error;
    }
    return Object.assign(supervisor, { problems: () => [] });
  }
  const { createComet } = await import('../comet/comet.js');
  const comet = await createComet({ ...parts, registry: lease, log, options, renewMs: RENEW_MS });
  return {
    cometFor: (asked) => (asked === node ? comet.service : undefined),
    all: () => [comet.service],
    eventsFor: (asked) => (asked === node ? parts.hub : undefined),
    listen: () => comet.listen(),
    reload: (live) => comet.reload(live),
    addresses: () => comet.addresses(),
    problems: () => comet.problems(),
    stop: (timeoutMs) => comet.stop(timeoutMs),
  };
}

/** `auto`: a process for each core, and as many as the connections asked for need descriptors. */
export async function workerCount({ workers, limits: { maxConns, reserveFds } }: Config): Promise<number> {
  if (workers !== 'auto') return workers;
  const { descriptorLimit } = await import('../observe/process.js');
  const each = Math.max(1, descriptorLimit() - reserveFds - PROCESS_FDS);
  return Math.max(availableParallelism(), maxConns === 'auto' ? 1 : Math.ceil(maxConns / each));
}
