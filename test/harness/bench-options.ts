// A benchmark as small as one can be; tests change what they are about.
import type { BenchOptions } from '../../src/bench/options.js';

export const SMALL_RUN: BenchOptions = {
  mode: 'room',
  connections: 60,
  rate: 60,
  durationMs: 700,
  rooms: 1,
  sizeBytes: 26,
  transport: 'tcp',
  dialect: 'imgo',
  store: 'memory',
  windowMs: undefined,
  seed: 7,
  connectRate: 'auto',
  warmupMs: 0,
  settleMs: 1_000,
  slow: 0,
  churn: 0,
  workers: 1,
  perProcess: 30,
  addresses: 'auto',
  server: undefined,
  reconnect: false,
  settings: [],
};
