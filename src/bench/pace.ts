/**
 * When connections are dialled: as many under way as the answers allow (one more after as many quick answers as there are, a tenth
 * fewer after a slow one), or so many a second.
 */

/** An answer within this is quick; one after that is slow: the server, or this machine, has enough to do. */
const QUICK_MS = 1_500;
const SLOW_MS = 3_000;
const TICK_MS = 10;

export class Dialler {
  readonly #dial: (index: number) => void;
  readonly #most: number;
  readonly #perSecond: number | undefined;
  readonly #queue: number[] = [];
  #next = 0;
  #window: number;
  #underWay = 0;
  /** What the rate allows now. */
  #allowed = Number.POSITIVE_INFINITY;

  constructor(
    pace: { readonly underWay: number; readonly mostUnderWay: number; readonly dialsPerSecond: number | undefined },
    dial: (index: number) => void,
  ) {
    this.#dial = dial;
    this.#most = pace.mostUnderWay;
    this.#perSecond = pace.dialsPerSecond;
    this.#window = pace.dialsPerSecond === undefined ? pace.underWay : pace.mostUnderWay;
    if (this.#perSecond !== undefined) this.#meter(this.#perSecond);
  }

  add(index: number): void {
    this.#queue.push(index);
    this.#go();
  }

  /** One that was under way is answered. */
  answered(ms: number): void {
    if (this.#perSecond === undefined) {
      if (ms <= QUICK_MS) this.#window = Math.min(this.#most, this.#window + 1 / this.#window);
      else if (ms > SLOW_MS) this.#window = Math.max(1, this.#window * 0.9);
    }
    this.failed();
  }

  /** One that was under way is no more. */
  failed(): void {
    this.#underWay--;
    this.#go();
  }

  #meter(perSecond: number): void {
    this.#allowed = 0;
    let before = performance.now();
    setInterval(() => {
      const now = performance.now();
      // What could not be used is not saved up for a burst.
      this.#allowed = Math.min(this.#allowed + ((now - before) / 1_000) * perSecond, Math.max(1, perSecond / 10));
      before = now;
      this.#go();
    }, TICK_MS).unref();
  }

  #go(): void {
    while (this.#next < this.#queue.length && this.#underWay < this.#window && this.#allowed >= 1) {
      this.#underWay++;
      this.#allowed--;
      this.#dial(this.#queue[this.#next++] as number);
    }
    if (this.#next > 0 && this.#next === this.#queue.length) {
      this.#queue.length = 0;
      this.#next = 0;
    }
  }
}
