// A run's messages as bare sockets get them: each message to every socket, what has come to be due in one write, a sweep a window.

import type { Socket } from 'node:net';
import { now } from '../now.js';
import { pushBytes, type Served } from '../wire/served.js';

/** Which messages, and when. */
export interface Played {
  readonly served: Served;
  /** Message n (from 1) is due at `startedAt + (n - 1) * everyMs`, by `process.hrtime`, in milliseconds. */
  readonly startedAt: number;
  readonly everyMs: number;
  readonly all: number;
  /** From the start of a sweep to that of the next; longer where a sweep takes longer. */
  readonly windowMs: number;
}

/** Buffers of one sweep: sockets that were passed over before get longer ones. */
const MOST_BUFFERS = 64;

/**
 * Plays until every socket has every message, or `stopped`. A socket that still writes gets what it lacks in a later sweep.
 * `wrote` is told of each write: of how many messages, and bytes.
 */
export function play(
  sockets: readonly Socket[],
  played: Played,
  stopped: () => boolean,
  wrote?: (messages: number, bytes: number) => void,
): void {
  const { served, startedAt, everyMs, all, windowMs } = played;
  const given = new Map<Socket, number>();
  const pushes: Uint8Array[] = [];
  const sweep = () => {
    if (stopped()) return;
    const beganAt = now();
    const due = Math.min(all, Math.floor((beganAt - startedAt) / everyMs) + 1);
    while (pushes.length < due) pushes.push(pushBytes(served, pushes.length + 1));
    const buffers = new Map<number, Buffer>();
    let lacking = due < all;
    for (const socket of due > 0 ? sockets : []) {
      const from = given.get(socket) ?? 0;
      if (from >= due) continue;
      if (socket.writableLength > 0) {
        lacking = true;
        continue;
      }
      let buffer = buffers.get(from);
      if (buffer === undefined) {
        buffer = Buffer.concat(pushes.slice(from, due));
        if (buffers.size < MOST_BUFFERS) buffers.set(from, buffer);
      }
      socket.write(buffer);
      wrote?.(due - from, buffer.length);
      given.set(socket, due);
    }
    if (!lacking) return;
    // Between two messages there is nothing to write.
    const next = Math.max(beganAt + windowMs, startedAt + due * everyMs);
    const wait = next - now();
    if (wait < 1) setImmediate(sweep);
    else setTimeout(sweep, wait);
  };
  sweep();
}
