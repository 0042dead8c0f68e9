// The logs that this process has at hand: bounded, two generations (what was not used for a whole generation goes),
// except for what the disk does not know yet.

import { type LogName, type MessageId, ZERO_ID } from '../../../protocol/ids.js';
import type { BucketsOptions } from '../buckets.js';
import type { Counters } from '../counters.js';
import { emptyDevices } from '../devices.js';
import { decodeLog } from './log-record.js';
import { LogState } from './log-state.js';
import type { Tables } from './tables.js';

export interface CacheLimits {
  /** Logs in a generation. */
  readonly logs: number;
  /** Index entries in a generation. */
  readonly entries: number;
}

/** Of the engine. */
export interface LogCacheParts {
  readonly tables: Tables;
  readonly options: BucketsOptions;
  readonly counters: Counters;
  readonly cache: CacheLimits;
  /** The last epoch that ended in a crash; 0: none. */
  readonly crashedEpoch: number;
  readonly unrecorded: { readonly epoch: number };
}

export class LogCache {
  readonly #tables: Tables;
  readonly #options: BucketsOptions;
  readonly #counters: Counters;
  readonly #limits: CacheLimits;
  readonly #floor: (log: LogName) => MessageId;
  readonly #crashedEpoch: number;
  readonly #unrecordedEpoch: number;
  #young = new Map<LogName, LogState>();
  #old = new Map<LogName, LogState>();
  #entries = 0;

  constructor(parts: LogCacheParts, floor: (log: LogName) => MessageId) {
    this.#tables = parts.tables;
    this.#options = parts.options;
    this.#counters = parts.counters;
    this.#limits = parts.cache;
    this.#floor = floor;
    this.#crashedEpoch = parts.crashedEpoch;
    this.#unrecordedEpoch = parts.unrecorded.epoch;
  }

  /** The log, or undefined when nobody knows it. */
  get(name: LogName): LogState | undefined {
    const young = this.#young.get(name);
    if (young !== undefined) return young;
    const old = this.#old.get(name);
    if (old !== undefined) {
      this.#old.delete(name);
      this.#keep(old);
      return old;
    }
    const value = this.#tables.logs.get(Buffer.from(name, 'utf8'));
    if (value === undefined) return undefined;
    const state = new LogState(name, this.#options, decodeLog(value) ?? this.#lostRecord(name));
    this.suspect(state);
    this.#keep(state);
    return state;
  }

  /** The log as it is in memory, if it is. */
  peek(name: LogName): LogState | undefined {
    return this.#young.get(name) ?? this.#old.get(name);
  }

  /**
   * Whoever was anonymous when a process crashed left no mark of what it was sent: all of it, perhaps. So did devices whose
   * sessions opened on a full disk.
   */
  suspect(state: LogState): void {
    if (state.user === undefined) return;
    if (this.#crashedEpoch > 0 && state.epoch <= this.#crashedEpoch) state.crashedTo = state.head;
    if (this.#unrecordedEpoch === 0 || state.epoch > this.#unrecordedEpoch) return;
    for (const mark of state.set.devices) mark.clean = false;
  }

  /** A log that nobody knew. */
  create(name: LogName): LogState {
    const state = new LogState(name, this.#options, undefined);
    this.#keep(state);
    return state;
  }

  forget(name: LogName): void {
    this.#young.delete(name);
    this.#old.delete(name);
  }

  /** The index of a log has grown. */
  grown(entries: number): void {
    this.#entries += entries;
  }

  #keep(state: LogState): void {
    this.#young.set(state.name, state);
    this.#entries += state.index.end;
    if (this.#young.size < this.#limits.logs && this.#entries < this.#limits.entries) return;
    const gone = this.#old;
    this.#old = this.#young;
    this.#young = new Map();
    this.#entries = 0;
    for (const [name, one] of gone) {
      if (!one.pinned) continue;
      this.#young.set(name, one);
      this.#entries += one.index.end;
    }
  }

  /** The record is not what was written: whoever reads the log is told that all of it is gone, which is true now. */
  #lostRecord(name: LogName): ConstructorParameters<typeof LogState>[2] {
    this.#counters.add('damaged_entries');
    const floor = this.#floor(name);
    return {
      head: floor,
      trimmedTo: floor,
      lastMid: 0,
      messages: 0,
      bytes: 0,
      first: ZERO_ID,
      firstExpires: 0,
      usedAt: 0,
      epoch: 0,
      crashedTo: ZERO_ID,
      set: { ...emptyDevices(), forgottenFloor: ZERO_ID },
    };
  }
}
