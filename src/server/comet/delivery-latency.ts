// From a message's acceptance to the socket, by samples: one delivery in 64, of whatever kind; never one for each member of a
// fan-out. Wall clocks of two machines are compared, so that it is only as good as they agree.

import type { Clock } from '../clock.js';
import { Latency, type LatencyFigures } from '../observe/latency.js';
import type { Notification } from '../rpc/services.js';

/** Of so many deliveries one is a sample. */
const ONE_IN = 64;

export class DeliveryLatency {
  readonly #clock: Clock;
  readonly #latency = new Latency();
  #given = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** So many more deliveries; true: one of them is to be a sample. */
  due(deliveries: number): boolean {
    this.#given += deliveries;
    if (this.#given < ONE_IN) return false;
    this.#given = 0;
    return true;
  }

  took(ms: number): void {
    this.#latency.add(ms, this.#clock.monotonic());
  }

  /** Messages for users were given to so many sessions. */
  notified(sessions: number, notifications: readonly Notification[]): void {
    if (sessions === 0 || !this.due(sessions)) return;
    const note = notifications.findLast(({ log }) => log.startsWith('user:'));
    if (note !== undefined) this.took(this.#clock.now() - note.acceptedAt);
  }

  figures(): LatencyFigures {
    return this.#latency.figures(this.#clock.monotonic());
  }
}
