// The comet's place in the registry: joins, renews, and says when the lease was lost and when heads must be read again.
// A renewal counts from the moment it was sent, by this process's monotonic clock.

import type { NodeId } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import type { Lease, Registry } from '../router/registry.js';

/** What happens to a comet's lease. */
export interface LeaseEvents {
  /** The lease holds, counted from `sentAt` (monotonic ms). */
  held(lease: Lease, sentAt: number): void;
  /** Another incarnation than before: everything must be registered again. */
  rejoined(lease: Lease): Promise<void>;
  /** Something was dropped for this comet: re-read heads. */
  resync(): Promise<void>;
  failed(error: unknown): void;
}

/** What a node says of itself. */
export interface NodeIdentity {
  readonly node: NodeId;
  readonly version: string;
  readonly address: string;
}

/** The part of the registry that keeps leases. */
type LeaseRegistry = Pick<Registry, 'join' | 'renew' | 'leave' | 'resynced'>;

/** Holds a lease until it is left. */
export class LeaseKeeper {
  readonly #registry: LeaseRegistry;
  readonly #clock: Clock;
  readonly #identity: NodeIdentity;
  readonly #renewMs: number;
  readonly #events: LeaseEvents;
  #lease: Lease | undefined;
  #stopped = false;
  #resyncing = false;
  #waking: (() => void) | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(registry: LeaseRegistry, clock: Clock, identity: NodeIdentity, renewMs: number, events: LeaseEvents) {
    this.#registry = registry;
    this.#clock = clock;
    this.#identity = identity;
    this.#renewMs = renewMs;
    this.#events = events;
  }

  /** Joins for the first time. */
  async join(): Promise<Lease> {
    const sentAt = this.#clock.monotonic();
    const { node, version, address } = this.#identity;
    const lease = await this.#registry.join({ node, version, address, roles: ['comet'], since: this.#clock.now() });
    this.#lease = lease;
    this.#events.held(lease, sentAt);
    return lease;
  }

  /** Starts renewing. */
  start(): void {
    this.#loop = this.#run();
  }

  /** Stops renewing and leaves. */
  async leave(): Promise<void> {
    this.#stopped = true;
    this.#waking?.();
    await this.#loop;
    if (this.#lease !== undefined) await this.#registry.leave(this.#lease);
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await new Promise<void>((resolve) => {
        this.#waking = resolve;
        this.#clock.after(this.#renewMs, resolve);
      });
      if (this.#stopped) return;
      try {
        await this.#renew();
      } catch (error) {
        this.#events.failed(error);
      }
    }
  }

  async #renew(): Promise<void> {
    const lease = this.#lease;
    if (lease === undefined) return;
    const sentAt = this.#clock.monotonic();
    const renewal = await this.#registry.renew(lease);
    if (renewal.kind === 'renewed') {
      this.#events.held(lease, sentAt);
      if (renewal.resync !== undefined && !this.#resyncing) void this.#resync(lease, renewal.resync);
      return;
    }
    await this.#events.rejoined(await this.join());
  }

  /** Beside the renewals: with many sessions it takes longer than the lease holds. What fails comes with the next renewal. */
  async #resync(lease: Lease, resync: number): Promise<void> {
    this.#resyncing = true;
    try {
      await this.#events.resync();
      await this.#registry.resynced(lease, resync);
    } catch (error) {
      this.#events.failed(error);
    } finally {
      this.#resyncing = false;
    }
  }
}
