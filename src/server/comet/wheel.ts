/**
 * One coarse timing wheel for all deadlines of a comet (handshakes, silence, expiry): no timer and no closure a connection.
 * Adding, moving and removing are O(1). An item is handed out at most one tick late, and never before its deadline.
 *
 *   slots   [ . ][ 3 ][ . ][ 7 ]...     the heads of doubly linked lists of rows, chosen by tick mod slots
 *   rows    next, previous, tick, item  as arrays; free rows form a list of their own
 */
const NONE = -1;
/** The tick of rows that are being handed out: they stand in a list of their own, behind the slots. */
const DUE = -1;

/** A row of a wheel: what `add` returned, valid until `remove` or until its item was handed out. */
export type WheelRow = number;

export class Wheel<T> {
  readonly #tickMs: number;
  readonly #mask: number;
  readonly #heads: Int32Array;
  #next: Int32Array = new Int32Array(16);
  #previous: Int32Array = new Int32Array(16);
  /** Of each row: the tick at whose end it is due. */
  #ticks: Float64Array = new Float64Array(16);
  readonly #items: (T | undefined)[] = [];
  #free = NONE;
  /** The first tick that has not been handed out. */
  #tick: number;
  #size = 0;

  /** `slots` is rounded up to a power of two; deadlines beyond slots x tickMs are possible and cost a look each round. */
  constructor(now: number, tickMs = 1_000, slots = 512) {
    this.#tickMs = tickMs;
    const count = 2 ** Math.ceil(Math.log2(Math.max(2, slots)));
    this.#mask = count - 1;
    this.#heads = new Int32Array(count + 1).fill(NONE);
    this.#tick = Math.floor(now / tickMs);
  }

  get size(): number {
    return this.#size;
  }

  /** Hands out `item` at `deadline` (ms of the clock that `advance` is given), or up to one tick later. */
  add(item: T, deadline: number): WheelRow {
    let row = this.#free;
    if (row === NONE) {
      row = this.#items.length;
      if (row === this.#next.length) this.#grow();
      this.#items.push(item);
    } else {
      this.#free = this.#next[row] as number;
      this.#items[row] = item;
    }
    this.#link(row, deadline);
    this.#size++;
    return row;
  }

  /** Another deadline for a row that has not been handed out. */
  move(row: WheelRow, deadline: number): void {
    this.#unlink(row);
    this.#link(row, deadline);
  }

  remove(row: WheelRow): void {
    this.#unlink(row);
    this.#release(row);
  }

  /** Hands out everything whose deadline is at or before `now`. `due` may add, move and remove; late items first. */
  advance(now: number, due: (item: T) => void): void {
    const last = Math.floor(now / this.#tickMs);
    // After a long pause one round over all slots finds everything that is due.
    if (last - this.#tick > this.#mask + 1) this.#tick = last - this.#mask - 1;
    while (this.#tick < last) {
      this.#collect(this.#tick++);
      for (;;) {
        const row = this.#heads[this.#mask + 1] as number;
        if (row === NONE) break;
        const item = this.#items[row] as T;
        this.remove(row);
        due(item);
      }
    }
  }

  /** Moves the rows of this tick to the list of those that are being handed out. */
  #collect(tick: number): void {
    let row = this.#heads[tick & this.#mask] as number;
    while (row !== NONE) {
      const next = this.#next[row] as number;
      if ((this.#ticks[row] as number) <= tick) {
        this.#unlink(row);
        this.#insert(row, DUE);
      }
      row = next;
    }
  }

  #link(row: number, deadline: number): void {
    // Due at the end of the tick that holds the deadline; a deadline on the border belongs to the tick before it.
    this.#insert(row, Math.max(this.#tick, Math.ceil(deadline / this.#tickMs) - 1));
  }

  #insert(row: number, tick: number): void {
    const slot = tick === DUE ? this.#mask + 1 : tick & this.#mask;
    const head = this.#heads[slot] as number;
    this.#ticks[row] = tick;
    this.#next[row] = head;
    this.#previous[row] = NONE;
    if (head !== NONE) this.#previous[head] = row;
    this.#heads[slot] = row;
  }

  #unlink(row: number): void {
    const next = this.#next[row] as number;
    const previous = this.#previous[row] as number;
    if (next !== NONE) this.#previous[next] = previous;
    if (previous !== NONE) this.#next[previous] = next;
    else {
      const tick = this.#ticks[row] as number;
      this.#heads[tick === DUE ? this.#mask + 1 : tick & this.#mask] = next;
    }
  }

  #release(row: number): void {
    this.#items[row] = undefined;
    this.#next[row] = this.#free;
    this.#free = row;
    this.#size--;
  }

  #grow(): void {
    const rows = this.#next.length * 2;
    const next = new Int32Array(rows);
    const previous = new Int32Array(rows);
    const ticks = new Float64Array(rows);
    next.set(this.#next);
    previous.set(this.#previous);
    ticks.set(this.#ticks);
    this.#next = next;
    this.#previous = previous;
    this.#ticks = ticks;
  }
}
