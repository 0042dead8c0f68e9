/**
 * What Redis was asked and has not answered. Who asked is told after a time in which this process could have read an answer: what
 * it was kept from running counts for little, or a busy machine would have every answer that lies here taken for none. What was
 * given up is done by Redis all the same, before anything that is asked later: so it counts until it is answered, and where that is
 * too much, or too old, nothing is added to it.
 */
import { ImgoError } from '../../../protocol/errors.js';
import type { Clock, Timer } from '../../clock.js';

const TICKS = 10;
const MOST_BYTES = 32 * 1024 * 1024;
/** Of each beside what it says. */
const OVERHEAD = 256;

interface Question {
  /** The tick in which it is given up. */
  readonly due: number;
  readonly giveUp: (error: Error) => void;
}

export interface UnansweredOptions {
  readonly clock: Clock;
  /** For errors. */
  readonly address: string;
  /** For an answer. */
  readonly waitMs: number;
  /** All is answered in the order in which it is asked: one server. */
  readonly inOrder: boolean;
  readonly mostBytes?: number;
}

export class Unanswered implements Disposable {
  readonly #address: string;
  readonly #mostBytes: number;
  readonly #inOrder: boolean;
  readonly #timer: Timer;
  readonly #clock: Clock;
  /** In the order in which they were asked: what is waited for, and what was given up before. */
  readonly #asked = new Set<Question>();
  readonly #given = new Set<Question>();
  #tick = 0;
  #bytes = 0;

  constructor({ clock, address, waitMs, inOrder, mostBytes = MOST_BYTES }: UnansweredOptions) {
    this.#clock = clock;
    this.#address = address;
    this.#mostBytes = mostBytes;
    this.#inOrder = inOrder;
    // One that comes late is one: the others that it should have been are not made up for.
    this.#timer = clock.every(waitMs / TICKS, () => this.#next());
  }

  /** Bytes of what has no answer, what was given up included. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Asks, and waits for the answer.
   * @throws ImgoError redis_unreachable: nothing was asked; Error: no answer in time; what `ask` throws
   */
  async wait<T>(saysBytes: number, ask: () => Promise<T>): Promise<T> {
    const bytes = saysBytes + OVERHEAD;
    const [oldest] = this.#given;
    if (this.#inOrder && oldest !== undefined && this.#tick > oldest.due + TICKS)
      throw this.#behind('it is behind with its answers');
    if (this.#bytes > 0 && this.#bytes + bytes > this.#mostBytes) throw this.#behind('too much waits for its answers');
    const answer = ask();
    this.#bytes += bytes;
    return new Promise<T>((resolve, reject) => {
      // The tick that is under way is part of one.
      const question: Question = { due: this.#tick + TICKS + 1, giveUp: reject };
      this.#asked.add(question);
      const settled = (): void => {
        this.#asked.delete(question);
        this.#given.delete(question);
        this.#bytes -= bytes;
      };
      answer.finally(settled).then(resolve, reject);
    });
  }

  [Symbol.dispose](): void {
    this.#clock.clear(this.#timer);
  }

  #next(): void {
    this.#tick++;
    const [oldest] = this.#asked;
    // What has come meanwhile is read first.
    if (oldest !== undefined && oldest.due <= this.#tick) this.#clock.soon(() => this.#giveUp());
  }

  #giveUp(): void {
    for (const question of this.#asked) {
      if (question.due > this.#tick) break;
      this.#asked.delete(question);
      this.#given.add(question);
      question.giveUp(new Error('Command timed out'));
    }
  }

  #behind(detail: string): ImgoError {
    return new ImgoError('redis_unreachable', { address: this.#address, detail });
  }
}
