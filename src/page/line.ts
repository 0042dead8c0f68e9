// The line between the client and its WebSocket: shows every message that goes by, and can be cut for a while. A client on a
// cut line is one whose network is gone: its connection ends, and each attempt waits until the line is whole again.

import type { Carrier, Dial } from '../client/browser.js';

/** Told of each message on the line, before its receiver is. `at`: of performance.now(), ms. */
export type Tap = (direction: 'in' | 'out', data: Uint8Array, at: number) => void;

interface Attempt {
  /** Dials, unless it was given up. */
  start(): void;
  /** Ends it as a network does. */
  cut(): void;
}

export class Line {
  readonly #tap: Tap;
  readonly #attempts = new Set<Attempt>();
  #isCut = false;
  #send: ((data: Uint8Array) => void) | undefined;

  constructor(tap: Tap) {
    this.#tap = tap;
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** Sends beside the client, where a connection is open. */
  send(data: Uint8Array): void {
    this.#send?.(data);
  }

  cut(): void {
    this.#isCut = true;
    for (const attempt of [...this.#attempts]) attempt.cut();
  }

  /** Attempts that wait dial now. */
  restore(): void {
    this.#isCut = false;
    for (const attempt of this.#attempts) attempt.start();
  }

  /** For `connectWebSocket`. */
  readonly through = (dial: Dial): Dial => {
    return (events) => {
      let carrier: Carrier | undefined;
      const end = (code: number | undefined, reason: string): void => {
        if (!this.#attempts.delete(attempt)) return;
        this.#send = undefined;
        events.closed(code, reason);
      };
      const send = (data: Uint8Array | string): void => {
        if (typeof data !== 'string') this.#tap('out', data, performance.now());
        carrier?.send(data);
      };
      const attempt: Attempt = {
        start: () => {
          carrier ??= dial({
            opened: () => {
              if (!this.#attempts.has(attempt)) return;
              this.#send = send;
              events.opened();
            },
            data: (data) => {
              if (!this.#attempts.has(attempt)) return;
              if (typeof data !== 'string') this.#tap('in', data, performance.now());
              events.data(data);
            },
            closed: end,
          });
        },
        cut: () => {
          carrier?.close();
          end(undefined, 'this page is offline');
        },
      };
      this.#attempts.add(attempt);
      if (!this.#isCut) attempt.start();
      return {
        send,
        close: (code, reason) => {
          carrier?.close(code, reason);
          if (carrier === undefined && this.#attempts.delete(attempt)) {
            queueMicrotask(() => events.closed(undefined, 'given up'));
          }
        },
      };
    };
  };
}
