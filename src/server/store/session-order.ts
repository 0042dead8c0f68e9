// Ids of sessions in order: a sorted list cut into blocks, so that adding and removing move a few hundred places at most,
// and a page begins where it should without a look at all before it. Costs some 12 bytes a session.

import type { SessionId } from '../../protocol/ids.js';

/** A block that grows to this is cut in two. */
const BLOCK = 512;

export class SessionOrder {
  /** None of them is empty. */
  readonly #blocks: SessionId[][] = [];
  /** Where each block begins: not above its first, and above all of the block before. */
  readonly #firsts: SessionId[] = [];

  /** `id` is not there yet. */
  add(id: SessionId): void {
    const at = Math.max(0, this.#blockOf(id));
    const block = this.#blocks[at];
    if (block === undefined) {
      this.#blocks.push([id]);
      this.#firsts.push(id);
      return;
    }
    block.splice(placeOf(block, id), 0, id);
    if (at === 0) this.#firsts[0] = block[0] as SessionId;
    if (block.length < BLOCK) return;
    const upper = block.splice(BLOCK / 2);
    this.#blocks.splice(at + 1, 0, upper);
    this.#firsts.splice(at + 1, 0, upper[0] as SessionId);
  }

  delete(id: SessionId): void {
    const at = this.#blockOf(id);
    const block = this.#blocks[at];
    if (block === undefined) return;
    const place = placeOf(block, id);
    if (block[place] !== id) return;
    block.splice(place, 1);
    if (block.length > 0) return;
    this.#blocks.splice(at, 1);
    this.#firsts.splice(at, 1);
  }

  /** `id`, if it is there, and what comes after it. Nothing may be added or removed meanwhile. */
  *from(id: string): Generator<SessionId> {
    for (let at = Math.max(0, this.#blockOf(id)); at < this.#blocks.length; at++) {
      const block = this.#blocks[at] as SessionId[];
      for (let place = placeOf(block, id); place < block.length; place++) yield block[place] as SessionId;
    }
  }

  /** The last block that begins at `id` or before it; -1 when all begin after it. */
  #blockOf(id: string): number {
    const place = placeOf(this.#firsts, id);
    return this.#firsts[place] === id ? place : place - 1;
  }
}

/** The place of the first that is `id` or comes after it. */
function placeOf(sorted: readonly SessionId[], id: string): number {
  let low = 0;
  for (let high = sorted.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as SessionId) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}
