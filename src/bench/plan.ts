/**
 * What a run will use, worked out before its first socket: processes, descriptors, addresses, memory, and what can be expected;
 * or what this machine cannot do, which limits are in the way, and how far it could go.
 */
import { ImgoError } from '../protocol/errors.js';
import { addressPool, sourcesFor } from './addresses.js';
import { type Expectation, expectationOf } from './expectation.js';
import { layoutOf, shares } from './layout.js';
import { filesFor, type Limit, limitsOf, memoryFor } from './limits.js';
import type { Machine } from './machine.js';
import { count, size } from './numbers.js';
import type { BenchOptions } from './options.js';
import { isCrowded } from './turns.js';

export interface BenchPlan extends BenchOptions {
  /** Processes of the server that hold connections; 0: the server is not this run's own. */
  readonly workers: number;
  /** Connections of each receiver process: together all of them. */
  readonly receivers: readonly number[];
  /** Loopback addresses that receivers dial from, all used alike; empty: the kernel chooses, as the server is elsewhere. */
  readonly sources: readonly string[];
  /** Connections that may wait to be accepted, all listeners together: more under way at a time overflow them. */
  readonly backlog: number;
  readonly needsBytes: number;
  readonly needsFiles: number;
  /** undefined: no message is pushed to many. */
  readonly expectation: Expectation | undefined;
}

/** A server's listener asks for so many; the kernel gives at most somaxconn. */
const LISTEN_BACKLOG = 4_096;
/** Where many processes share a core each waits for its turn: a server of the run's own does not give up a client for that. */
const PATIENT = 'limits.handshake=30s';
/** No plan is looked for beyond. */
const MOST = 2 ** 27;

/** @throws ImgoError bench_too_big with a table of the limits in the way; usage: addresses outside of loopback */
export function planRun(options: BenchOptions, machine: Machine): BenchPlan {
  const { connections } = options;
  const pool = addressPool(options.addresses);
  const limits = limitsOf(options, machine, pool);
  const short = limits.filter(({ needed, here }) => needed(connections) > here);
  if (short.length > 0) throw tooBig(connections, short, largest(limits));
  const layout = layoutOf(options, machine, connections);
  return {
    ...options,
    workers: layout.workers,
    settings: isCrowded(layout.workers, machine.cores) ? [PATIENT, ...options.settings] : options.settings,
    receivers: shares(connections, layout.receivers),
    sources: layout.where === 'elsewhere' ? [] : sourcesFor(pool, connections, machine.sourcePorts, options.seed),
    backlog: Math.max(1, layout.workers) * Math.min(LISTEN_BACKLOG, machine.somaxconn, machine.synBacklog),
    needsBytes: memoryFor(options, layout, connections),
    needsFiles: filesFor(layout, connections),
    expectation: expectationOf(options, layout.where, machine),
  };
}

/** How many connections this machine holds, in round figures and with a little to spare; `options.connections` does not count. */
export function largestPlan(options: BenchOptions, machine: Machine): number {
  return largest(limitsOf(options, machine, addressPool(options.addresses)));
}

function largest(limits: readonly Limit[]): number {
  return roundDown(0.99 * Math.min(...limits.map(heldBy)));
}

/** How many connections this limit alone would allow. */
function heldBy({ needed, here }: Limit): number {
  let held = 0;
  for (let step = MOST; step >= 1; step /= 2) if (needed(held + step) <= here) held += step;
  return held;
}

/** Three digits: what is free changes from one look to the next. */
function roundDown(value: number): number {
  if (value < 1_000) return Math.floor(value);
  const unit = 10 ** (Math.floor(Math.log10(value)) - 2);
  return Math.floor(value / unit) * unit;
}

function tooBig(connections: number, short: readonly Limit[], holds: number): ImgoError {
  const shown = (value: number, unit: Limit['unit']) => (unit === 'bytes' ? size(value) : count(value));
  const rows = short.map((limit) => {
    const needed = limit.needed(connections);
    const { name, here, unit, change } = limit;
    return [name, shown(here, unit), count(roundDown(heldBy(limit))), shown(needed, unit), change(needed)];
  });
  const table = { columns: ['limit', 'here', 'holds', 'needed', 'change'], rows };
  const details = { conns: count(connections), ...(holds > 0 ? { holds } : {}) };
  return new ImgoError('bench_too_big', details, { table });
}
