/**
 * Messages that are traced, as OpenTelemetry spans: push, accept, apply, notify, write. Each node makes those of its own steps
 * and sends them by itself. Records carry the trace's id alone (the mark): the id of a span follows from what it is about, so
 * that the next node knows its parent. A comet makes one span a message, with counts, whatever the size of a room.
 */
import { createHash } from 'node:crypto';
import { formatId, isZeroId } from '../../protocol/ids.js';
import type { Clock, Timer } from '../clock.js';
import type { Span, SpanExporter } from './otlp.js';
import type { NotedStep, StepName } from './steps.js';
import type { TraceParent } from './trace-parent.js';
import type { BatchSpan, Marked, PushSpan, TraceSink } from './traces.js';

/** Messages that are between two steps here; the oldest gives way. */
const OPEN_MAX = 1_000;
/** So long the last sessions are waited for before a comet's span is sent as it is, ms. */
const WRITE_MS = 5_000;

type Step<N extends StepName> = NotedStep & { readonly step: N };

/** A message that a comet is giving to its sessions. */
interface Writing {
  readonly marked: Marked;
  readonly since: number;
  readonly sessions: number;
  until: number;
  written: number;
  held: number;
  gaps: number;
  filtered: number;
  dropped: number;
}

/** A span before it has its ids. */
type Drawn = Omit<Span, 'traceId' | 'spanId'> & { readonly where?: string };

/** The spans of one node. */
export class Spans implements TraceSink {
  readonly #node: string;
  readonly #clock: Clock;
  readonly #to: Pick<SpanExporter, 'add' | 'counters'>;
  readonly #taken = new Map<string, Step<'taken'>>();
  readonly #writing = new Map<string, Writing>();
  #timer: Timer | undefined;

  constructor(node: string, clock: Clock, to: Pick<SpanExporter, 'add' | 'counters'>) {
    this.#node = node;
    this.#clock = clock;
    this.#to = to;
  }

  get counters(): TraceSink['counters'] {
    return this.#to.counters;
  }

  push(mark: string, parent: TraceParent | undefined, target: string): PushSpan {
    const { spanId, end } = this.#request('push', mark, parent);
    return { spanId, end: (error) => end({ 'imgo.target': target }, error) };
  }

  batch(parent: TraceParent): BatchSpan {
    const { spanId, end } = this.#request('batch', parent.traceId, parent);
    return { spanId, end: ({ lines, refused }) => end({ 'imgo.lines': lines, 'imgo.refused': refused }) };
  }

