// May this comet still write? Its lease says so, judged by the monotonic clock from the moment the last renewal was sent.
// Asked in the delivery path, not only by a timer: a process that was paused finds out before its next write.

import type { Clock } from '../clock.js';

/** What is taken off the lease, as a share and at least in ms, so that the comet stops before the registry gives it up. */
const MARGIN_SHARE = 0.1;
const MARGIN_MS = 50;

/** The comet's view of its lease. */
export class Fence {
  readonly #clock: Clock;
  #until = Number.NEGATIVE_INFINITY;
  #incarnation: number;
  /** Closed whatever the lease says: sessions are being registered again. */
  suspended = false;

  constructor(clock: Clock, incarnation: number) {
    this.#clock = clock;
    this.#incarnation = incarnation;
  }

  /** Of this comet now; grows when the registry let an earlier one end. */
  get incarnation(): number {
    return this.#incarnation;
  }

  /** True while the lease holds and what was registered under it is known. */
  get open(): boolean {
    return !this.suspended && this.#clock.monotonic() < this.#until;
  }

  /**
   * A renewal, or a join, succeeded. `sentAt`: monotonic ms at which it was sent. Returns true when the incarnation is
   * another than before. An older renewal than the last never shortens the lease.
   */
  renewed(incarnation: number, sentAt: number, holdsMs: number): boolean {
    const changed = incarnation !== this.#incarnation;
    const until = sentAt + holdsMs - Math.max(MARGIN_MS, holdsMs * MARGIN_SHARE);
    this.#until = changed ? until : Math.max(this.#until, until);
    this.#incarnation = incarnation;
    return changed;
  }
}
