/**
 * Closes holes of a topic from the store: once per comet and topic, never per member (delivery.md section 4). What is
 * wanted is only an id, so notifications that arrive meanwhile cost no memory; reads repeat until it is reached.
 */
import { compareIds, type LogName, type MessageId, ZERO_ID } from '../../protocol/ids.js';
import { type Clock, pause } from '../clock.js';
import type { ReadLimit, ReadResult } from '../store/buckets.js';
import type { LaneEntry } from './lane.js';

const FIRST_RETRY_MS = 20;
const LAST_RETRY_MS = 2_000;

/** What is being caught up. */
export interface CatchUpTarget {
  readonly log: LogName;
  readonly head: MessageId;
  put(entry: LaneEntry, ephemeral: boolean): void;
  putGap(after: MessageId, upTo: MessageId): void;
  /** Nothing is missing up to here. */
  reached(id: MessageId): void;
}

export interface CatchUpContext {
  readonly clock: Clock;
  readonly options: { readonly read: ReadLimit };
  readonly counters: { readErrors: number };
  read(log: LogName, after: MessageId, limit: ReadLimit): Promise<ReadResult>;
}

export class CatchUp {
  readonly #target: CatchUpTarget;
  readonly #context: CatchUpContext;
  /** While it runs: ends the pause before a retry. */
  #abort: AbortController | undefined;
  #stopped = false;
  #wanted: MessageId = ZERO_ID;
  /** Asked to read up to whatever the head is: as many reads as have been asked for must begin after the asking. */
  #resyncs: (() => void)[] = [];
  #running = false;

  constructor(target: CatchUpTarget, context: CatchUpContext) {
    this.#target = target;
    this.#context = context;
  }

  /** Reads are under way: members are catching up. */
  get active(): boolean {
    return this.#running;
  }

  /** Catch up at least to this id. */
  want(id: MessageId): void {
    if (compareIds(id, this.#wanted) > 0) this.#wanted = id;
    this.#start();
  }

  /** Resolves when everything that is durable now has been put, or the topic has closed. */
  resync(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stopped) return resolve();
      this.#resyncs.push(resolve);
      this.#start();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#abort?.abort();
    for (const done of this.#resyncs.splice(0)) done();
  }

  #start(): void {
    if (this.#running || this.#stopped) return;
    this.#running = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    const abort = new AbortController();
    const { signal } = abort;
    this.#abort = abort;
    let retryMs = FIRST_RETRY_MS;
    while (!signal.aborted && (this.#resyncs.length > 0 || compareIds(this.#wanted, this.#target.head) > 0)) {
      const before = this.#target.head;
      const complete = await this.#readOnce();
      if (complete || compareIds(this.#target.head, before) > 0) retryMs = FIRST_RETRY_MS;
      if (complete && compareIds(this.#wanted, this.#target.head) <= 0) continue;
      if (compareIds(this.#target.head, before) > 0) continue;
      await pause(this.#context.clock, retryMs, signal);
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
    }
    this.#abort = undefined;
    this.#running = false;
  }

  /** True when the store's head was reached. */
  async #readOnce(): Promise<boolean> {
    const { options, counters } = this.#context;
    const asked = this.#resyncs.splice(0);
    let result: ReadResult;
    try {
      result = await this.#context.read(this.#target.log, this.#target.head, options.read);
    } catch {
      counters.readErrors++;
      this.#resyncs.unshift(...asked);
      return false;
    }
    if (this.#stopped) {
      for (const done of asked) done();
      return true;
    }
    for (const item of result.items) {
      const { head } = this.#target;
      if (item.kind === 'entry') {
        if (compareIds(item.entry.id, head) > 0) this.#target.put(item.entry, false);
      } else if (compareIds(item.upTo, head) > 0) {
        this.#target.putGap(compareIds(item.after, head) > 0 ? item.after : head, item.upTo);
      }
    }
    if (compareIds(result.readTo, result.head) < 0) {
      this.#resyncs.unshift(...asked);
      return false;
    }
    this.#target.reached(result.readTo);
    for (const done of asked) done();
    return true;
  }
}
