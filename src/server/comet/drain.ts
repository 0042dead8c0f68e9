// Emptying a comet: it takes no new connections and sends away those that it has, so many a second, so that the others are not
// run over. Native clients are told when to come back, a time chosen from a window; legacy ones are closed, and come back when
// they like. It may be called off at any time: then it takes connections again.

import { DISCONNECT, type DisconnectRow } from '../../protocol/disconnect.js';
import type { Clock, Timer } from '../clock.js';
import type { DrainOrder } from '../rpc/services.js';
import type { CometCore } from './core.js';
import type { Listeners } from './listeners.js';

const TURN_MS = 50;

export class Drain {
  readonly #core: CometCore;
  readonly #clock: Clock;
  readonly #listeners: Pick<Listeners, 'pause' | 'resume'>;
  readonly #changed: (draining: boolean) => void;
  #timer: Timer | undefined;
  #active = false;
  #ending: Promise<void> | undefined;

  /** `changed`: others are told. */
  constructor(core: CometCore, listeners: Pick<Listeners, 'pause' | 'resume'>, changed: (draining: boolean) => void) {
    this.#core = core;
    this.#clock = core.clock;
    this.#listeners = listeners;
    this.#changed = changed;
  }

  /** It is, or was, emptied, and takes nobody. */
  get active(): boolean {
    return this.#active;
  }

  /** Begins, or goes on as this order says. */
  begin({ perSecond, reconnect }: DrainOrder): void {
    this.#clock.clear(this.#timer);
    if (!this.#active) {
      this.#active = true;
      this.#listeners.pause();
      this.#changed(true);
    }
    const row: DisconnectRow = { ...DISCONNECT.drain, reconnect };
    let lastAt = this.#clock.monotonic();
    let due = 0;
    this.#timer = this.#clock.every(TURN_MS, () => {
      const now = this.#clock.monotonic();
      // A turn that came late does not make up for it with more than a second's worth at once.
      due = Math.min(due + ((now - lastAt) / 1_000) * perSecond, Math.max(1, perSecond));
      lastAt = now;
      for (const session of this.#core.connections) {
        if (due < 1) break;
        if (session.closed) continue;
        due--;
        session.close(row);
      }
    });
  }

  /** Called off. @throws ImgoError port_in_use when somebody has taken a port meanwhile */
  end(): Promise<void> {
    if (!this.#active) return Promise.resolve();
    this.#clock.clear(this.#timer);
    this.#timer = undefined;
    this.#ending ??= this.#end().finally(() => {
      this.#ending = undefined;
    });
    return this.#ending;
  }

  async #end(): Promise<void> {
    await this.#listeners.resume();
    if (this.#timer !== undefined) {
      // It was begun again while the ports were opened.
      this.#listeners.pause();
      return;
    }
    this.#active = false;
    this.#changed(false);
  }

  /** The comet stops. */
  stop(): void {
    this.#clock.clear(this.#timer);
  }
}
