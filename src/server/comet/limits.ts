// What one client, one address and this process may use: inbound rates, connections per address, descriptors.

import type { Clock } from '../clock.js';
import { descriptorLimit, descriptorsInUse } from '../observe/process.js';
import type { Session } from './session.js';

/** Acknowledgements may come this many times as often as other frames. */
const ACK_FACTOR = 10;

/**
 * Takes one frame from the session's inbound bucket (GCRA: a second's worth may come at once). False: too many.
 * `perSecond` 0 is no limit.
 */
export function takeInbound(session: Session, now: number, perSecond: number, acknowledgement: boolean): boolean {
  if (perSecond <= 0) return true;
  if (acknowledgement) {
    const next = Math.max(session.ackTime, now) + 1_000 / (perSecond * ACK_FACTOR);
    if (next - now > 1_000) return false;
    session.ackTime = next;
    return true;
  }
  const next = Math.max(session.frameTime, now) + 1_000 / perSecond;
  if (next - now > 1_000) return false;
  session.frameTime = next;
  return true;
}

interface AddressState {
  conns: number;
  /** GCRA of new connections. */
  time: number;
}

/** Connections and their rate per peer address. Keeps nothing when both limits are off. */
export class AddressLimits {
  readonly #conns: number;
  readonly #rate: number;
  readonly #clock: Clock;
  readonly #addresses = new Map<string, AddressState>();

  constructor(limits: { readonly conns: number; readonly rate: number }, clock: Clock) {
    this.#conns = limits.conns;
    this.#rate = limits.rate;
    this.#clock = clock;
  }

  /** Whether anything is limited. */
  get on(): boolean {
    return this.#conns > 0 || this.#rate > 0;
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#addresses.size;
  }

  /** A new connection: the reason to refuse it, or undefined when it counts from now on. */
  enter(address: string): 'address_conns' | 'address_rate' | undefined {
    if (!this.on) return undefined;
    const now = this.#clock.monotonic();
    let state = this.#addresses.get(address);
    if (state === undefined) {
      state = { conns: 0, time: 0 };
      this.#addresses.set(address, state);
    }
    if (this.#conns > 0 && state.conns >= this.#conns) return 'address_conns';
    if (this.#rate > 0) {
      const next = Math.max(state.time, now) + 1_000 / this.#rate;
      if (next - now > 1_000) return 'address_rate';
      state.time = next;
    }
    state.conns++;
    return undefined;
  }

  /** A connection that entered is gone. */
  leave(address: string): void {
    const state = this.#addresses.get(address);
    if (state !== undefined) state.conns--;
  }

  /** Forgets addresses without connections whose rate has recovered. Called every second or so. */
  forget(): void {
    const now = this.#clock.monotonic();
    for (const [address, state] of this.#addresses) {
      if (state.conns <= 0 && state.time <= now) this.#addresses.delete(address);
    }
  }
}

/**
 * How many connections this process may hold: by setting, and by descriptors less a reserve. Node raises its soft limit to
 * the hard one by itself, so the hard one is judged. What the rest of the process uses is counted from time to time.
 */
export class ConnectionLimit {
  readonly #maxConns: number;
  readonly #descriptors: number;
  #others = 0;

  constructor(maxConns: number, reserveFds: number, limit: number = descriptorLimit()) {
    this.#maxConns = maxConns;
    this.#descriptors = limit - reserveFds;
  }

  /** Counts the descriptors that are not connections. */
  measure(connections: number): void {
    this.#others = Math.max(0, descriptorsInUse() - connections);
  }

  /** The most connections at the moment. */
  get max(): number {
    return Math.max(0, Math.min(this.#maxConns, this.#descriptors - this.#others));
  }

  /** Which limit it is that holds. */
  get reason(): 'max_conns' | 'fd_limit' {
    return this.#maxConns <= this.#descriptors - this.#others ? 'max_conns' : 'fd_limit';
  }
}
