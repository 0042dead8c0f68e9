/**
 * The members of a topic as parallel arrays (outlet, ring, offset): a member is a row, not an object. Removal moves the last
 * row into the free one, and each outlet knows its row: `outlet.topics[i]` has it at row `outlet.slots[i]`.
 */
import type { Lane } from './lane.js';
import type { JoinedTopic, Outlet } from './outlet.js';

/** The offset of a member whose place fell off its ring. */
export const LOST = -1;

export class Members {
  readonly outlets: Outlet[] = [];
  readonly lanes: Lane[] = [];
  offsets = new Float64Array(4);
  readonly #topic: JoinedTopic;

  constructor(topic: JoinedTopic) {
    this.#topic = topic;
  }

  /** The row of this outlet, or -1. */
  row(outlet: Outlet): number {
    const k = outlet.topics.indexOf(this.#topic);
    return k < 0 ? -1 : (outlet.slots[k] as number);
  }

  add(outlet: Outlet, lane: Lane, offset: number): void {
    const row = this.outlets.length;
    if (row === this.offsets.length) {
      const grown = new Float64Array(row * 2);
      grown.set(this.offsets);
      this.offsets = grown;
    }
    this.outlets.push(outlet);
    this.lanes.push(lane);
    this.offsets[row] = offset;
    outlet.topics.push(this.#topic);
    outlet.slots.push(row);
  }

  /** Returns the lane that it was in, or undefined when it was no member. */
  remove(outlet: Outlet): Lane | undefined {
    const k = outlet.topics.indexOf(this.#topic);
    if (k < 0) return undefined;
    const row = outlet.slots[k] as number;
    const lane = this.lanes[row] as Lane;
    const lastOutlet = this.outlets.pop() as Outlet;
    const lastLane = this.lanes.pop() as Lane;
    if (lastOutlet !== outlet) {
      this.outlets[row] = lastOutlet;
      this.lanes[row] = lastLane;
      this.offsets[row] = this.offsets[this.outlets.length] as number;
      lastOutlet.slots[lastOutlet.topics.indexOf(this.#topic)] = row;
    }
    const topic = outlet.topics.pop() as JoinedTopic;
    const slot = outlet.slots.pop() as number;
    if (topic !== this.#topic) {
      outlet.topics[k] = topic;
      outlet.slots[k] = slot;
    }
    return lane;
  }

  /** The lowest offset of a member in this lane; the lane's head when all are up to date. */
  lowest(lane: Lane): number {
    let lowest = lane.head;
    for (let row = 0; row < this.outlets.length; row++) {
      const offset = this.offsets[row] as number;
      if (this.lanes[row] === lane && offset !== LOST && offset < lowest) lowest = offset;
    }
    return lowest;
  }
}
