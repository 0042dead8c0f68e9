// Accepting pushes: records for the queue, one for each log, and the three outcomes of each: accepted, refused, unknown.
// Every API (native, batch, imgo's, goim's) pushes through here, so the rules are the same for all.

import { createHash } from 'node:crypto';
import { asImgoError, type ErrorCode, ImgoError } from '../../protocol/errors.js';
import { ALL_LOG, formatId, type LogName, type MessageId, roomLog, type UserId, userLog } from '../../protocol/ids.js';
import type { Clock, Timer } from '../clock.js';
import type { EventHub } from '../observe/hub.js';
import { LATENCY_BOUNDS_MS, Latency } from '../observe/latency.js';
import { type Marked, newMark, type TraceStore } from '../observe/traces.js';
import type { Accepted, EphemeralRecord, Queue } from '../queue/queue.js';
import type { Buckets, Idempotency, PushRecord } from '../store/buckets.js';
import type { LogicOptions } from './options.js';
import type { PushRequest, Target } from './push-body.js';

/** One target. `id` undefined: ephemeral. */
export interface OneAccepted {
  readonly kind: 'one';
  readonly log: LogName;
  readonly id: MessageId | undefined;
  /** Its mark, where the caller asked for a trace. */
  readonly trace: string | undefined;
}

/** Several users, each with an outcome. At least one was accepted. */
export interface SeveralAccepted {
  readonly kind: 'several';
  /** undefined: ephemeral. */
  readonly ids: ReadonlyMap<UserId, MessageId | undefined>;
  readonly errors: ReadonlyMap<UserId, ErrorCode>;
  /** The mark of all of them, where the caller asked for a trace. */
  readonly trace: string | undefined;
}

/** All of several users were refused, or their outcome is unknown: `code` says which, `errors` for whom. */
export class NoneAccepted extends ImgoError {
  readonly errors: ReadonlyMap<UserId, ErrorCode>;

  constructor(code: ErrorCode, cause: ImgoError, errors: ReadonlyMap<UserId, ErrorCode>) {
    super(code, cause.details, { cause });
    this.errors = errors;
  }
}

/** Monotonic counters: accepted by kind of target, refused and unknown by code. */
export interface AcceptCounters {
  readonly accepted: Record<Target['kind'] | 'ephemeral', number>;
  readonly refused: Partial<Record<ErrorCode, number>>;
}

/** Of a push that is traced: its mark, and the span that it is, where spans are sent somewhere. */
type Marks = Pick<Marked, 'mark' | 'parent'>;

interface Pending {
  /** Monotonic ms. */
  readonly until: number;
  readonly reject: (error: ImgoError) => void;
}

/** Between two looks at what is overdue. */
const LOOK_MS = 250;

export class Acceptor {
  readonly counters: AcceptCounters = { accepted: { user: 0, users: 0, room: 0, all: 0, ephemeral: 0 }, refused: {} };
  /** From a valid push to its acceptance. */
  readonly latency = new Latency();
  readonly #queue: Queue;
  readonly #buckets: Pick<Buckets, 'health'>;
  readonly #clock: Clock;
  readonly #options: LogicOptions;
  readonly #hub: EventHub | undefined;
  readonly #traces: TraceStore | undefined;
  /** The store failed: what is accepted now would wait for nothing. A full one is not failed, it refuses by itself. */
  #failure: ImgoError | undefined;
  /** In the order of their deadlines: all have the same time. */
  readonly #pending = new Set<Pending>();
  readonly #timer: Timer;

