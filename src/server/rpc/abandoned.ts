/**
 * Opens of which nobody knows whether they were registered, and for whom nobody is there any more: until each is taken back, or its
 * comet's lease is over, somebody would be told of it. A few at a time, so that taking back does not stand in the way of opening.
 */
import { type Clock, pause } from '../clock.js';
import type { OpenRequest } from './services.js';

const AT_ONCE = 8;
/** Of those that wait; beyond it the oldest is given up. */
const WAITING_BYTES = 8 * 1024 * 1024;
const EACH_BYTES = 512;
const ATTEMPTS = 10;
const AGAIN_MS = 100;

export class Abandoned {
  readonly #clock: Clock;
  readonly #takeBack: (request: OpenRequest) => Promise<void>;
  readonly #onGivenUp: () => void;
  readonly #waiting = new Set<OpenRequest>();
  #bytes = 0;
  #underWay = 0;
  #stopped = false;

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
    this.#bytes += bytesOf(kept);
    for (const oldest of this.#waiting) {
      if (this.#bytes <= WAITING_BYTES) break;
      this.#take(oldest);
      this.#onGivenUp();
    }
    this.#go();
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
    this.#bytes = 0;
  }

  #take(request: OpenRequest): void {
    this.#waiting.delete(request);
    this.#bytes -= bytesOf(request);
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
    for (let attempt = 0; attempt < ATTEMPTS && !this.#stopped; attempt++) {
      try {
        await this.#takeBack(request);
        return;
      } catch {
        await pause(this.#clock, AGAIN_MS * 2 ** attempt);
      }
    }
    if (!this.#stopped) this.#onGivenUp();
  }
}

function bytesOf({ credential }: OpenRequest): number {
  return EACH_BYTES + (credential.kind === 'token' ? credential.token.length : (credential.key?.length ?? 0));
}
