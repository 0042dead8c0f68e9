// Sets of goim's operations, one object for all sessions that take the same.

/** Distinct sets that are shared. */
const MOST = 1_000;

export class SharedAccepts {
  readonly #sets = new Map<string, readonly number[]>();

  of(operations: readonly number[]): readonly number[] {
    const accepts = [...operations].sort((a, b) => a - b);
    const key = accepts.join(',');
    const known = this.#sets.get(key);
    if (known !== undefined) return known;
    if (this.#sets.size >= MOST) this.#sets.clear();
    this.#sets.set(key, accepts);
    return accepts;
  }
}
