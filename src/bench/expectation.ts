// What can be said of a run before it: whether sweeps keep up with messages, and what that means for latency.
import type { Where } from './layout.js';
import type { Machine } from './machine.js';
import { short, time } from './numbers.js';
import type { BenchOptions } from './options.js';

export interface Expectation {
  /** Deliveries a second that messages make. */
  readonly deliveries: number;
  /** Flushes a second that messages ask for, and that these cores can do. */
  readonly wanted: number;
  readonly possible: number;
  /** How long it takes to write to all once. */
  readonly sweepMs: number;
  /** Messages come faster than sweeps end: connections get many at a time, and latency is that of sweeps. */
  readonly behind: boolean;
  /** The same for people. */
  readonly line: string;
}

/**
 * CPU of a flush at either end, in microseconds: bare sockets on two cores of a virtual machine, at 15,000 connections, and at a
 * million, where nothing is in a cache any more.
 */
const FLUSH_US = { few: { server: 8.2, client: 4.4 }, many: { server: 15.5, client: 8.3 } };
const FEW = 15_000;
const MANY = 1_000_000;
/** The server's own: `fanout.window`. */
export const WINDOW_MS = 100;

/** undefined: no message is pushed to many, or the server is elsewhere and its cores are not known. */
export function expectationOf(options: BenchOptions, where: Where, machine: Machine): Expectation | undefined {
  const { connections, windowMs = WINDOW_MS } = options;
  const each = messagesOfOne(options);
  if (each === 0 || connections === 0) return undefined;
  const us = flushCost(connections, 'client') + (where === 'elsewhere' ? 0 : flushCost(connections, 'server'));
  const possible = (machine.cores * 1e6) / us;
  const wanted = connections * Math.min(each, 1_000 / Math.max(1, windowMs));
  const sweepMs = (connections / possible) * 1_000;
  const behind = wanted > possible;
  const cores = machine.cores === 1 ? '1 core' : `${machine.cores} cores`;
  const ends = where === 'elsewhere' ? `the clients on ${cores}` : `both ends on ${cores}`;
  const latency = sweepMs > 1_500 ? 'latency will be seconds' : 'latency will be that';
  const line = behind
    ? `~${short(possible)} flushes/s, ${ends}: a sweep takes ~${time(sweepMs)}, so ${latency}`
    : `~${short(wanted)} of the ~${short(possible)} flushes/s of ${ends}: a sweep takes ~${time(sweepMs)}`;
  return { deliveries: connections * each, wanted, possible, sweepMs, behind, line };
}

/** Messages that one flush carries; 1 where nothing is known. */
export function messagesPerFlush(expectation: Expectation | undefined): number {
  if (expectation === undefined) return 1;
  return expectation.deliveries / Math.min(expectation.wanted, expectation.possible);
}

/** Messages a second that one connection gets. */
export function messagesOfOne({ mode, rate, rooms, connections }: BenchOptions): number {
  const room = rate / Math.max(1, rooms);
  const user = rate / Math.max(1, connections);
  switch (mode) {
    case 'room':
      return room;
    case 'all':
      return rate;
    case 'user':
      return user;
    case 'mix':
      return 0.8 * user + 0.1 * room + 0.1 * rate;
    case 'idle':
    case 'connect':
    case 'http':
      return 0;
  }
}

/** Between few and many by the number's logarithm. */
function flushCost(connections: number, end: 'server' | 'client'): number {
  const share = Math.log(connections / FEW) / Math.log(MANY / FEW);
  const part = Math.min(1, Math.max(0, share));
  return FLUSH_US.few[end] + part * (FLUSH_US.many[end] - FLUSH_US.few[end]);
}
