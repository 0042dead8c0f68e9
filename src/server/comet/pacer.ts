// One frame a write, with a pause between two: for clients that parse one frame a socket read (imgo's Java SDK). While
// frames wait the session is held, so that nothing queues behind them but what one write holds.

import { readI32 } from '../../protocol/bytes.js';
import type { Clock, Timer } from '../clock.js';
import type { Session } from './session.js';

/** The paced sessions of a comet that have something to write. */
export class Pacer {
  readonly #clock: Clock;
  readonly #ms: number;
  /** With the turn that is not theirs yet: they wrote since the one before it. */
  readonly #active = new Map<Session, number>();
  #turns = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#ms = ms;
  }

  /** Whole frames for this session; the first goes at once unless others wait. The session is held already. */
  add(session: Session, bytes: Uint8Array): void {
    const frames = session.pace;
    if (frames === undefined) return;
    for (let at = 0; at < bytes.length; ) {
      const next = at + readI32(bytes, at);
      frames.push(bytes.subarray(at, next));
      at = next;
    }
    if (this.#active.has(session)) return;
    this.#active.set(session, this.#turns + 1);
    this.#next(session);
    this.#timer ??= this.#clock.every(this.#ms, () => this.#turn());
  }

  stop(): void {
    this.#clock.clear(this.#timer);
    this.#timer = undefined;
    this.#active.clear();
  }

  #turn(): void {
    this.#turns++;
    for (const [session, notYet] of [...this.#active]) {
      if (session.closed || session.pace === undefined) this.#active.delete(session);
      else if (notYet === this.#turns) continue;
      else if (session.socket.writableLength !== 0) continue;
      else if (session.pace.length > 0) this.#next(session);
      else {
        this.#active.delete(session);
        session.resume();
      }
    }
    if (this.#active.size > 0) return;
    this.#clock.clear(this.#timer);
    this.#timer = undefined;
  }

  #next(session: Session): void {
    const frame = session.pace?.shift();
    if (frame !== undefined) session.giveToSocket(frame);
  }
}
