// Where receivers dial from: addresses of loopback, each with ports of its own, so that ports do not run out. A port is bound
// before the dial, whatever is dialled: more addresses of the server would give no port more.
import { ImgoError } from '../protocol/errors.js';

/**
 * Connections from one address when there are addresses enough: the kernel searches longer for a free port the more of them
 * are taken (at 5,000 it shows). Past half of the range, where its own order of search ends, a dial takes 100 times as long.
 */
const PER_SOURCE = 2_000;

/** Addresses of loopback in order; `limit`: how many there are. */
export interface AddressPool {
  readonly limit: number;
  readonly at: (index: number) => string;
}

/** Everybody's: 127.0.1.1 to 127.199.255.250. Servers are at 127.0.0.1. */
const AUTO: AddressPool = pool((127 << 24) | (1 << 8), 199 * 65_536);

/** `auto`, or a part of loopback such as 127.0.8.0/24. @throws ImgoError usage: it is neither */
export function addressPool(text: string): AddressPool {
  if (text === 'auto') return AUTO;
  const [, bytes = '', bits = '32'] = /^(\d+(?:\.\d+){3})(?:\/(\d+))?$/.exec(text) ?? [];
  const parts = bytes.split('.').map(Number);
  const prefix = Number(bits);
  if (parts.length !== 4 || parts.some((part) => part > 255) || prefix > 32) {
    throw refused(text, 'is not a part of loopback such as 127.0.8.0/24');
  }
  if (parts[0] !== 127 || prefix < 8)
    throw refused(text, 'reaches beyond loopback (127.0.0.0/8): receivers dial from this machine');
  const size = 2 ** (32 - prefix);
  const address = parts.reduce((all, part) => all * 256 + part, 0);
  return pool(address - (address % size), size);
}

/**
 * As many addresses as so many connections want, at most all of the pool. `seed` says which ones: the ports of a run that
 * ended a minute ago are not free yet, and the next run is not to wait for them.
 */
export function sourcesFor(
  from: AddressPool,
  connections: number,
  sourcePorts: number,
  seed: number,
): readonly string[] {
  const each = Math.min(PER_SOURCE, usablePorts(sourcePorts));
  const count = Math.min(from.limit, Math.ceil(connections / each));
  const first = (seed * count) % (from.limit - count + 1);
  return Array.from({ length: count }, (_, index) => from.at(first + index));
}

/** For the process at this place: each begins at another address, so that all are used alike. */
export function turned(sources: readonly string[], at: number): readonly string[] {
  const turn = sources.length === 0 ? 0 : at % sources.length;
  return [...sources.slice(turn), ...sources.slice(0, turn)];
}

/** Ports of one address that dial without a search. */
export function usablePorts(sourcePorts: number): number {
  return Math.max(1, Math.floor(sourcePorts / 2));
}

/** Addresses that end in 0 or above 250 are left out where a part is larger than those: some kernels take them for a network. */
function pool(first: number, size: number): AddressPool {
  if (size < 256) return { limit: size, at: (index) => spell(first + index) };
  const limit = (size / 256) * 250;
  return { limit, at: (index) => spell(first + Math.floor(index / 250) * 256 + 1 + (index % 250)) };
}

function spell(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

function refused(text: string, why: string): ImgoError {
  return new ImgoError('usage', { detail: `--addresses ${text} ${why}.`, command: 'bench' });
}
