// What a machine is judged for: so many connections, in so many processes. Without `--target` it is limits.max_conns where that
// is a number, else nothing in particular. Where nobody set `workers`, it is as many as that takes.

import { workersFor } from '../../bench/layout.js';
import type { Machine } from '../../bench/machine.js';
import { isEmbedded } from '../../server/config.js';
import type { LoadedConfig } from '../../server/config-load.js';
import { wrongValue } from '../flags.js';

/** Connections, and the processes that hold them. */
export interface Target {
  readonly connections: number;
  /** 1: the server itself. */
  readonly workers: number;
  /** The setting, where it is one. */
  readonly fixed: boolean;
  /** A comet of roles apart: more processes are more comets. */
  readonly apart: boolean;
  /** What carries most clients here: the dearer of those that are on. */
  readonly transport: 'ws' | 'tcp';
}

const TARGET = /^([1-9]\d{0,8})([km]?)$/i;
const TIMES: Readonly<Record<string, number>> = { '': 1, k: 1_000, m: 1_000_000 };
/** More than one machine has ever held. */
const MOST = 100_000_000;

/** `1M`, `200k`, `50000`. @throws ImgoError usage */
export function parseTarget(text: string): number {
  const [, digits = '', unit = ''] = TARGET.exec(text) ?? [];
  const value = Number(digits) * (TIMES[unit.toLowerCase()] ?? Number.NaN);
  if (digits === '' || value > MOST) throw wrongValue('target', 'a number of connections such as 1M, 200k or 50000');
  return value;
}

/** What the machine is to hold; undefined: nobody said. */
export function targetOf(
  { config, settings }: Pick<LoadedConfig, 'config' | 'settings'>,
  machine: Machine,
  asked: number | undefined,
): Target | undefined {
  const { maxConns } = config.limits;
  const connections = asked ?? (maxConns === 'auto' ? undefined : maxConns);
  if (connections === undefined || !config.roles.includes('comet')) return undefined;
  const named = settings.some(({ key, origin }) => key === 'workers' && origin !== 'default');
  const apart = !isEmbedded(config);
  const fixed = apart || (named && config.workers !== 'auto');
  const auto = workersFor(machine.descriptors, connections);
  return {
    connections,
    workers: fixed && config.workers !== 'auto' ? config.workers : auto,
    fixed,
    apart,
    transport: config.listen.ws === undefined ? 'tcp' : 'ws',
  };
}
