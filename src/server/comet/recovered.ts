/**
 * The rings that were recovered from the store for members that came back, over all topics of a comet. A member that stalls
 * in one keeps it in memory, so they are bounded together: beyond the bound the oldest ones are given up, and who still
 * reads them goes on live after a gap.
 */
import type { Ring } from './ring.js';

interface Recovered {
  readonly bytes: number;
  readonly giveUp: () => void;
}

export class RecoveredRings {
  readonly #maxBytes: number;
  /** Oldest first. */
  readonly #rings = new Map<Ring, Recovered>();
  /** Memory of all of them. */
  bytes = 0;
  /** Rings that were given up. */
  evicted = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** A ring is complete. `giveUp` must end in its `remove`. */
  add(ring: Ring, giveUp: () => void): void {
    this.#rings.set(ring, { bytes: ring.bytes, giveUp });
    this.bytes += ring.bytes;
    for (const [oldest, { giveUp: end }] of this.#rings) {
      if (this.bytes <= this.#maxBytes || oldest === ring) return;
      this.evicted++;
      end();
    }
  }

  /** Nobody reads it any more. */
  remove(ring: Ring): void {
    const known = this.#rings.get(ring);
    if (known === undefined) return;
    this.#rings.delete(ring);
    this.bytes -= known.bytes;
  }
}
