// One partition in the hands of this process: what was fetched, in batches for the handler, and how far may be committed.
//
//   fetched -> buffer -> batch -> handler -> applied (the next one goes) -> resolved -> committable
//                ^                   |                                        |
//                '------- seek ------+---- comes again, before anything newer +
//
// A claim ends when the group gives the partition away. A batch under way then may finish, since the marks of the store
// make that harmless; nothing else is handed out, and nothing is committed.

import type { MessageId } from '../../../protocol/ids.js';
import { type Clock, pause } from '../../clock.js';
import type { IdentifiedRecord } from '../../store/buckets.js';
import type { BatchHandler, EphemeralRecord, QueueBatch, Seek } from '../queue.js';

/** Between two tries of a batch that the handler could not apply: doubled each time, within these. Milliseconds. */
const RETRY_MIN_MS = 20;
const RETRY_MAX_MS = 1_000;
/** A batch has as many records, or one Kafka record's, and bytes. */
const MAX_RECORDS = 2_000;
const MAX_BYTES = 2 * 1024 * 1024;
/** Batches that were applied and are still being notified. */
const MAX_NOTIFYING = 8;
/** What a record costs in memory beside its payload. */
export const RECORD_OVERHEAD = 256;

/** What one record of Kafka says, read. */
export interface Fetched {
  readonly offset: number;
  readonly records: readonly IdentifiedRecord[];
  readonly ephemeral: readonly EphemeralRecord[];
  readonly bytes: number;
}

export interface ClaimParts {
  readonly partition: number;
  readonly buckets: readonly number[];
  readonly epoch: number;
  /** The first offset that is handed out. */
  readonly start: number;
  readonly handler: BatchHandler;
  readonly clock: Clock;
  readonly commitMs: number;
  readonly idleMs: number;
  /** How much of these times counts as over at the start, 0 to 1: claims that begin together do not all commit together. */
  readonly phase: number;
  /** This process still counts as a member of the group. */
  readonly alive: () => boolean;
  /** Everything from `offset` on is to be fetched again. */
  readonly seek: (offset: number) => void;
  /** Room again for what was held back, or something to commit. */
  readonly changed: () => void;
}

interface Batch {
  readonly records: readonly IdentifiedRecord[];
  ephemeral: readonly EphemeralRecord[];
  /** The offset after its last record. */
  readonly end: number;
  readonly commits: boolean;
  /** How often the store had lost writes before. */
  readonly era: number;
  attempt: number;
  applied: boolean;
  done: boolean;
}

type Outcome = 'applied' | 'failed' | Seek;

export class Claim {
  readonly partition: number;
  /** The next offset that is expected from the broker. */
  expected: number;
  /** Handed out, resolved, and in order: may be committed. Undefined: nothing is. */
  committable: number | undefined;
  bufferedBytes = 0;
  seeks = 0;
  readonly #parts: ClaimParts;
  #buffer: Fetched[] = [];
  /** The next offset that is handed out. */
  #position: number;
  /** Handed out and not resolved, or waiting for one that is not; in order. */
  #open: Batch[] = [];
  #again: Batch[] = [];
  readonly #notifying = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  /** Takes no more, but finishes what it has applied. */
  #closing = false;
  /** A batch was given up while closing: no mark may move over it. */
  #gaveUp = false;
  #wake: (() => void) | undefined;
  #commitsAt: number;
  #touchedAt: number;
  readonly #running: Promise<void>;

  constructor(parts: ClaimParts) {
    this.#parts = parts;
    this.partition = parts.partition;
    this.expected = parts.start;
    this.#position = parts.start;
    const { clock, commitMs, idleMs, phase } = parts;
    this.#commitsAt = clock.monotonic() - phase * commitMs;
    this.#touchedAt = clock.monotonic() - phase * idleMs;
    this.#running = this.#run();
  }

