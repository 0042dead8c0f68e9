/**
 * What one node has noted of messages that are traced. Bounded: 4 MiB and an hour, the oldest message goes first and is
 * counted, and so are steps beyond what one message may have. While no message is marked `any` is false, and that is all
 * that the hot paths look at.
 */
import { compareIds, formatId, isZeroId, type LogName, type MessageId } from '../../protocol/ids.js';
import type { Clock, Timer } from '../clock.js';
import type { NodeTrace, NotedStep, TraceStep } from './steps.js';
import type { TraceParent } from './trace-parent.js';

/** Of all steps and messages together, about. */
const BYTES = 4 * 1024 * 1024;
const AGE_MS = 3_600_000;
/** Of one message. */
const STEPS_MAX = 256;
/** How often what is too old is looked for, while there is something. */
const LOOK_MS = 30_000;
/** Objects, map entries, strings' headers: bytes, rounded up. */
const TRACE_OVERHEAD = 512;
const STEP_OVERHEAD = 160;
/** Of 128 bits, as W3C trace ids have. */
const MARK_BYTES = 16;

/** A message that is traced, as one node knows it. */
export interface Marked {
  readonly log: LogName;
  /** undefined: ephemeral. */
  readonly id: MessageId | undefined;
  readonly mark: string;
  /** The span that it began in, where that is known: 16 hex digits. */
  readonly parent?: string | undefined;
}

/** Who is told of every step beside: it makes spans of them for a receiver outside. */
export interface TraceSink {
  /** A push begins that is marked: of its caller's trace, or of one of its own. */
  push(mark: string, parent: TraceParent | undefined, target: string): PushSpan;
  /** Many of them in one request begin, whose caller is traced. */
  batch(parent: TraceParent): BatchSpan;
  /** A step was noted. */
  note(marked: Marked, step: NotedStep): void;
  /** What became of the spans, monotonic. */
  readonly counters: { readonly exported: number; readonly dropped: Readonly<Record<string, number>> };
}

/** A push at the logic that takes it. */
export interface PushSpan {
  readonly spanId: string;
  /** It has its outcome. `error`: a code. */
  end(error?: string): void;
}

/** A request of many pushes. */
export interface BatchSpan {
  readonly spanId: string;
  /** All that came of it have their results, or nobody waits for them. */
  end(counts: BatchCounts): void;
}

/** Of a batch, as far as it came. */
export interface BatchCounts {
  readonly lines: number;
  readonly refused: number;
}

const NONE: readonly Marked[] = [];

interface Trace extends Marked {
  readonly key: string;
  /** Monotonic ms. */
  readonly since: number;
  readonly steps: NotedStep[];
  bytes: number;
  more: number;
}

/** Messages of one log that are traced. */
class TracedLog {
  readonly byKey = new Map<string, Trace>();
  /** Those that are stored, by id: they become known in order, or nearly so, and go oldest first. */
  readonly #inOrder: StoredTrace[] = [];

  add(trace: Trace): void {
    this.byKey.set(trace.key, trace);
    if (isStored(trace)) this.#inOrder.splice(this.#after(trace.id), 0, trace);
  }

  delete(trace: Trace): void {
    this.byKey.delete(trace.key);
    if (isStored(trace)) this.#inOrder.splice(this.#after(trace.id) - 1, 1);
  }

  within(after: MessageId, upTo: MessageId): readonly Marked[] {
    return this.#inOrder.slice(this.#after(after), this.#after(upTo));
  }

