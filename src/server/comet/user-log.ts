// The delivery state machine of one log: a cursor that notifications move and reads catch up. Knows no socket.
//
//   notify(id, prev):  id <= last          drop
//                      prev <= last < id   deliver
//                      otherwise           remember the highest id, read until it is reached, check again after each read
//
// The first read is the same loop. It promises its sink increasing ids, each once, nothing skipped without a gap. A held
// sink queues nothing here: only the highest id is remembered, and `resume` reads on from the log.

import { compareIds, type LogName, type MessageId, maxId } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import type { LogicService, SessionHandle } from '../rpc/services.js';
import type { ReadLimit } from '../store/buckets.js';
import type { CometTraces } from './traces.js';

/** What is delivered: an entry as it was notified or read. */
export interface Delivery {
  readonly id: MessageId;
  readonly payload: Uint8Array;
  readonly operation: number | undefined;
}

/** Where deliveries go: a session, or a topic's rings. */
export interface LogSink {
  /** False while nothing may be given: held, closed, fenced. `resume` follows when that ends, unless it is closed. */
  readonly ready: boolean;
  /** Of the session whose log this is. */
  readonly handle?: SessionHandle | undefined;
  /** No more is wanted, ever. */
  readonly closed: boolean;
  /** Takes one entry. Afterwards `ready` may be false. */
  deliver(entry: Delivery): void;
  /** What lies in after < id <= upTo is gone. */
  missing(after: MessageId, upTo: MessageId): void;
  /** The deliveries of this turn are complete: they may be written together. */
  flush(): void;
}

/** Counters of all logs of a comet; plain fields for the hot path. */
export interface FollowCounters {
  /** Notifications at or below the cursor. */
  notifiedAgain: number;
  /** Reads, the first of a session included. */
  reads: number;
  readFailures: number;
  /** A notified id that the store did not have after several reads: the store lost its tail and will tell again. */
  readBehind: number;
}

/** What all logs of a comet share. */
export interface FollowContext {
  readonly logic: Pick<LogicService, 'read'>;
  readonly clock: Clock;
  readonly limit: ReadLimit;
  readonly counters: FollowCounters;
  /** Told which of what was read is traced. */
  readonly traces?: Pick<CometTraces, 'learn'>;
}

/** Reads without progress before a notified id is taken for lost by the store, and the pause before the first, ms. */
const FRUITLESS_READS = 6;
const RETRY_MS = 25;
const RETRY_MAX_MS = 2_000;

/** The cursor of one reader on one log. */
export class LogFollower {
  readonly log: LogName;
  /** Given to the sink up to here. */
  last: MessageId;
  /** Known to exist up to here. */
  target: MessageId;
  /** A read is under way, or waits for its retry. */
  reading = false;
  /** There may be more than was notified: read at least once. */
  stale = false;
  #failures = 0;

  /** Starts behind `start`; the caller calls `resume` once the sink is ready. */
  constructor(log: LogName, start: MessageId, target: MessageId) {
    this.log = log;
    this.last = start;
    this.target = maxId(start, target);
  }

  /** True while notifications are remembered rather than delivered. */
  get behind(): boolean {
    return this.reading || compareIds(this.last, this.target) < 0;
  }

  /** One notification. Returns true when it was given to the sink (whose `flush` is the caller's). */
  notify(context: FollowContext, sink: LogSink, prev: MessageId, entry: Delivery): boolean {
    if (sink.closed) return false;
    if (compareIds(entry.id, this.last) <= 0) {
      context.counters.notifiedAgain++;
      return false;
    }
    if (compareIds(entry.id, this.target) > 0) {
      if (sink.ready && compareIds(prev, this.last) <= 0) {
        this.last = this.target = entry.id;
        sink.deliver(entry);
        return true;
      }
      this.target = entry.id;
    }
    this.resume(context, sink);
    return false;
  }

  /** The sink is ready again: reads on when there is something to read. */
  resume(context: FollowContext, sink: LogSink): void {
    if (this.reading || !sink.ready) return;
    if (this.stale || compareIds(this.last, this.target) < 0) this.#read(context, sink);
  }

  /** Reads whatever was notified: after a fence, a resync, or when a notification may have been missed. */
  recheck(context: FollowContext, sink: LogSink): void {
    this.stale = true;
    this.resume(context, sink);
  }

  #read(context: FollowContext, sink: LogSink): void {
    this.reading = true;
    this.stale = false;
    context.counters.reads++;
    void context.logic.read(this.log, this.last, context.limit, sink.handle).then(
      (result) => {
        this.reading = false;
        if (sink.closed) return;
        if (result.traced !== undefined) context.traces?.learn(this.log, result.traced);
        const before = this.last;
        let whole = true;
        for (const item of result.items) {
          if (!sink.ready) {
            whole = false;
            break;
          }
          if (item.kind === 'entry') {
            if (compareIds(item.entry.id, this.last) <= 0) continue;
            this.last = item.entry.id;
            sink.deliver(item.entry);
          } else if (compareIds(item.upTo, this.last) > 0) {
            const after = maxId(item.after, this.last);
            this.last = item.upTo;
            sink.missing(after, item.upTo);
          }
        }
        if (whole) this.last = maxId(this.last, result.readTo);
        this.target = maxId(maxId(this.target, result.head), this.last);
        sink.flush();
        if (!whole || compareIds(this.last, before) > 0) {
          this.#failures = 0;
          if (!whole) this.stale = true;
          this.resume(context, sink);
        } else this.#fruitless(context, sink, result.head);
      },
      () => {
        this.reading = false;
        this.stale = true;
        context.counters.readFailures++;
        this.#later(context, sink);
      },
    );
  }

  /** The log holds nothing beyond `last`, and yet a higher id was notified. */
  #fruitless(context: FollowContext, sink: LogSink, head: MessageId): void {
    if (compareIds(this.last, this.target) >= 0) {
      this.resume(context, sink);
      return;
    }
    if (this.#failures < FRUITLESS_READS) {
      this.#later(context, sink);
      return;
    }
    this.#failures = 0;
    context.counters.readBehind++;
    this.target = maxId(this.last, head);
  }

  #later(context: FollowContext, sink: LogSink): void {
    if (sink.closed) return;
    this.reading = true;
    const ms = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** this.#failures);
    this.#failures++;
    context.clock.after(ms, () => {
      this.reading = false;
      if (!sink.closed) this.resume(context, sink);
    });
  }
}
