/**
 * Time, timers and randomness for everything under src/server: injected, never taken from globals, so that a
 * deterministic simulation can drive whole roles. Only this file may touch the globals (the linter checks it).
 */
import { randomFillSync } from 'node:crypto';

/** What a timer call returned; passed back to `clear`. */
export type Timer = { readonly timer: unknown };

export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump; only for what people read and for expiry. */
  now(): number;
  /** Monotonic milliseconds with a fraction. For leases, deadlines and latencies. */
  monotonic(): number;
  /** Runs `run` once after `ms`. Does not keep a process alive. */
  after(ms: number, run: () => void): Timer;
  /** Runs `run` every `ms`. Does not keep a process alive. */
  every(ms: number, run: () => void): Timer;
  clear(timer: Timer | undefined): void;
  /** Runs `run` after pending I/O, in the next turn of the event loop. */
  soon(run: () => void): void;
  /** Uniform in [0, 1). */
  random(): number;
  /** Cryptographically strong in production, seeded in simulations. */
  randomBytes(length: number): Uint8Array;
}

/** Random bytes are drawn by the page: a call for each id costs ten times as much. None is handed out twice. */
const PAGE = 4_096;
let page = new Uint8Array(0);
let used = 0;

function drawBytes(length: number): Uint8Array {
  if (length > PAGE) return randomFillSync(new Uint8Array(length));
  if (used + length > page.length) {
    page = randomFillSync(new Uint8Array(PAGE));
    used = 0;
  }
  const bytes = page.slice(used, used + length);
  page.fill(0, used, used + length);
  used += length;
  return bytes;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, run) => ({ timer: setTimeout(run, ms).unref() }),
  every: (ms, run) => ({ timer: setInterval(run, ms).unref() }),
  clear: (timer) => {
    if (timer !== undefined) clearTimeout(timer.timer as NodeJS.Timeout);
  },
  soon: (run) => {
    setImmediate(run);
  },
  random: () => Math.random(),
  randomBytes: drawBytes,
};

/** Resolves after `ms`, or at once when `signal` aborts. Never rejects. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const timer = clock.after(ms, done);
    function done(): void {
      clock.clear(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
    signal?.addEventListener('abort', done, { once: true });
  });
}
