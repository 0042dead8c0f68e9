// Cumulative acknowledgements of the user's log: at once while few are needed, at most five a second when many are.
import { compareIds, type MessageId } from '../protocol/ids.js';

/** A token bucket: so many at once, then one every 200 ms. */
const BURST = 5;
const PACE_MS = 200;

export class Acknowledger {
  readonly #send: (upTo: MessageId) => boolean;
  #sent: MessageId | undefined;
  #waiting: MessageId | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tokens = BURST;
  #refilledAt = performance.now();

  /** `send` answers false where there is no open connection: it is asked again with the next one. */
  constructor(send: (upTo: MessageId) => boolean) {
    this.#send = send;
  }

  /** Everything up to `upTo` was taken. */
  add(upTo: MessageId): void {
    if (this.#waiting === undefined || compareIds(this.#waiting, upTo) < 0) this.#waiting = upTo;
    if (this.#timer !== undefined) return;
    if (this.#take()) this.flush();
    else {
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#take();
        this.flush();
      }, PACE_MS);
    }
  }

  /** Sends what waits, now. */
  flush(): void {
    const upTo = this.#waiting;
    if (upTo === undefined || (this.#sent !== undefined && compareIds(upTo, this.#sent) <= 0)) return;
    if (this.#send(upTo)) this.#sent = upTo;
  }

  /** What was acknowledged so far, sent or not. */
  get latest(): MessageId | undefined {
    return this.#waiting;
  }

  /** A connection ended: the last one may not have arrived, so the next connection sends it again. */
  restart(): void {
    this.#sent = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #take(): boolean {
    const now = performance.now();
    this.#tokens = Math.min(BURST, this.#tokens + (now - this.#refilledAt) / PACE_MS);
    this.#refilledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