  constructor(parts: {
    readonly queue: Queue;
    readonly buckets: Pick<Buckets, 'health'>;
    readonly clock: Clock;
    readonly options: LogicOptions;
    /** Who is told of what was accepted, if anybody. */
    readonly hub?: EventHub | undefined;
    readonly traces?: TraceStore | undefined;
  }) {
    this.#queue = parts.queue;
    this.#buckets = parts.buckets;
    this.#clock = parts.clock;
    this.#options = parts.options;
    this.#hub = parts.hub;
    this.#traces = parts.traces;
    this.#timer = this.#clock.every(LOOK_MS, () => {
      const { writable, code, failure = new ImgoError('store_failed') } = this.#buckets.health();
      this.#failure = !writable && code === 'store_failed' ? failure : undefined;
      this.#expire();
    });
  }

  stop(): void {
    this.#clock.clear(this.#timer);
  }

  /** How long acceptance took, as a histogram is told. */
  get acceptance(): {
    readonly bounds: readonly number[];
    readonly counts: readonly number[];
    readonly sumSeconds: number;
  } {
    const { counts, sumMs } = this.latency.totals();
    return { bounds: LATENCY_BOUNDS_MS.map((ms) => ms / 1_000), counts, sumSeconds: sumMs / 1_000 };
  }

  /**
   * `scope`: the API key's id, '' without one.
   * @throws ImgoError as Queue.accept does; NoneAccepted for several users of whom none was accepted
   */
  push(request: PushRequest, scope: string): Promise<OneAccepted | SeveralAccepted> {
    const mark = this.#markOf(request);
    const span = mark === undefined ? undefined : this.#traces?.sink?.push(mark, request.parent, request.target.kind);
    if (mark === undefined) return this.#push(request, scope, undefined);
    if (span === undefined) return this.#push(request, scope, { mark });
    return this.#push(request, scope, { mark, parent: span.spanId }).then(
      (answer) => {
        span.end();
        return answer;
      },
      (error: unknown) => {
        span.end(asImgoError(error).code);
        throw error;
      },
    );
  }

  #push(request: PushRequest, scope: string, marks: Marks | undefined): Promise<OneAccepted | SeveralAccepted> {
    const { target } = request;
    if (target.kind === 'users') return this.#several(target.users, request, scope, marks);
    const log = target.kind === 'user' ? userLog(target.user) : target.kind === 'room' ? roomLog(target.room) : ALL_LOG;
    const trace = request.trace === true ? marks?.mark : undefined;
    return this.#accept(log, request, scope, marks, (id) => {
      this.counters.accepted[id === undefined ? 'ephemeral' : target.kind]++;
      return { kind: 'one', log, id, trace };
    });
  }

  /** Of a push that is traced, because it says so, its caller's trace is sampled, or by chance. */
  #markOf(request: PushRequest): string | undefined {
    const { traceSample } = this.#options;
    if (this.#traces === undefined) return undefined;
    if (request.parent !== undefined) return request.parent.traceId;
    const wanted = request.trace === true || (traceSample > 0 && this.#clock.random() < traceSample);
    return wanted ? newMark(this.#clock) : undefined;
  }

  /** Counts a refusal; also of what never came as far as `push`. */
  refused(error: ImgoError): ImgoError {
    const { refused } = this.counters;
    refused[error.code] = (refused[error.code] ?? 0) + 1;
    return error;
  }

  async #several(
    users: readonly UserId[],
    request: PushRequest,
    scope: string,
    marks: Marks | undefined,
  ): Promise<SeveralAccepted> {
    const ids = new Map<UserId, MessageId | undefined>();
    const errors = new Map<UserId, ErrorCode>();
    let failure: ImgoError | undefined;
    const one = async (user: UserId) => {
      try {
        ids.set(user, await this.#accept(userLog(user), request, scope, marks, same));
      } catch (thrown) {
        const error = asImgoError(thrown);
        errors.set(user, error.code);
        // What may have been appended weighs more than what was refused.
        if (failure === undefined || error.code === 'outcome_unknown') failure = error;
      }
    };
    await Promise.all(users.map(one));
    if (ids.size === 0 && failure !== undefined) throw new NoneAccepted(failure.code, failure, errors);
    this.counters.accepted[request.ttlMs === 0 ? 'ephemeral' : 'users'] += ids.size;
    return { kind: 'several', ids, errors, trace: request.trace === true ? marks?.mark : undefined };
  }

  /** One record to the queue. `answer` makes the result of its id, undefined for what is not stored. */
  #accept<T>(
    log: LogName,
    request: PushRequest,
    scope: string,
    marks: Marks | undefined,
    answer: (id: MessageId | undefined) => T,
  ): Promise<T> {
    if (this.#failure !== undefined) return Promise.reject(this.refused(this.#failure));
    if (request.ttlMs !== 0) {
      const record = this.#record(log, request, scope);
      if (marks === undefined) return this.#within(this.#queue.accept(record), record, answer);
      const accepted = this.#queue.accept({ ...record, trace: marks.mark });
      return this.#within(this.#noted(accepted, record, marks), record, answer);
    }
    if (request.idempotencyKey !== undefined) {
      const detail = 'what is never stored cannot have an idempotency key';
      return Promise.reject(this.refused(new ImgoError('invalid_request', { detail })));
    }
    const { payload, operation } = request;
    const record: EphemeralRecord = {
      log,
      payload,
      acceptedAt: this.#clock.now(),
      ephemeral: true,
      ...(operation === undefined ? {} : { operation }),
      ...(marks === undefined ? {} : { trace: marks.mark }),
    };
    const accepted = this.#queue.acceptEphemeral(record).then(nothing);
    return this.#within(marks === undefined ? accepted : this.#noted(accepted, record, marks), record, answer);
  }

  /** The same outcome; accepting is noted. */
  #noted<T extends Accepted | undefined>(
    work: Promise<T>,
    record: PushRecord | EphemeralRecord,
    marks: Marks,
  ): Promise<T> {
    const since = this.#clock.monotonic();
    return work.then((accepted) => {
      const { log, payload, acceptedAt, operation } = record;
      const step = {
        step: 'accepted',
        ms: this.#clock.monotonic() - since,
        bytes: payload.byteLength,
        ttlMs: 'ephemeral' in record ? 0 : record.expiresAt - acceptedAt,
        ...(operation === undefined ? {} : { operation }),
        ...(accepted?.duplicate === true ? { duplicate: true } : {}),
      } as const;
      this.#traces?.note({ log, id: accepted?.id, ...marks }, step, acceptedAt);
      return accepted;
    });
  }

  #record(log: LogName, request: PushRequest, scope: string): PushRecord {
    const { payload, operation } = request;
    const acceptedAt = this.#clock.now();
    const expiresAt = acceptedAt + (request.ttlMs ?? this.ttlMs(request.target));
    const record: PushRecord = { log, payload, acceptedAt, expiresAt };
    if (operation === undefined && request.idempotencyKey === undefined) return record;
    return {
      ...record,
      ...(operation === undefined ? {} : { operation }),
      ...(request.idempotencyKey === undefined ? {} : { idempotency: idempotencyOf(request, scope) }),
    };
  }

  /** How long a push to this target is kept unless it says so itself. */
  ttlMs(target: Target): number {
    const { userTtlMs, roomTtlMs } = this.#options;
    return target.kind === 'user' || target.kind === 'users' ? userTtlMs : roomTtlMs;
  }

  /** The outcome in time, or `outcome_unknown`; refusals are counted. One timer for all, one promise each. */
  #within<T>(
    work: Promise<Accepted | undefined>,
    { log, payload: { byteLength: bytes } }: Pick<PushRecord, 'log' | 'payload'>,
    answer: (id: MessageId | undefined) => T,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const since = this.#clock.monotonic();
      const pending: Pending = { until: since + this.#options.acceptDeadlineMs, reject };
      this.#pending.add(pending);
      work.then(
        (accepted) => {
          // Too late: it was told to be unknown already.
          if (!this.#pending.delete(pending)) return;
          const now = this.#clock.monotonic();
          this.latency.add(now - since, now);
          if (this.#hub !== undefined && this.#hub.wants !== 0) this.#hub.accepted(log, accepted?.id, bytes);
          resolve(answer(accepted?.id));
        },
        (error: unknown) => {
          if (this.#pending.delete(pending)) reject(this.refused(asImgoError(error)));
        },
      );
    });
  }

  #expire(): void {
    const now = this.#clock.monotonic();
    for (const pending of this.#pending) {
      if (pending.until > now) break;
      this.#pending.delete(pending);
      pending.reject(this.refused(new ImgoError('outcome_unknown')));
    }
  }
}

