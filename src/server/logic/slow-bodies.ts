// Bodies on their way: who has not sent the whole of one within the limit is cut off, so that slow senders cannot hold
// every connection. A request that was refused before its body came stays until the rest has come, or the limit.
// Batches are streams with a pace of their own: they count until their handler begins.

import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Clock, Timer } from '../clock.js';

const LOOK_EVERY_MS = 1_000;

export class SlowBodies {
  readonly #clock: Clock;
  readonly #limitMs: number;
  /** When each began, monotonic ms; oldest first. */
  readonly #begun = new Map<IncomingMessage, number>();
  #timer: Timer | undefined;
  /** Connections that were cut. */
  cut = 0;

  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock;
    this.#limitMs = limitMs;
  }

  /** Watches every request of an instance. */
  watch(app: FastifyInstance): void {
    app.addHook('onRequest', (request, _reply, done) => {
      this.#begin(request.raw);
      done();
    });
    app.addHook('preHandler', (request, _reply, done) => {
      this.#begun.delete(request.raw);
      done();
    });
  }

  stop(): void {
    this.#clock.clear(this.#timer);
    this.#timer = undefined;
  }

  #begin(raw: IncomingMessage): void {
    if (raw.headers['content-length'] === undefined && raw.headers['transfer-encoding'] === undefined) return;
    this.#begun.set(raw, this.#clock.monotonic());
    this.#timer ??= this.#clock.every(Math.min(LOOK_EVERY_MS, this.#limitMs), () => this.#look());
  }

  #look(): void {
    const before = this.#clock.monotonic() - this.#limitMs;
    for (const [raw, begun] of this.#begun) {
      if (raw.complete || raw.destroyed) this.#begun.delete(raw);
      else if (begun <= before) {
        this.#begun.delete(raw);
        this.cut += 1;
        raw.destroy();
      }
    }
    if (this.#begun.size === 0) this.stop();
  }
}
