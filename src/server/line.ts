/** Who comes first leaves first, at the same price however many wait: an array's own `shift` moves all that stay. */
export class Line<T extends object> {
  #all: (T | undefined)[] = [];
  #first = 0;

  get length(): number {
    return this.#all.length - this.#first;
  }

  /** Who leaves next. */
  get first(): T | undefined {
    return this.#all[this.#first];
  }

  push(one: T): void {
    this.#all.push(one);
  }

  shift(): T | undefined {
    const { first } = this;
    if (first === undefined) return undefined;
    this.#all[this.#first++] = undefined;
    // Not with each: a long line would be copied for every one that leaves it.
    if (this.#first > this.#all.length / 2) {
      this.#all = this.#all.slice(this.#first);
      this.#first = 0;
    }
    return first;
  }
}
