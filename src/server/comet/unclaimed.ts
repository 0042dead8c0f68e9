// What is notified while sessions are being opened: logic has registered them, and nobody here knows yet whose they are. By
// log only the highest id is remembered; beyond a bound nothing is, and those sessions read.

import { type LogName, type MessageId, maxId } from '../../protocol/ids.js';

/** Logs that are remembered. */
const UNCLAIMED_MAX = 10_000;

export class Unclaimed {
  /** Opens under way. */
  #opening = 0;
  #tickets = 0;
  #notified = new Map<LogName, MessageId>();
  /** Opens up to this ticket must read whatever the head is. */
  #mustReadTo = 0;

  /** Somebody is being opened. */
  get any(): boolean {
    return this.#opening > 0;
  }

  /** An open begins; the ticket goes to `end`. */
  begin(): number {
    this.#opening++;
    return ++this.#tickets;
  }

  /**
   * An open was answered: the highest id notified for this log meanwhile (undefined: none), and whether something may
   * have been missed, so that the log must be read.
   */
  end(ticket: number, log: LogName | undefined): { notified: MessageId | undefined; mustRead: boolean } {
    const notified = log === undefined ? undefined : this.#notified.get(log);
    const mustRead = ticket <= this.#mustReadTo;
    if (--this.#opening === 0 && this.#notified.size > 0) this.#notified.clear();
    return { notified, mustRead };
  }

  /** A notification, while somebody is being opened. */
  remember(log: LogName, id: MessageId): void {
    const before = this.#notified.get(log);
    if (before === undefined && this.#notified.size >= UNCLAIMED_MAX) {
      this.#notified.clear();
      this.#mustReadTo = this.#tickets;
      return;
    }
    this.#notified.set(log, before === undefined ? id : maxId(before, id));
  }
}
