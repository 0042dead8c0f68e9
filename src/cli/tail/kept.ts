// The newest events, in bounded memory: as the lines that they came as, because most are never looked at. Which of them are
// shown is decided when they come, and again when what is asked for changes.

/** An event that is kept. */
export interface KeptEvent {
  /** Counts from 1, over everything that came. */
  readonly n: number;
  readonly name: string;
  readonly text: string;
  shown: boolean;
}

/** More than anybody scrolls through. */
export const MOST_EVENTS = 5_000;
/** Of lines, in UTF-16 units. */
export const MOST_LENGTH = 2 * 2 ** 20;

export class Kept {
  #events: KeptEvent[] = [];
  /** Where the oldest one is; what lies before it is free. */
  #first = 0;
  #length = 0;
  #came = 0;

  /** Keeps one, and lets the oldest go where that is too many. */
  add(name: string, text: string, shown: boolean): void {
    this.#came += 1;
    this.#events.push({ n: this.#came, name, text, shown });
    this.#length += text.length;
    while (this.size > MOST_EVENTS || (this.#length > MOST_LENGTH && this.size > 1)) {
      this.#length -= this.#events[this.#first]?.text.length ?? 0;
      this.#first += 1;
    }
    if (this.#first < MOST_EVENTS) return;
    this.#events = this.#events.slice(this.#first);
    this.#first = 0;
  }

  get size(): number {
    return this.#events.length - this.#first;
  }

  /** All that ever came. */
  get came(): number {
    return this.#came;
  }

  /** The newest that are shown, at most so many, the oldest of them first. */
  last(most: number): readonly KeptEvent[] {
    const found: KeptEvent[] = [];
    for (let at = this.#events.length - 1; at >= this.#first && found.length < most; at -= 1) {
      const event = this.#events[at];
      if (event?.shown) found.push(event);
    }
    return found.reverse();
  }

  /** All that are kept, as they are now. */
  all(): KeptEvent[] {
    return this.#events.slice(this.#first);
  }
}
