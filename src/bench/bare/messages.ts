/** What the reference and its bare server processes say to each other. */
import type { BenchTransport } from '../options.js';
import type { Played } from './play.js';

/** What a bare server is told. */
export type BareOrder =
  /** Accept; whoever says anything is answered with `reply`. Port 0: any free one. */
  | { readonly do: 'listen'; readonly port: number; readonly transport: BenchTransport; readonly reply: Uint8Array }
  /**
   * Write to so many sockets, the next ones each time, every `everyMs` or as fast as that can be done: `push` as many times as have
   * come to be due, in one buffer that all share.
   */
  | {
      readonly do: 'sweep';
      readonly push: Uint8Array;
      readonly each: number;
      readonly sockets: number;
      readonly everyMs: number;
    }
  /** A run's messages when they are due, until `rest`. */
  | { readonly do: 'play'; readonly played: Played }
  | { readonly do: 'rest' }
  | { readonly do: 'count' }
  | { readonly do: 'end' };

/** Since the process began. */
export interface BareCounts {
  readonly cpuSeconds: number;
  /** Open now. */
  readonly connections: number;
  readonly flushes: number;
  readonly messages: number;
  readonly bytes: number;
}

export type BareWord =
  | { readonly say: 'listening'; readonly port: number }
  | { readonly say: 'counts'; readonly counts: BareCounts };
