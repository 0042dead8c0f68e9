/**
 * Sends spans to an OpenTelemetry receiver: OTLP over HTTP, as JSON. It never waits and never fails for who traces: a bounded
 * queue, one request at a time, and what does not fit, is refused or is still there at the end is counted by reason. A receiver
 * that is away is tried again with growing pauses.
 *
 * By hand: the packages that do it are 28 MB for twelve of them and 21 MB of memory once loaded, and what is sent is one small
 * object. Format: https://opentelemetry.io/docs/specs/otlp/ (1.x, stable), opentelemetry/proto/trace/v1/trace.proto
 */
import { type Clock, pause, type Timer } from '../clock.js';
import type { OtlpSettings } from './otlp-settings.js';

/** One span. Ids in hex, times as wall ms. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  readonly name: string;
  readonly kind: keyof typeof KINDS;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** What went wrong; undefined: nothing. */
  readonly error?: string | undefined;
}

/** Monotonic. */
export interface SpanCounters {
  exported: number;
  readonly dropped: Record<'queue_full' | 'refused' | 'unsent', number>;
}

/** As Span.SpanKind numbers them. */
const KINDS = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 } as const;
const STATUS_ERROR = 2;

const QUEUE = 2_048;
const BATCH = 512;
const EVERY_MS = 1_000;
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** What is still there at a stop is tried once, for so long. */
const LAST_MS = 2_000;
/** To be sent again later; any other refusal is for good. */
const AGAIN: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

interface Sender {
  readonly clock: Clock;
  readonly settings: OtlpSettings;
  /** Of this process. */
  readonly node: string;
  readonly version: string;
  readonly warn: (details: object, message: string) => void;
}

export class SpanExporter {
  readonly counters: SpanCounters = { exported: 0, dropped: { queue_full: 0, refused: 0, unsent: 0 } };
  readonly #sender: Sender;
  readonly #resource: object;
  readonly #timer: Timer;
  readonly #stopped = new AbortController();
  #queue: Span[] = [];
  #sending: Promise<void> | undefined;
  #failing = false;

  constructor(sender: Sender) {
    this.#sender = sender;
    const { settings, node, version } = sender;
    const about = { ...settings.resource, 'service.version': version, 'service.instance.id': node };
    this.#resource = { attributes: attributesOf(about) };
    this.#timer = sender.clock.every(EVERY_MS, () => this.#flush());
  }

  /** Takes a span, or counts that it was dropped. */
  add(span: Span): void {
    if (this.#queue.length >= QUEUE || this.#stopped.signal.aborted) this.counters.dropped.queue_full++;
    else this.#queue.push(span);
    if (this.#queue.length >= BATCH) this.#flush();
  }

  /** Sends what there is, once, and ends. */
  async stop(): Promise<void> {
    const { clock } = this.#sender;
    clock.clear(this.#timer);
    this.#stopped.abort();
    const last = (async () => {
      await this.#sending;
      while (this.#queue.length > 0) {
        if ((await this.#post(this.#queue.slice(0, BATCH), LAST_MS)) !== undefined) break;
        this.#queue = this.#queue.slice(BATCH);
      }
    })();
    await Promise.race([last, pause(clock, LAST_MS)]);
    this.counters.dropped.unsent += this.#queue.length;
    this.#queue = [];
  }

  #flush(): void {
    if (this.#queue.length === 0 || this.#stopped.signal.aborted) return;
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
  }

  async #send(): Promise<void> {
    const { clock, settings } = this.#sender;
    let wait = RETRY_MS;
    while (this.#queue.length > 0 && !this.#stopped.signal.aborted) {
      const batch = this.#queue.slice(0, BATCH);
      const again = await this.#post(batch, settings.timeoutMs);
      if (again === undefined) {
        this.#queue = this.#queue.slice(batch.length);
        wait = RETRY_MS;
        continue;
      }
      await pause(clock, Math.min(RETRY_MAX_MS, Math.max(wait, again)), this.#stopped.signal);
      wait *= 2;
    }
  }

  /** Undefined: done with these, sent or refused. Else they are to be sent again, not before so many ms. */
  async #post(batch: readonly Span[], timeoutMs: number): Promise<number | undefined> {
    const { settings, version } = this.#sender;
    const scope = { name: 'imgo', version };
    const body = { resourceSpans: [{ resource: this.#resource, scopeSpans: [{ scope, spans: batch.map(wireSpan) }] }] };
    try {
      const answer = await fetch(settings.url, {
        method: 'POST',
        headers: { ...settings.headers, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
      });
      const text = await answer.text();
      if (answer.ok) {
        const refused = Math.min(batch.length, refusedIn(text));
        this.counters.exported += batch.length - refused;
        this.counters.dropped.refused += refused;
        this.#failing = false;
        return undefined;
      }
      this.#say({ status: answer.status });
      if (AGAIN.has(answer.status)) return Number(answer.headers.get('retry-after') ?? 0) * 1_000 || 0;
      this.counters.dropped.refused += batch.length;
      return undefined;
    } catch (error) {
      const { cause } = error as { readonly cause?: { readonly code?: string } };
      this.#say({ error: cause?.code ?? String(error) });
      return 0;
    }
  }

  /** Once, until it works again. */
  #say(why: object): void {
    if (this.#failing) return;
    this.#failing = true;
    // The address without what may be secret in it.
    const { origin, pathname } = new URL(this.#sender.settings.url);
    this.#sender.warn({ receiver: `${origin}${pathname}`, ...why }, 'spans cannot be sent; nothing else is affected');
  }
}

function wireSpan({ traceId, spanId, parentId, name, kind, startMs, endMs, attributes, error }: Span): object {
  return {
    traceId,
    spanId,
    ...(parentId === undefined ? {} : { parentSpanId: parentId }),
    name,
    kind: KINDS[kind],
    startTimeUnixNano: nanoseconds(startMs),
    endTimeUnixNano: nanoseconds(Math.max(startMs, endMs)),
    attributes: attributesOf(attributes),
    ...(error === undefined ? {} : { status: { code: STATUS_ERROR, message: error } }),
  };
}

/** 64 bits do not fit into a number of JSON: a string. */
function nanoseconds(ms: number): string {
  return String(BigInt(Math.round(ms * 1_000)) * 1_000n);
}

function attributesOf(attributes: Readonly<Record<string, string | number | boolean>>): readonly object[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: string | number | boolean): object {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

/** How many of them a receiver did not take though it answered 200. */
function refusedIn(text: string): number {
  try {
    const { partialSuccess } = JSON.parse(text) as { readonly partialSuccess?: { readonly rejectedSpans?: unknown } };
    return Math.max(0, Number(partialSuccess?.rejectedSpans ?? 0)) || 0;
  } catch {
    return 0;
  }
}
