// Cumulative acknowledgements of the user's log: the latest one at once, then at most five a second.
import { compareIds, type MessageId } from '../protocol/ids.js';

const PACE_MS = 200;

export class Acknowledger {
  readonly #send: (upTo: MessageId) => void;
  #sent: MessageId | undefined;
  #waiting: MessageId | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (upTo: MessageId) => void) {
    this.#send = send;
  }

  /** Everything up to `upTo` was taken. */
  add(upTo: MessageId): void {
    if (this.#waiting === undefined || compareIds(this.#waiting, upTo) < 0) this.#waiting = upTo;
    if (this.#timer === undefined) {
      this.flush();
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.flush();
      }, PACE_MS);
    }
  }

  /** Sends what waits, now. */
  flush(): void {
    const upTo = this.#waiting;
    if (upTo === undefined || (this.#sent !== undefined && compareIds(upTo, this.#sent) <= 0)) return;
    this.#sent = upTo;
    this.#send(upTo);
  }

  /** A connection ended: the last one may not have arrived, so the next connection may send it again. */
  restart(): void {
    this.#sent = undefined;
    this.#waiting = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
