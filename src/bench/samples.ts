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

  /** When message n is due. */
  #due(n: number): number {
    return this.#startedAt + (n - 1) * this.#everyMs;
  }

  /** The first and the last message that are due between two moments. */
  dueWithin(from: number, to: number): readonly [first: number, last: number] {
    if (this.#everyMs === 0) return [1, 0];
    const first = Math.max(1, Math.ceil((from - this.#startedAt) / this.#everyMs) + 1);
    return [first, Math.floor((to - this.#startedAt) / this.#everyMs) + 1];
  }

  /** How many of these were due before a moment. */
  dueBefore(moment: number, { buffer }: Bytes, at: number, count: number, unit: Unit): number {
    let before = 0;
    for (let one = 0, start = at; one < count; one++, start += unit.length) {
      const n = numberAt(buffer, start + unit.body, start + unit.bodyEnd);
      if (n > 0 && this.#due(n) < moment) before++;
    }
    return before;
  }

  /** `countsFrom`: what was due before is kept, but in no latency: the connection was made slow, or was away. */
  took(index: number, { buffer }: Bytes, at: number, count: number, unit: Unit, countsFrom: number): void {
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
      const due = this.#due(n);
      if (n >= this.#firstMeasured && due >= countsFrom) this.latencies.add(now - due);
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