function nothing(): undefined {
  return undefined;
}

function same(id: MessageId | undefined): MessageId | undefined {
  return id;
}

/** Two pushes with one key to one log are the same when this is: the bytes, the time to live, the operation. */
function idempotencyOf(request: PushRequest, scope: string): Idempotency {
  const digest = createHash('sha256')
    .update(`${request.ttlMs ?? ''};${request.operation ?? ''};`)
    .update(request.payload)
    .digest('base64url');
  return { scope, key: request.idempotencyKey as string, bodyHash: digest };
}

/** `{"log","id"}` or `{"ids","errors"}`, as JSON without its closing brace: what waits may add its part. */
export function answerHead(answer: OneAccepted | SeveralAccepted): string {
  const trace = answer.trace === undefined ? '' : `,"trace":"${answer.trace}"`;
  if (answer.kind === 'one') {
    const id = answer.id === undefined ? 'null' : `"${formatId(answer.id)}"`;
    return `{"log":${JSON.stringify(answer.log)},"id":${id}${trace}`;
  }
  const ids = [...answer.ids].map(
    ([user, id]) => `${JSON.stringify(user)}:${id === undefined ? 'null' : `"${formatId(id)}"`}`,
  );
  return `{"ids":{${ids.join(',')}},"errors":${JSON.stringify(Object.fromEntries(answer.errors))}${trace}`;
}
