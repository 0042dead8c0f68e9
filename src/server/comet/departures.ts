/**
 * Tells logic of sessions that have ended, so many at a time. When all clients of a comet leave at once, a call for each would wait
 * for its turn longer than a call may take: it would be given up, made again, and so done twice, and the last of them later still.
 * What logic does not answer is repeated, and given up with the lease at the latest; at the end of this comet, when no logic is found
 * once.
 */
import { ImgoError } from '../../protocol/errors.js';
import type { MessageId } from '../../protocol/ids.js';
import { type Clock, pause } from '../clock.js';
import { Line } from '../line.js';
import type { LogicService, SessionHandle } from '../rpc/services.js';

/** Calls without an answer: enough that a logic is never without work, and few enough that it comes to each in time. */
const AT_ONCE = 1_024;
/** In all longer than a lease that cannot be renewed, as when the store is away: then it is the lease's end that tells. */
const ATTEMPTS = 12;
const AGAIN_MIN_MS = 100;
const AGAIN_MAX_MS = 3_000;

interface Waiting {
  readonly begin: () => void;
}

export class Departures {
  readonly #logic: Pick<LogicService, 'close'>;
  readonly #clock: Clock;
  readonly #failed: () => void;
  readonly #waiting = new Line<Waiting>();
  #asked = 0;
  /** This comet ends, and whether a logic was looked for since, in vain. */
  #ends = false;
  #alone = false;

  /** `failed`: one was given up. */
  constructor(logic: Pick<LogicService, 'close'>, clock: Clock, failed: () => void) {
    this.#logic = logic;
    this.#clock = clock;
    this.#failed = failed;
  }

  /** From now on it is asked no longer than to find that no logic is there. */
  last(): void {
    this.#ends = true;
  }

  /** Resolves when logic knows, or never will. */
  async tell(handle: SessionHandle, sentTo: MessageId): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS && !this.#alone; attempt++) {
      await this.#turn();
      try {
        if (this.#alone) break;
        await this.#logic.close(handle, sentTo, true);
        return;
      } catch (error) {
        this.#alone = this.#ends && error instanceof ImgoError && error.code === 'node_unreachable';
      } finally {
        this.#next();
      }
      if (!this.#alone) await pause(this.#clock, Math.min(AGAIN_MIN_MS * 4 ** attempt, AGAIN_MAX_MS));
    }
    this.#failed();
  }

  #turn(): Promise<void> | undefined {
    if (this.#asked < AT_ONCE) {
      this.#asked++;
      return undefined;
    }
    return new Promise((begin) => this.#waiting.push({ begin }));
  }

  /** The turn is the next one's. */
  #next(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#asked--;
    else next.begin();
  }
}
