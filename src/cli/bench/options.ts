// The flags of `imgo bench` as what a run is asked for: every value read and checked, a preset's and the default ones filled
// in. What is wrong is told before anything starts, with the flag and what it wants.

import { randomInt } from 'node:crypto';
import type { Interfaces } from '@oclif/core';
import { MOST_HTTP_CONNECTIONS } from '../../bench/http.js';
import type { BenchOptions } from '../../bench/options.js';
import { ImgoError } from '../../protocol/errors.js';
import { parseDuration, parseSize } from '../../server/units.js';
import { countOf, wrongValue } from '../flags.js';
import type { benchBaseFlags, benchFlags } from './flags.js';

/** Parsed by oclif, not yet read. */
export type BenchFlags = Partial<Interfaces.InferredFlags<typeof benchFlags & typeof benchBaseFlags>>;

/** What was asked for; `max`: the plan says how many. */
export type AskedOptions = Omit<BenchOptions, 'connections' | 'server'> & { readonly connections: number | 'max' };

const DEFAULTS = {
  conns: '1000',
  duration: '10s',
  rate: '40',
  rooms: '1',
  size: '26',
  'connect-rate': 'auto',
  warmup: '3s',
  settle: '60s',
  slow: '0%',
  churn: '0%/s',
  workers: 'auto',
  'per-process': '18000',
  addresses: 'auto',
} as const;

const PRESETS = {
  imgo: { conns: '1000000', rate: '40', duration: '15m', window: '1s' },
  smoke: { conns: '200', rate: '20', duration: '5s', warmup: '1s', settle: '10s' },
} as const satisfies Record<string, Partial<Record<keyof typeof DEFAULTS | 'window', string>>>;

/** Of `--mode http`. */
const HTTP_CONNS = '256';

/** Of a whole frame: a header and `{"test":1}`; a header and the largest payload. */
const SMALLEST_FRAME = 26;
const LARGEST_FRAME = 16 + 64 * 1_024;
const MAX_SEED = 999_999;

/** @throws ImgoError usage */
export function readBenchOptions(flags: BenchFlags): AskedOptions {
  refuseMisplaced(flags);
  const preset: Partial<Record<string, string>> = flags.preset === undefined ? {} : PRESETS[flags.preset];
  const usual = flags.mode === 'http' ? { ...DEFAULTS, conns: HTTP_CONNS } : DEFAULTS;
  const text = (flag: keyof typeof DEFAULTS): string => flags[flag] ?? preset[flag] ?? usual[flag];
  const windowText = flags.window ?? (flags.server === undefined ? preset['window'] : undefined);
  const asked: AskedOptions = {
    mode: flags.mode ?? 'room',
    connections: text('conns') === 'max' ? 'max' : countOf('conns', text('conns'), ' or max'),
    rate: rateOf('rate', text('rate')),
    durationMs: timeOf('duration', text('duration'), 1),
    rooms: countOf('rooms', text('rooms')),
    sizeBytes: sizeOf('size', text('size')),
    transport: flags.transport ?? 'tcp',
    dialect: flags.dialect ?? 'imgo',
    store: flags.store ?? 'memory',
    windowMs: windowText === undefined ? undefined : timeOf('window', windowText, 0),
    seed: flags.seed === undefined ? randomInt(1, MAX_SEED) : countOf('seed', flags.seed),
    connectRate: text('connect-rate') === 'auto' ? 'auto' : countOf('connect-rate', text('connect-rate'), ' or auto'),
    warmupMs: timeOf('warmup', text('warmup'), 0),
    settleMs: timeOf('settle', text('settle'), 0),
    slow: shareOf('slow', text('slow'), '%'),
    churn: shareOf('churn', text('churn'), '%/s'),
    workers: text('workers') === 'auto' ? 'auto' : countOf('workers', text('workers'), ' or auto'),
    perProcess: countOf('per-process', text('per-process')),
    addresses: addressesOf(text('addresses')),
    reconnect: flags.server !== undefined && flags['no-reconnect'] !== true,
    settings: flags.set ?? [],
  };
  if (asked.mode === 'http' && (asked.connections === 'max' || asked.connections > MOST_HTTP_CONNECTIONS)) {
    throw wrong(`--mode http takes --conns up to ${MOST_HTTP_CONNECTIONS}: one process dials them, all at once.`);
  }
  if (asked.connections !== 'max' && asked.rooms > asked.connections) {
    throw wrong(`--rooms ${asked.rooms} is more rooms than connections (${asked.connections}).`);
  }
  return asked;
}

/** Flags that say something about another server than the one that is measured. */
function refuseMisplaced(flags: BenchFlags): void {
  if (flags.server === undefined) {
    if (flags.clients !== undefined) throw wrong('--clients is for a running server: add --server URL.');
    if (flags['no-reconnect'] === true) throw wrong('--no-reconnect is for a running server: add --server URL.');
    return;
  }
  for (const flag of ['workers', 'store', 'window', 'set'] as const) {
    if (flags[flag] !== undefined) throw wrong(`--${flag} is for a server of the run's own: leave out --server.`);
  }
}

function wrong(detail: string): ImgoError {
  return new ImgoError('usage', { detail, command: 'bench' });
}

function rateOf(flag: string, value: string): number {
  const rate = /^\d{1,7}(\.\d{1,3})?$/.test(value) ? Number(value) : 0;
  if (rate <= 0) throw wrongValue(flag, 'messages a second, such as 40 or 0.5');
  return rate;
}

function timeOf(flag: string, value: string, leastMs: number): number {
  const ms = parseDuration(value);
  if (ms === undefined || ms < leastMs) throw wrongValue(flag, 'a duration such as 100ms, 30s or 15m');
  return ms;
}

function sizeOf(flag: string, value: string): number {
  const bytes = parseSize(value);
  if (bytes === undefined || bytes < SMALLEST_FRAME || bytes > LARGEST_FRAME) {
    throw wrongValue(flag, `bytes from ${SMALLEST_FRAME} to ${LARGEST_FRAME}, such as 26 or 4KiB`);
  }
  return bytes;
}

function shareOf(flag: string, value: string, unit: '%' | '%/s'): number {
  const number = value.endsWith(unit) ? value.slice(0, -unit.length) : '';
  const share = /^\d{1,3}(\.\d{1,3})?$/.test(number) ? Number(number) / 100 : Number.NaN;
  if (!(share <= 1)) throw wrongValue(flag, `a share of the connections, such as 1${unit}`);
  return share;
}

/** A part of loopback: what dials from elsewhere would leave this machine. */
function addressesOf(value: string): string {
  if (value === 'auto') return value;
  const [address = '', bits = '', ...more] = value.split('/');
  const parts = address.split('.');
  const valid =
    more.length === 0 &&
    parts.length === 4 &&
    parts[0] === '127' &&
    parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255) &&
    /^\d{1,2}$/.test(bits) &&
    Number(bits) >= 8 &&
    Number(bits) <= 32;
  if (!valid) throw wrongValue('addresses', 'auto or a part of loopback such as 127.0.8.0/24');
  return value;
}
