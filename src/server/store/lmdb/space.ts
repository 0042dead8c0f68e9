// Whether the disk has room: what it has free, and pages of the store that hold nothing, must be more than a reserve
// that is left for cursors, trimming and the operator; looked at before pushes, a few times a second at most. Before
// every commit the disk alone must have an eighth of it: what lmdb does when it finds none (3.5.6) can end the process.

import { statfsSync } from 'node:fs';
import { ImgoError } from '../../../protocol/errors.js';
import type { Clock } from '../../clock.js';
import type { Disk, Room } from './committer.js';
import { freePages, type Tables } from './tables.js';

/** What a commit costs beside its entries, roughly. */
const COMMIT_BYTES = 32_768;
/** How long what was seen is believed, ms. */
const LOOK_EVERY_MS = 250;
/** How much may be written on the strength of it, bytes: pages inside the store are used up meanwhile. */
const LOOK_EVERY_BYTES = 1_048_576;
/** What the disk itself must have for a commit, at most: more than the pages of a large one. */
const MOST_FLOOR = 32 * 1_048_576;

export interface SpaceState {
  /** Bytes that can still be written, by disk and inside the store. */
  readonly freeBytes: number;
  readonly usedBytes: number;
  readonly full: boolean;
}

export class Space implements Disk {
  readonly #tables: Tables;
  readonly #clock: Clock;
  readonly #folder: string;
  readonly #reserve: number;
  readonly #diskFree: (folder: string) => number;
  #freeInside = 0;
  #spent = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #state: SpaceState = { freeBytes: 0, usedBytes: 0, full: false };

  constructor(tables: Tables, clock: Clock, folder: string, reserveBytes: number, freeBytes = diskFree) {
    this.#diskFree = freeBytes;
    this.#tables = tables;
    this.#clock = clock;
    this.#folder = folder;
    this.#reserve = reserveBytes;
  }

  /** As it is now, or was a moment ago. */
  state(): SpaceState {
    const now = this.#clock.monotonic();
    if (now - this.#lookedAt < LOOK_EVERY_MS && this.#spent < LOOK_EVERY_BYTES) return this.#state;
    this.#lookedAt = now;
    this.#spent = 0;
    const { free, used, pageBytes } = freePages(this.#tables);
    this.#freeInside = free * pageBytes;
    const disk = this.#diskFree(this.#folder);
    const full = this.#judge(disk) !== 'enough';
    this.#state = { freeBytes: disk + this.#freeInside, usedBytes: used * pageBytes, full };
    return this.#state;
  }

  /**
   * What a commit may do: anything; nothing that adds entries; or nothing, since the store may find no run of free pages
   * inside itself. `bytes`: what it would add.
   */
  room(bytes: number): Room {
    this.#spent += bytes + COMMIT_BYTES;
    if (this.#spent >= LOOK_EVERY_BYTES) this.state();
    return this.#judge(this.#diskFree(this.#folder));
  }

  #judge(disk: number): Room {
    if (disk < Math.min(this.#reserve / 8, MOST_FLOOR)) return 'none';
    return disk + this.#freeInside < this.#reserve ? 'reserve' : 'enough';
  }

  /** A commit found no room: no push is tried before the next look. */
  full(cause?: unknown): ImgoError {
    this.#lookedAt = this.#clock.monotonic();
    const freeBytes = Math.min(this.#state.freeBytes, this.#diskFree(this.#folder));
    this.#state = { ...this.#state, freeBytes, full: true };
    return this.error(cause);
  }

  error(cause?: unknown): ImgoError {
    const details = { data: this.#folder, free: mebibytes(this.#state.freeBytes), needed: mebibytes(this.#reserve) };
    return new ImgoError('store_full', details, cause === undefined ? {} : { cause });
  }
}

function diskFree(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    // A folder of which nothing can be known has no room.
    return 0;
  }
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 1_048_576)} MiB`;
}
