/**
 * Who holds which piece of ring memory by a write that has not completed. A segment that fell off its ring stays in memory
 * as long as a socket holds it: that memory is bounded here, and beyond the bound the oldest holders are disconnected.
 */
import type { Clock } from '../clock.js';
import type { Outlet } from './outlet.js';
import type { Segment } from './ring.js';

export class Pins {
  readonly #clock: Clock;
  readonly #maxBytes: number;
  /** In the order of holding: the first is the oldest. */
  readonly #held = new Map<Outlet, Segment>();
  #evicting = false;
  /** Memory of segments that fell off their rings and are still held. */
  fallenBytes = 0;
  /** Sockets disconnected for holding too much. */
  evicted = 0;

  constructor(clock: Clock, maxBytes: number) {
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  /** Sockets with a pending write from a ring. */
  get size(): number {
    return this.#held.size;
  }

  /** This socket's pending write is memory of this segment. */
  hold(outlet: Outlet, segment: Segment): void {
    this.release(outlet);
    this.#held.set(outlet, segment);
    if (segment.pins++ === 0 && segment.fallen) this.fallenBytes += segment.buffer.length;
  }

  /** This socket's pending write is done, or the socket is gone. */
  release(outlet: Outlet): void {
    const segment = this.#held.get(outlet);
    if (segment === undefined) return;
    this.#held.delete(outlet);
    if (--segment.pins === 0 && segment.fallen) this.fallenBytes -= segment.buffer.length;
  }

  /** This segment is in no ring any more. Over the bound, disconnections follow in the next turn. */
  fell(segment: Segment): void {
    segment.fallen = true;
    if (segment.pins === 0) return;
    this.fallenBytes += segment.buffer.length;
    if (this.fallenBytes <= this.#maxBytes || this.#evicting) return;
    this.#evicting = true;
    this.#clock.soon(() => this.#evict());
  }

  #evict(): void {
    this.#evicting = false;
    if (this.fallenBytes <= this.#maxBytes) return;
    for (const [outlet, segment] of [...this.#held]) {
      if (!segment.fallen || this.#held.get(outlet) !== segment) continue;
      this.release(outlet);
      this.evicted++;
      outlet.disconnect('lag_exceeded');
      if (this.fallenBytes <= this.#maxBytes) return;
    }
  }
}
