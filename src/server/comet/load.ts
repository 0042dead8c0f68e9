// What a comet measures of itself, for those who ask: how late its clockwork is, what its process uses, how long messages took to
// sockets, and which sessions are held.

import type { Clock } from '../clock.js';
import { Lateness } from '../observe/lateness.js';
import { ProcessWatch } from '../observe/process.js';
import { DeliveryLatency } from './delivery-latency.js';
import { HeldSessions } from './held.js';

export class Load<S> {
  readonly lateness = new Lateness();
  readonly process: ProcessWatch;
  readonly latency: DeliveryLatency;
  readonly held: HeldSessions<S>;

  constructor(clock: Clock) {
    this.process = new ProcessWatch(clock);
    this.latency = new DeliveryLatency(clock);
    this.held = new HeldSessions(clock);
  }
}