  get revoked(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Handed out up to here (exclusive). */
  get position(): number {
    return this.#position;
  }

  /** What was fetched, from `expected` on. Once it closes, what was buffered is gone: nothing may be handed out behind that. */
  feed(fetched: readonly Fetched[]): void {
    if (this.#closing || this.revoked) return;
    for (const one of fetched) {
      this.#buffer.push(one);
      this.bufferedBytes += one.bytes;
      this.expected = one.offset + 1;
    }
    this.#wakeUp();
  }

  /** Skips what is not there, to `offset`. */
  skipTo(offset: number): void {
    this.expected = offset;
  }

  /** Looks whether a batch without records is due. */
  tick(): void {
    this.#wakeUp();
  }

  /** The partition is not ours any more. Resolves when nothing of it is under way. */
  revoke(): Promise<void> {
    this.#stop.abort();
    this.#buffer = [];
    this.bufferedBytes = 0;
    this.#wakeUp();
    return this.#running;
  }

  /** Hands out nothing new, lets what is under way finish as far as it can, and has all of it committable. */
  close(): Promise<void> {
    this.#closing = true;
    this.#buffer = [];
    this.bufferedBytes = 0;
    this.#wakeUp();
    return this.#running;
  }

  async #run(): Promise<void> {
    for (;;) {
      const batch = this.revoked ? undefined : (this.#again.shift() ?? this.#take());
      if (batch !== undefined) await this.#settle(batch);
      else if (this.#notifying.size === 0 && (this.revoked || this.#closing)) break;
      else await this.#somethingHappens();
      while (this.#notifying.size >= MAX_NOTIFYING) await Promise.race(this.#notifying);
    }
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #somethingHappens(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** The next batch: what is buffered, or nothing, where that is due. */
  #take(): Batch | undefined {
    const { clock, commitMs, idleMs, alive } = this.#parts;
    if (!alive() || this.#gaveUp) return undefined;
    const now = clock.monotonic();
    const records: IdentifiedRecord[] = [];
    const ephemeral: EphemeralRecord[] = [];
    let taken = 0;
    let bytes = 0;
    let end = this.#position;
    for (const one of this.#buffer) {
      if (taken > 0 && (records.length + one.records.length > MAX_RECORDS || bytes + one.bytes > MAX_BYTES)) break;
      taken++;
      bytes += one.bytes;
      end = one.offset + 1;
      records.push(...one.records);
      ephemeral.push(...one.ephemeral);
    }
    const uncommitted = end > (this.committable ?? this.#parts.start) && !this.#open.some(({ commits }) => commits);
    const commits = uncommitted && (this.#closing || now - this.#commitsAt >= commitMs);
    const idle = this.#position > 0 && !this.#closing && now - this.#touchedAt >= idleMs;
    if (taken === 0 && !commits && !idle) return undefined;
    this.#buffer = taken === this.#buffer.length ? [] : this.#buffer.slice(taken);
    this.bufferedBytes -= bytes;
    this.#position = end;
    if (commits || idle) this.#commitsAt = this.#touchedAt = now;
    const batch = {
      records,
      ephemeral,
      end,
      commits: commits || idle,
      era: this.seeks,
      attempt: 0,
      applied: false,
      done: false,
    };
    this.#open.push(batch);
    this.#parts.changed();
    return batch;
  }

  /** Hands the batch out until it is applied, sought or not ours any more. */
  async #settle(batch: Batch): Promise<void> {
    const { clock } = this.#parts;
    for (let wait = RETRY_MIN_MS; !this.revoked; wait = Math.min(wait * 2, RETRY_MAX_MS)) {
      const outcome = await this.#handOut(batch);
      if (outcome === 'applied') return;
      if (outcome !== 'failed') {
        this.#goBack(outcome);
        return;
      }
      if (this.#closing) {
        this.#gaveUp = true;
        return;
      }
      await pause(clock, wait, this.#stop.signal);
    }
  }

  /** One call of the handler. Resolves when the batch is applied, or is not. */
  #handOut(batch: Batch): Promise<Outcome> {
    batch.attempt++;
    return new Promise((resolve) => {
      let appliedNow = false;
      const done = this.#parts
        .handler(
          this.#handed(batch, () => {
            appliedNow = true;
            batch.applied = true;
            resolve('applied');
          }),
        )
        .then(
          (seek) => {
            if (seek !== undefined) return resolve(seek);
            if (!appliedNow && batch.records.length > 0) return failed();
            batch.done = true;
            this.#advance();
            resolve('applied');
          },
          () => failed(),
        );
      const failed = (): void => {
        // After `applied` the loop is with the next batch already: this one comes again. Not across a seek: applied over the
        // hole it would move the mark beyond what is missing.
        if (appliedNow && !this.#closing && batch.era === this.seeks) this.#again.push(batch);
        // Told once: nobody could tell a second time from the first.
        batch.ephemeral = [];
        resolve('failed');
      };
      const tracked: Promise<void> = done.finally(() => {
        this.#notifying.delete(tracked);
        this.#wakeUp();
      });
      this.#notifying.add(tracked);
    });
  }

  #handed(batch: Batch, applied: () => void): QueueBatch {
    const { partition, buckets, epoch } = this.#parts;
    const upTo: MessageId = { epoch, n: batch.end - 1 };
    const { records, ephemeral, attempt } = batch;
    const handed = { partition, records, ephemeral, attempt, applied };
    return batch.commits ? { ...handed, commit: { upTo, buckets } } : handed;
  }

  /** Moves what may be committed over the batches at the front that are done. */
  #advance(): void {
    let first = this.#open[0];
    while (first?.done === true) {
      if (first.commits && !this.revoked) {
        this.committable = Math.max(this.committable ?? 0, first.end);
        this.#parts.changed();
      }
      this.#open.shift();
      first = this.#open[0];
    }
  }

  /** The store lost writes: nothing of this batch or of one after it is committed. */
  #goBack(seek: Seek): void {
    const { epoch } = this.#parts;
    const offset = seek.to.epoch === epoch ? seek.to.n + 1 : 0;
    this.seeks++;
    this.#buffer = [];
    this.bufferedBytes = 0;
    this.#again = [];
    this.#open = [];
    this.committable = undefined;
    this.#position = this.expected = Math.min(offset, this.#position);
    this.#parts.seek(this.#position);
  }
}
