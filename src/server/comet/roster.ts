// The sessions of a comet in one array, each knowing its place in it. Removal moves the last one into the free place, so that
// pages that go from the end to the front leave out nobody who stays, and cost what they hold. The same holds for the members of
// a topic (members.ts), which pages of a room are made of.

/** Who has a place. */
export interface Placed {
  place: number;
}

export class Roster<T extends Placed> {
  readonly #all: T[] = [];

  get all(): readonly T[] {
    return this.#all;
  }

  add(one: T): void {
    one.place = this.#all.length;
    this.#all.push(one);
  }

  /** One that is in it. */
  remove(one: T): void {
    const last = this.#all.pop() as T;
    if (last === one) return;
    this.#all[one.place] = last;
    last.place = one.place;
  }
}

/**
 * A page, the last ones first: what `show` makes of each; undefined: it does not count. `before`: the place that the page before
 * this one ended with.
 */
export function pageBefore<T, R>(
  all: readonly T[],
  before: number | undefined,
  limit: number,
  show: (one: T, place: number) => R | undefined,
): readonly R[] {
  const page: R[] = [];
  for (let at = Math.min(before ?? all.length, all.length) - 1; at >= 0 && page.length < limit; at--) {
    const shown = show(all[at] as T, at);
    if (shown !== undefined) page.push(shown);
  }
  return page;
}
