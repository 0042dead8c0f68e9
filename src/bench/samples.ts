// The connections of the sample: every payload is compared with what it should be, its number kept in its order, and the time
// since it was due counted.

import { Histogram } from './latencies.js';
import { numberAt, payloadOf } from './payload.js';
import type { Bytes, Unit } from './wire/walker.js';

/** Texts that are kept ready: the same message comes on one connection after the other. */
const READY = 512;

export class Samples {
  readonly latencies = new Histogram();
  /** The numbers of each connection, as they came. */
  readonly sequences = new Map<number, number[]>();
  /** Messages that were not this run's. */
  foreign = 0;
  /** When something came last. */
  lastAt = 0;
  readonly #sizeBytes: number;
  readonly #now: () => number;
  readonly #texts = new Map<number, Buffer>();
  #startedAt = 0;
  #everyMs = 0;
  #firstMeasured = Number.POSITIVE_INFINITY;

  constructor(sizeBytes: number, now: () => number) {
    this.#sizeBytes = sizeBytes;
    this.#now = now;
  }

  schedule(startedAt: number, everyMs: number, firstMeasured: number): void {
    this.#startedAt = startedAt;
    this.#everyMs = everyMs;
    this.#firstMeasured = firstMeasured;
  }

  /** `excused`: it was made slow or gone; what it gets is kept, but late for that reason. */
  took(index: number, { buffer }: Bytes, at: number, count: number, unit: Unit, excused: boolean): void {
    const now = this.#now();
    this.lastAt = now;
    let sequence = this.sequences.get(index);
    if (sequence === undefined) {
      sequence = [];
      this.sequences.set(index, sequence);
    }
    for (let one = 0, start = at; one < count; one++, start += unit.length) {
      const [from, end] = [start + unit.body, start + unit.bodyEnd];
      const n = numberAt(buffer, from, end);
      const text = this.#text(n);
      if (buffer.compare(text, 0, text.length, from, end) !== 0) {
        this.foreign++;
        continue;
      }
      sequence.push(n);
      if (n >= this.#firstMeasured && !excused) {
        this.latencies.add(now - (this.#startedAt + (n - 1) * this.#everyMs));
      }
    }
  }

  #text(n: number): Buffer {
    let text = this.#texts.get(n);
    if (text === undefined) {
      if (this.#texts.size >= READY) this.#texts.clear();
      text = Buffer.from(payloadOf(n, this.#sizeBytes), 'latin1');
      this.#texts.set(n, text);
    }
    return text;
  }
}
