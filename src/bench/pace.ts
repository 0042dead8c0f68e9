/**
 * When connections are dialled: as many under way as the answers allow (one more after as many quick answers as there are, a tenth
 * fewer after a slow one), or so many a second. Those that broke are under neither: clients that lost their server do not wait for
 * one another. Together a bounded number is under way.
 */

/** An answer within this is quick; one after that is slow: the server, or this machine, has enough to do. */
const QUICK_MS = 1_500;
const SLOW_MS = 3_000;
const TICK_MS = 10;

export class Dialler {
  readonly #dial: (index: number) => void;
  readonly #most: number;
  readonly #perSecond: number | undefined;
  readonly #first = new Line();
  readonly #again = new Line();
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
    this.#first.push(index);
    this.#go();
  }

  /** One that broke, and has waited for as long as it wanted to. */
  again(index: number): void {
    this.#again.push(index);
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
    while (this.#underWay < this.#most) {
      const next = this.#again.take() ?? this.#paced();
      if (next === undefined) return;
      this.#underWay++;
      this.#dial(next);
    }
  }

  /** The next one that waits for the pace. */
  #paced(): number | undefined {
    if (this.#underWay >= this.#window || this.#allowed < 1) return undefined;
    const next = this.#first.take();
    if (next !== undefined) this.#allowed--;
    return next;
  }
}

/** First in, first out. */
class Line {
  readonly #numbers: number[] = [];
  #next = 0;

  push(number: number): void {
    this.#numbers.push(number);
  }

  take(): number | undefined {
    const next = this.#numbers[this.#next];
    if (next === undefined) return undefined;
    this.#next++;
    if (this.#next === this.#numbers.length) this.#numbers.length = this.#next = 0;
    return next;
  }
}