  /** How many there are up to this id. */
  #after(id: MessageId): number {
    const last = this.#inOrder.at(-1);
    if (last === undefined || compareIds(last.id, id) <= 0) return this.#inOrder.length;
    let low = 0;
    for (let high = this.#inOrder.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (compareIds((this.#inOrder[middle] as StoredTrace).id, id) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

type StoredTrace = Trace & { readonly id: MessageId };

function isStored(trace: Trace): trace is StoredTrace {
  return trace.id !== undefined && !isZeroId(trace.id);
}

export interface TraceLimits {
  readonly bytes: number;
  readonly ageMs: number;
  readonly steps: number;
}

/** Monotonic. */
export interface TraceCounters {
  marked: number;
  /** Messages that had to go before their hour was over, and those whose hour was. */
  evicted: number;
  expired: number;
  /** Steps of messages that have as many as one may have. */
  stepsDropped: number;
}

/** A new mark: 32 hex digits. */
export function newMark(clock: Pick<Clock, 'randomBytes'>): string {
  return Buffer.from(clock.randomBytes(MARK_BYTES)).toString('hex');
}

/** What a trace is found by within its log: the id, or `t-MARK` of what has none. */
export function traceKey(id: MessageId | undefined, mark: string): string {
  return id === undefined || isZeroId(id) ? `t-${mark}` : formatId(id);
}

export class TraceStore {
  /** Some message is marked. */
  any = false;
  bytes = 0;
  readonly node: string;
  /** undefined: no receiver is named. */
  sink: TraceSink | undefined;
  readonly counters: TraceCounters = { marked: 0, evicted: 0, expired: 0, stepsDropped: 0 };
  readonly #clock: Clock;
  readonly #limits: TraceLimits;
  readonly #logs = new Map<LogName, TracedLog>();
  /** Oldest first. */
  readonly #order = new Set<Trace>();
  #timer: Timer | undefined;

  constructor(clock: Clock, node: string, limits: Partial<TraceLimits> = {}) {
    this.node = node;
    this.#clock = clock;
    this.#limits = { bytes: BYTES, ageMs: AGE_MS, steps: STEPS_MAX, ...limits };
  }

  /** A step of a message that is marked, known here or not. `at`: wall ms; now unless given. */
  note(marked: Marked, step: TraceStep, at = this.#clock.now()): void {
    const { log, id, mark } = marked;
    this.sink?.note(marked, { ...step, at });
    const trace = this.#begin(log, id, mark);
    if (trace.steps.length >= this.#limits.steps) {
      trace.more++;
      this.counters.stepsDropped++;
      return;
    }
    const bytes = STEP_OVERHEAD + JSON.stringify(step).length;
    trace.steps.push({ ...step, at });
    trace.bytes += bytes;
    this.bytes += bytes;
    this.#evict(trace);
  }

  /** It is marked: found by `of` and `within` from now on. */
  mark({ log, id, mark }: Marked): void {
    this.#begin(log, id, mark);
  }

  /** The mark of a stored message; undefined: it has none, or none that is known here. */
  of(log: LogName, id: MessageId): Marked | undefined {
    return this.#logs.get(log)?.byKey.get(formatId(id));
  }

  /** Marked messages of this log in after < id <= upTo, in order. Costs what it finds. */
  within(log: LogName, after: MessageId, upTo: MessageId): readonly Marked[] {
    // Nearly all logs have none, as long as any message is marked.
    return this.#logs.get(log)?.within(after, upTo) ?? NONE;
  }

  /** When this step of a session was noted last: wall ms. */
  lastAt({ log, id, mark }: Marked, step: TraceStep['step'], session: string): number | undefined {
    const steps = this.#logs.get(log)?.byKey.get(traceKey(id, mark))?.steps ?? [];
    return steps.findLast((one) => one.step === step && 'session' in one && one.session === session)?.at;
  }

  /** What was noted, for whoever asks. `key`: as `traceKey` makes it. */
  find(log: LogName, key: string): NodeTrace | undefined {
    this.#expire();
    const trace = this.#logs.get(log)?.byKey.get(key);
    if (trace === undefined) return undefined;
    return { node: this.node, mark: trace.mark, steps: [...trace.steps], more: trace.more };
  }

  stop(): void {
    this.#clock.clear(this.#timer);
    this.#timer = undefined;
  }

  #begin(log: LogName, id: MessageId | undefined, mark: string): Trace {
    const key = traceKey(id, mark);
    let traces = this.#logs.get(log);
    const known = traces?.byKey.get(key);
    if (known !== undefined) return known;
    if (traces === undefined) {
      traces = new TracedLog();
      this.#logs.set(log, traces);
    }
    const bytes = TRACE_OVERHEAD + 2 * log.length;
    const trace: Trace = { log, id, mark, key, since: this.#clock.monotonic(), steps: [], bytes, more: 0 };
    traces.add(trace);
    this.#order.add(trace);
    this.bytes += bytes;
    this.counters.marked++;
    this.any = true;
    this.#timer ??= this.#clock.every(LOOK_MS, () => this.#expire());
    this.#evict(trace);
    return trace;
  }

  #evict(but: Trace): void {
    for (const oldest of this.#order) {
      if (this.bytes <= this.#limits.bytes || oldest === but) return;
      this.counters.evicted++;
      this.#forget(oldest);
    }
  }

  #expire(): void {
    const before = this.#clock.monotonic() - this.#limits.ageMs;
    for (const oldest of this.#order) {
      if (oldest.since > before) return;
      this.counters.expired++;
      this.#forget(oldest);
    }
    if (this.#order.size > 0) return;
    this.any = false;
    this.stop();
  }

  #forget(trace: Trace): void {
    this.#order.delete(trace);
    this.bytes -= trace.bytes;
    const traces = this.#logs.get(trace.log);
    traces?.delete(trace);
    if (traces?.byKey.size === 0) this.#logs.delete(trace.log);
  }
}
