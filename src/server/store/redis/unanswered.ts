/**
 * What Redis was asked and has not answered, server by server: one that hangs takes nothing from the others. Who asked is told after
 * a time in which this process could have read an answer: what it was kept from running counts for little, or a busy machine would
 * have every answer that lies here taken for none. What was given up is done by that server all the same, before anything that it is
 * asked later: so it counts until it is answered, and where that is too much, or too old, nothing is added to it.
 */
import { ImgoError } from '../../../protocol/errors.js';
import type { Clock, Timer } from '../../clock.js';

const TICKS = 10;
const MOST_BYTES = 32 * 1024 * 1024;
/** Of each beside what it says. */
const OVERHEAD = 256;

interface Question {
  /** Of all that were asked. */
  readonly at: number;
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
  /** Of each server. */
  readonly mostBytes?: number;
}

/** What one server has not answered, which it does in the order in which it is asked. */
interface Line {
  /** In that order: what is waited for, and what was given up before. */
  readonly asked: Set<Question>;
  readonly given: Set<Question>;
  bytes: number;
}

export class Unanswered implements Disposable {
  readonly #address: string;
  readonly #mostBytes: number;
  readonly #timer: Timer;
  readonly #clock: Clock;
  /** By server; those that have answered all have none. */
  readonly #lines = new Map<string, Line>();
  #tick = 0;
  #asked = 0;

  constructor({ clock, address, waitMs, mostBytes = MOST_BYTES }: UnansweredOptions) {
    this.#clock = clock;
    this.#address = address;
    this.#mostBytes = mostBytes;
    // One that comes late is one: the others that it should have been are not made up for.
    this.#timer = clock.every(waitMs / TICKS, () => this.#next());
  }

  /** Bytes of what has no answer, what was given up included. */
  get bytes(): number {
    let bytes = 0;
    for (const line of this.#lines.values()) bytes += line.bytes;
    return bytes;
  }

  /**
   * Asks, and waits for the answer. `server`: whose turn it is to answer.
   * @throws ImgoError redis_unreachable: nothing was asked; Error: no answer in time; what `ask` throws
   */
  async wait<T>(server: string, saysBytes: number, ask: () => Promise<T>): Promise<T> {
    const bytes = saysBytes + OVERHEAD;
    const line = this.#lines.get(server) ?? { asked: new Set<Question>(), given: new Set<Question>(), bytes: 0 };
    const [oldest] = line.given;
    if (oldest !== undefined && this.#tick > oldest.due + TICKS)
      throw this.#behind(server, 'it is behind with its answers');
    if (line.bytes > 0 && line.bytes + bytes > this.#mostBytes)
      throw this.#behind(server, 'too much waits for its answers');
    const answer = ask();
    line.bytes += bytes;
    this.#lines.set(server, line);
    return new Promise<T>((resolve, reject) => {
      // The tick that is under way is part of one.
      const question: Question = { at: ++this.#asked, due: this.#tick + TICKS + 1, giveUp: reject };
      line.asked.add(question);
      const settled = (): void => {
        line.asked.delete(question);
        line.given.delete(question);
        // What was asked before and has no answer was sent on to another server, and says nothing of this one.
        for (const given of line.given) {
          if (given.at > question.at) break;
          line.given.delete(given);
        }
        line.bytes -= bytes;
        if (line.bytes === 0) this.#lines.delete(server);
      };
      answer.finally(settled).then(resolve, reject);
    });
  }

  [Symbol.dispose](): void {
    this.#clock.clear(this.#timer);
  }

  #next(): void {
    this.#tick++;
    for (const line of this.#lines.values()) {
      const [oldest] = line.asked;
      // What has come meanwhile is read first.
      if (oldest !== undefined && oldest.due <= this.#tick) this.#clock.soon(() => this.#giveUp(line));
    }
  }

  #giveUp(line: Line): void {
    for (const question of line.asked) {
      if (question.due > this.#tick) break;
      line.asked.delete(question);
      line.given.add(question);
      question.giveUp(new Error('Command timed out'));
    }
  }

  #behind(server: string, detail: string): ImgoError {
    return new ImgoError('redis_unreachable', { address: server || this.#address, detail });
  }
}
