// Follows where native connections stand in their logs, and acknowledges users' logs as native clients do: up to the last push, a
// few times a second, and only what is new.

import { FLAG_EPHEMERAL, FLAG_REDELIVERED, NATIVE_HEADER_BYTES } from '../protocol/native.js';
import { Positions } from './positions.js';
import type { Bytes, Unit } from './wire/walker.js';

const EVERY_MS = 200;
/** Of a native frame. */
const EPOCH = 16;
const HIGH = 20;
const LOW = 24;
const FLAGS = 28;
const TOPIC_LENGTH = 30;
/** Of the topic `all`; those of rooms are longer. */
const ALL_LENGTH = 3;

export class Acknowledger {
  /** Pushes that said they may have come before. */
  redelivered = 0;
  readonly positions: Positions;
  readonly #ack: (index: number, epoch: number, n: number) => void;
  readonly #topics: boolean;
  readonly #waits: Uint8Array;
  #waiting: number[] = [];

  /** `topics`: positions in rooms and in the log of all are wanted, too. */
  constructor(count: number, topics: boolean, ack: (index: number, epoch: number, n: number) => void) {
    this.#ack = ack;
    this.#topics = topics;
    this.positions = new Positions(count);
    this.#waits = new Uint8Array(count);
    setInterval(() => this.#say(), EVERY_MS).unref();
  }

  /** Pushes of one shape came: flags and topic are the same in all of them. */
  took(index: number, { view }: Bytes, at: number, count: number, unit: Unit): void {
    const last = at + (count - 1) * unit.length + unit.frame;
    if (unit.body - unit.frame < NATIVE_HEADER_BYTES) return;
    const flags = view.getUint16(last + FLAGS);
    if ((flags & FLAG_REDELIVERED) !== 0) this.redelivered += count;
    const topicLength = view.getUint16(last + TOPIC_LENGTH);
    if ((topicLength !== 0 && !this.#topics) || (flags & FLAG_EPHEMERAL) !== 0) return;
    const epoch = view.getUint32(last + EPOCH);
    const n = view.getUint32(last + HIGH) * 0x1_0000_0000 + view.getUint32(last + LOW);
    if (topicLength !== 0) {
      this.positions.set(topicLength === ALL_LENGTH ? 'all' : 'room', index, epoch, n);
      return;
    }
    this.positions.set('user', index, epoch, n);
    if (this.#waits[index] === 1) return;
    this.#waits[index] = 1;
    this.#waiting.push(index);
  }

  #say(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const index of waiting) {
      this.#waits[index] = 0;
      const upTo = this.positions.at('user', index);
      if (upTo !== undefined) this.#ack(index, upTo.epoch, upTo.n);
    }
  }
}
