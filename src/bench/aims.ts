/**
 * Whom message n is for: a function of the seed and n alone, so that the process that pushes and those that count agree
 * without telling each other.
 */
import type { BenchDialect, BenchMode } from './options.js';

/** Whom a message is for: by number of the connection or room. */
export type Aim =
  | { readonly kind: 'user'; readonly index: number }
  | { readonly kind: 'room'; readonly index: number }
  | { readonly kind: 'all' };

/** What decides it. */
export interface Aiming {
  readonly mode: BenchMode;
  readonly seed: number;
  readonly connections: number;
  readonly rooms: number;
}

const ALL: Aim = { kind: 'all' };
/** Of ten messages of `mix`. */
const MIX_ROOM = 8;
const MIX_ALL = 9;

/** Whom message n (from 1) is for. */
export function aimOf({ mode, seed, connections, rooms }: Aiming, n: number): Aim {
  switch (mode) {
    case 'all':
      return ALL;
    case 'user':
      return { kind: 'user', index: drawn(seed, n, connections) };
    case 'mix': {
      const turn = n % 10;
      if (turn === MIX_ALL) return ALL;
      if (turn === MIX_ROOM) return { kind: 'room', index: Math.floor(n / 10) % rooms };
      return { kind: 'user', index: drawn(seed, n, connections) };
    }
    default:
      return { kind: 'room', index: (n - 1) % rooms };
  }
}

/** The room that a connection is in. */
export function roomOf(connection: number, rooms: number): number {
  return connection % rooms;
}

/** How many of the connections are in a room. */
export function membersOf(room: number, connections: number, rooms: number): number {
  return Math.floor(connections / rooms) + (room < connections % rooms ? 1 : 0);
}

/** The user of a connection: a decimal, as imgo's and goim's APIs want it. */
export function userName(base: number, connection: number): string {
  return String(base + connection + 1);
}

/** The name of a room. `1` is where imgo's clients are by default. */
export function roomName(dialect: BenchDialect, room: number): string {
  return dialect === 'goim' ? `live://${room + 1}` : String(room + 1);
}

/** A number below `below`, the same for the same seed and n (the finaliser of murmur3). */
function drawn(seed: number, n: number, below: number): number {
  let hash = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + n;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return Math.floor((((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000) * below);
}
