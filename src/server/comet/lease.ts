// A node's place in the registry: joins, renews, and says when the lease was lost and when heads must be read again.
// A renewal counts from the moment it was sent, by this process's monotonic clock.

import type { NodeId } from '../../protocol/ids.js';
import { type Clock, pause } from '../clock.js';
import type { Lease, NodeRecord, NodeState, Role } from '../router/registry.js';
import type { LeaseService } from '../rpc/calls.js';

/** What happens to a node's lease. */
export interface LeaseEvents {
  /** The lease holds, counted from `sentAt` (monotonic ms). */
  held(lease: Lease, sentAt: number): void;
  /** Another incarnation than before: everything must be registered again. */
  rejoined(lease: Lease): Promise<void>;
  /** Another process has joined under this name since: this one holds nothing any more, and asks for nothing. */
  taken(holder: NodeRecord): void;
  /** Something was dropped for this node: re-read heads. */
  resync(): Promise<void>;
  failed(error: unknown): void;
}

/** What a node says of itself. */
export interface NodeIdentity {
  readonly node: NodeId;
  readonly version: string;
  readonly address: string;
  readonly roles: readonly Role[];
}

const LEAVE_MS = 2_000;
/** What the log calls it. */
export const RENEWAL = 'renewing the lease';

/** Holds a lease until it is left. */
export class LeaseKeeper {
  readonly #registry: LeaseService;
  readonly #clock: Clock;
  readonly #identity: NodeIdentity;
  readonly #renewMs: number;
  readonly #events: LeaseEvents;
  readonly #since: number;
  #lease: Lease | undefined;
  #state: NodeState = 'ok';
  #stopped = false;
  #resyncing = false;
  #waking: (() => void) | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(registry: LeaseService, clock: Clock, identity: NodeIdentity, renewMs: number, events: LeaseEvents) {
    this.#registry = registry;
    this.#clock = clock;
    this.#since = clock.now();
    this.#identity = identity;
    this.#renewMs = renewMs;
    this.#events = events;
  }

  /** Joins for the first time. */
  async join(): Promise<Lease> {
    const sentAt = this.#clock.monotonic();
    const lease = await this.#registry.join({ ...this.#identity, since: this.#since });
    this.#lease = lease;
    this.#events.held(lease, sentAt);
    return lease;
  }

  /** Starts renewing. */
  start(): void {
    this.#loop = this.#run();
  }

  /** What `nodes` shows; told at once. */
  set state(state: NodeState) {
    this.#state = state;
    this.#waking?.();
  }

  /** Stops renewing and leaves. Where that cannot be said, in a moment, the lease ends by itself. */
  async leave(): Promise<void> {
    this.#stopped = true;
    this.#waking?.();
    // A renewal may wait for somebody who is gone.
    await Promise.race([this.#loop, pause(this.#clock, LEAVE_MS)]);
    if (this.#lease === undefined) return;
    const left = this.#registry.leave(this.#lease).catch((error: unknown) => this.#events.failed(error));
    await Promise.race([left, pause(this.#clock, LEAVE_MS)]);
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await new Promise<void>((resolve) => {
        const timer = this.#clock.after(this.#renewMs, resolve);
        this.#waking = () => {
          this.#clock.clear(timer);
          resolve();
        };
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
    const renewal = await this.#registry.renew(lease, this.#state);
    if (renewal.kind === 'renewed') {
      this.#events.held(lease, sentAt);
      if (renewal.resync !== undefined && !this.#resyncing) void this.#resync(lease, renewal.resync);
      return;
    }
    const holder = await this.#holder();
    if (this.#stopped) return;
    if (holder === undefined) {
      await this.#events.rejoined(await this.join());
      return;
    }
    this.#stopped = true;
    this.#lease = undefined;
    this.#events.taken(holder);
  }

  /** Who has this name now, unless it is this process itself, whose join was answered late. */
  async #holder(): Promise<NodeRecord | undefined> {
    const { node, address } = this.#identity;
    const holder = (await this.#registry.nodes()).find((one) => one.node === node && one.state !== 'gone');
    return holder?.since === this.#since && holder.address === address ? undefined : holder;
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
