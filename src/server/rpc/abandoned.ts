/**
 * Opens of which nobody knows whether they were registered, and for whom nobody is there any more: until each is taken back, or its
 * comet's lease is over, somebody would be told of it. A few at a time, so that taking back does not stand in the way of opening.
 */
import { type Clock, pause } from '../clock.js';
import { openBytes } from '../open-limit.js';
import type { OpenRequest } from './services.js';

const AT_ONCE = 8;
/** Of those that wait; beyond it the oldest is given up. */
const WAITING_BYTES = 8 * 1024 * 1024;
/** How long each is tried. */
const TRY_MS = 120_000;
/** Between two tries: doubled each time, within these. Who tries keeps the others waiting, so that it must not sleep through the end. */
const AGAIN_MIN_MS = 100;
const AGAIN_MAX_MS = 2_000;

export class Abandoned {
  readonly #clock: Clock;
  readonly #takeBack: (request: OpenRequest) => Promise<void>;
  readonly #onGivenUp: () => void;
  readonly #waiting = new Set<OpenRequest>();
  #bytes = 0;
  #underWay = 0;
  readonly #stopped = new AbortController();

  /** `onGivenUp`: one stays registered until the lease of its comet is over. */
  constructor(clock: Clock, takeBack: (request: OpenRequest) => Promise<void>, onGivenUp: () => void) {
    this.#clock = clock;
    this.#takeBack = takeBack;
    this.#onGivenUp = onGivenUp;
  }

  add(request: OpenRequest): void {
    // What says which session it is, and no more.
    const kept = { ...request, cursor: undefined, rooms: undefined };
    this.#waiting.add(kept);
    this.#bytes += openBytes(kept);
    for (const oldest of this.#waiting) {
      if (this.#bytes <= WAITING_BYTES) break;
      this.#take(oldest);
      this.#onGivenUp();
    }
    this.#go();
  }

  stop(): void {
    this.#stopped.abort();
    this.#waiting.clear();
    this.#bytes = 0;
  }

  #take(request: OpenRequest): void {
    this.#waiting.delete(request);
    this.#bytes -= openBytes(request);
  }

  #go(): void {
    while (this.#underWay < AT_ONCE) {
      const [request] = this.#waiting;
      if (request === undefined) return;
      this.#take(request);
      this.#underWay++;
      void this.#settle(request).finally(() => {
        this.#underWay--;
        this.#go();
      });
    }
  }

  async #settle(request: OpenRequest): Promise<void> {
    const { signal } = this.#stopped;
    const until = this.#clock.monotonic() + TRY_MS;
    for (let waitMs = AGAIN_MIN_MS; !signal.aborted; waitMs = Math.min(2 * waitMs, AGAIN_MAX_MS)) {
      try {
        await this.#takeBack(request);
        return;
      } catch {
        if (this.#clock.monotonic() >= until) break;
        await pause(this.#clock, waitMs, signal);
      }
    }
    if (!signal.aborted) this.#onGivenUp();
  }
}