  #request(name: string, traceId: string, parent: TraceParent | undefined) {
    const startMs = this.#clock.now();
    const spanId = Buffer.from(this.#clock.randomBytes(8)).toString('hex');
    const end = (attributes: Span['attributes'], error?: string): void => {
      const times = { startMs, endMs: this.#clock.now() };
      this.#to.add({ traceId, spanId, parentId: parent?.spanId, name, kind: 'server', ...times, attributes, error });
    };
    return { spanId, end };
  }

  note(marked: Marked, step: NotedStep): void {
    switch (step.step) {
      case 'accepted':
        this.#accepted(marked, step);
        break;
      case 'taken':
        remember(this.#taken, keyOf(marked), step);
        break;
      case 'applied':
        this.#applied(marked, step);
        break;
      case 'notified':
        this.#notified(marked, step);
        break;
      case 'arrived':
        this.#arrived(marked, step);
        break;
      case 'written':
      case 'filtered':
      case 'dropped':
      case 'gap':
      case 'swept':
        this.#given(marked, step);
    }
  }

  /** Whatever is still open is sent as it is. */
  stop(): void {
    this.#clock.clear(this.#timer);
    for (const writing of this.#writing.values()) this.#wrote(writing);
    this.#writing.clear();
  }

  #accepted(marked: Marked, { at, ms, bytes, ttlMs }: Step<'accepted'>): void {
    const times = { startMs: at, endMs: at + ms };
    const attributes = { 'imgo.bytes': bytes, 'imgo.ttl_ms': ttlMs };
    this.#span(marked, { name: 'accept', kind: 'producer', parentId: marked.parent, ...times, attributes });
  }

  #applied(marked: Marked, { at, outcome }: Step<'applied'>): void {
    const key = keyOf(marked);
    const taken = this.#taken.get(key);
    this.#taken.delete(key);
    const { partition, attempt, offset } = taken ?? {};
    this.#span(marked, {
      name: 'apply',
      kind: 'consumer',
      parentId: idOf(marked, 'accept'),
      startMs: taken?.at ?? at,
      endMs: at,
      attributes: {
        'imgo.outcome': outcome,
        ...(partition === undefined ? {} : { 'imgo.partition': partition }),
        ...(attempt === undefined ? {} : { 'imgo.attempt': attempt }),
        ...(offset === undefined ? {} : { 'imgo.offset': offset }),
      },
    });
  }

  #notified(marked: Marked, { at, ms, comet, ok }: Step<'notified'>): void {
    this.#span(marked, {
      name: 'notify',
      where: comet,
      kind: 'client',
      parentId: idOf(marked, 'apply'),
      startMs: at - ms,
      endMs: at,
      attributes: { 'imgo.comet': comet },
      error: ok ? undefined : 'not acknowledged: the comet is to read again',
    });
  }

  #arrived(marked: Marked, { at, sessions }: Step<'arrived'>): void {
    const counts = { written: 0, held: 0, gaps: 0, filtered: 0, dropped: 0 };
    const writing: Writing = { marked, since: at, until: at, sessions, ...counts };
    if (sessions === 0) {
      this.#wrote(writing);
      return;
    }
    remember(this.#writing, keyOf(marked), writing);
    this.#timer ??= this.#clock.every(WRITE_MS / 5, () => this.#expire());
  }

  #given(marked: Marked, step: Step<'written' | 'filtered' | 'dropped' | 'gap' | 'swept'>): void {
    const key = keyOf(marked);
    const writing = this.#writing.get(key);
    // A session that reads what it missed, long after: its own trace says more (imgo trace).
    if (writing === undefined) return;
    writing.until = step.at;
    if (step.step === 'swept') {
      writing.written = step.written;
      writing.held = step.held;
      writing.gaps = step.gaps;
      writing.filtered = step.filtered;
    } else if (step.step === 'written') writing.written++;
    else if (step.step === 'filtered') writing.filtered++;
    else if (step.step === 'dropped') writing.dropped++;
    else writing.gaps += step.members ?? 1;
    const { written, filtered, dropped, gaps, sessions } = writing;
    const left = step.step === 'swept' ? step.left : 0;
    if (written + filtered + dropped + gaps + left < sessions) return;
    this.#writing.delete(key);
    this.#wrote(writing);
  }

  #wrote({ marked, since, until, sessions, written, held, gaps, filtered, dropped }: Writing): void {
    this.#span(marked, {
      name: 'write',
      where: this.#node,
      kind: 'consumer',
      parentId: idOf(marked, 'notify', this.#node),
      startMs: since,
      endMs: until,
      attributes: {
        'imgo.sessions': sessions,
        'imgo.written': written,
        'imgo.held': held,
        'imgo.gaps': gaps,
        'imgo.filtered': filtered,
        'imgo.dropped': dropped,
      },
    });
  }

  #expire(): void {
    const before = this.#clock.now() - WRITE_MS;
    for (const [key, writing] of this.#writing) {
      if (writing.since > before) continue;
      this.#writing.delete(key);
      this.#wrote(writing);
    }
    if (this.#writing.size > 0) return;
    this.#clock.clear(this.#timer);
    this.#timer = undefined;
  }

  /** `where`: of spans that a message has several of, the node that tells them apart. */
  #span(marked: Marked, { where = '', attributes, ...span }: Drawn): void {
    const { log, id, mark } = marked;
    const message = id === undefined || isZeroId(id) ? {} : { 'imgo.id': formatId(id) };
    this.#to.add({
      ...span,
      traceId: mark,
      spanId: idOf(marked, span.name, where),
      attributes: { 'imgo.log': log, ...message, ...attributes },
    });
  }
}

/** The same on every node: of 64 bits, from what the span is about. */
function idOf(marked: Marked, name: string, where = ''): string {
  return createHash('sha256')
    .update(`${marked.mark}\n${keyOf(marked)}\n${name}\n${where}`)
    .digest('hex')
    .slice(0, 16);
}

function keyOf({ log, id, mark }: Marked): string {
  return `${mark} ${log}@${id === undefined || isZeroId(id) ? '' : formatId(id)}`;
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= OPEN_MAX) {
    const [oldest = ''] = map.keys();
    map.delete(oldest);
  }
  map.set(key, value);
}
