// Group commit: one transaction at a time, with everything that waits, so that one sync serves many writers. What was
// written resolves only after the sync. A full disk aborts a transaction (nothing of it happened); any other failure
// leaves the outcome unknown, and the store refuses all further writes.

import { ImgoError } from '../../../protocol/errors.js';
import type { Clock, Timer } from '../../clock.js';
import type { Counters } from '../counters.js';
import { Slab } from './layout.js';
import type { Tables } from './tables.js';

/** Something that takes part in the next transaction. */
export interface Write {
  /** Puts into the tables; values may be laid out in the slab, which is reused after the commit. */
  build(slab: Slab): void;
  /** It is on disk. */
  committed(): void;
  /** Nothing of it happened (`store_full`), or nobody knows (`outcome_unknown`). */
  failed(error: ImgoError): void;
  /** Entries that it adds, in bytes: large transactions are cut, and it is refused when the disk is full. */
  readonly bytes?: number;
}

/** What a transaction may do: anything, nothing that adds entries, nothing. */
export type Room = 'enough' | 'reserve' | 'none';

/** Where transactions go: the disk. */
export interface Disk {
  /** `bytes`: of entries that the transaction would add. */
  room(bytes: number): Room;
  /** What to say to writers when there was no room. */
  full(cause?: unknown): ImgoError;
}

/**
 * "No room", as lmdb tells it: its map, the disk, a quota, a limit on the size of files; and the plain I/O error that it
 * makes of a write that was cut short, which is how a disk begins to be full.
 */
const NO_ROOM = /MDB_MAP_FULL|No space left|ENOSPC|Disk quota|EDQUOT|File too large|EFBIG|Input\/output error|EIO/;
/** A transaction is not made larger than this, bytes of values. */
const MOST_BYTES = 8 * 1_048_576;
/** When cursors are tried again after a commit that failed, ms. */
const RETRY_MS = 500;
/** A commit that takes longer than this has failed, whatever comes of it. */
const COMMIT_DEADLINE_MS = 60_000;

export class Committer {
  readonly #tables: Tables;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #slab = new Slab();
  readonly #disk: Disk;
  #waiting: Write[] = [];
  #scheduled = false;
  #committing: Promise<void> | undefined;
  /** Another transaction was due while one was on its way. */
  #due = false;
  #closed = false;
  #timer: Timer | undefined;
  #timerAt = 0;
  #broken: ImgoError | undefined;
  /** Joins every transaction: what has been lying about dirty. Set once by the owner. */
  background: Write | undefined;

  constructor(tables: Tables, clock: Clock, counters: Counters, disk: Disk) {
    this.#tables = tables;
    this.#clock = clock;
    this.#counters = counters;
    this.#disk = disk;
  }

  /** Set for ever after a commit of unknown outcome. */
  get broken(): ImgoError | undefined {
    return this.#broken;
  }

  /** Takes part in the next transaction. */
  add(write: Write): void {
    if (this.#broken !== undefined) {
      write.failed(refused());
      return;
    }
    this.#waiting.push(write);
    this.#schedule();
  }

  /** A transaction will begin within `ms`, also if nothing waits. */
  within(ms: number): void {
    if (this.#scheduled || this.#broken !== undefined) return;
    const at = this.#clock.monotonic() + ms;
    if (this.#timer !== undefined && this.#timerAt <= at) return;
    this.#clock.clear(this.#timer);
    this.#timerAt = at;
    this.#timer = this.#clock.after(ms, () => {
      this.#timer = undefined;
      this.#schedule();
    });
  }

  /** Resolves when everything given before is on disk. */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.add({ build: () => undefined, committed: resolve, failed: reject });
    });
  }

  /** Ends: what waits is written, then nothing more begins. */
  async close(): Promise<void> {
    if (this.#broken === undefined) await this.flush().catch(() => undefined);
    this.#closed = true;
    this.#clock.clear(this.#timer);
    await this.#committing;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    if (this.#committing !== undefined) {
      this.#due = true;
      return;
    }
    this.#scheduled = true;
    this.#due = false;
    this.#clock.soon(() => {
      this.#scheduled = false;
      this.#clock.clear(this.#timer);
      this.#timer = undefined;
      const committing = this.#commit().catch((cause: unknown) => {
        this.#broken ??= new ImgoError('outcome_unknown', {}, { cause });
        for (const write of this.#waiting.splice(0)) write.failed(refused());
      });
      this.#committing = committing.finally(() => {
        this.#committing = undefined;
        if (this.#waiting.length > 0 || (this.#due && !this.#closed)) this.#schedule();
      });
    });
  }

  async #commit(): Promise<void> {
    const next = this.#next();
    const room = this.#disk.room(next.reduce((sum, write) => sum + (write.bytes ?? 0), 0));
    const writes = room === 'enough' ? next : next.filter((write) => room === 'reserve' && (write.bytes ?? 0) === 0);
    if (room !== 'enough') {
      const error = this.#disk.full();
      for (const write of next) if (!writes.includes(write)) write.failed(error);
    }
    if (room === 'none') {
      this.#counters.add('commits_failed');
      this.within(RETRY_MS);
      return;
    }
    if (this.background !== undefined) writes.push(this.background);
    try {
      await this.#transaction(writes);
    } catch (cause) {
      this.#counters.add('commits_failed');
      const error = await this.#refusal(cause);
      for (const write of writes) write.failed(error);
      this.within(RETRY_MS);
      return;
    } finally {
      this.#slab.reset();
    }
    this.#counters.add('commits');
    for (const write of writes) write.committed();
  }

  /** What goes into the next transaction; the rest waits for the one after it. */
  #next(): Write[] {
    let bytes = 0;
    const end = this.#waiting.findIndex((write) => {
      bytes += write.bytes ?? 0;
      return bytes > MOST_BYTES;
    });
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : Math.max(1, end));
  }

  #transaction(writes: readonly Write[]): Promise<unknown> {
    const done = this.#tables.root.batch(() => {
      for (const write of writes) write.build(this.#slab);
    });
    const late = new Promise<never>((_resolve, reject) => {
      // Twice: a process that was stopped for long finds its timer due, and its commit done only a moment later.
      let timer = this.#clock.after(COMMIT_DEADLINE_MS / 2, () => {
        timer = this.#clock.after(COMMIT_DEADLINE_MS / 2, () => reject(new Error('the commit does not end')));
      });
      const over = (): void => this.#clock.clear(timer);
      done.then(over, over);
    });
    return Promise.race([done, late]);
  }

  /** Whether lmdb still begins transactions. It does not after an error in the one write that could have been a commit. */
  #usable(): boolean {
    try {
      this.#tables.root.transactionSync(() => undefined);
      return true;
    } catch {
      return false;
    }
  }

  /** Certain when the transaction was aborted for want of space. */
  async #refusal(cause: unknown): Promise<ImgoError> {
    const inner: unknown = await (cause as { commitError?: Promise<unknown> }).commitError?.catch((error) => error);
    const text = `${String(cause)} ${String(inner)}`;
    if (NO_ROOM.test(text) && this.#usable()) return this.#disk.full(inner ?? cause);
    this.#broken = new ImgoError('outcome_unknown', {}, { cause: inner ?? cause });
    for (const write of this.#waiting.splice(0)) write.failed(refused());
    return this.#broken;
  }
}

/** Nothing is written any more: certainly not this. */
function refused(): ImgoError {
  return new ImgoError('store_failed');
}
