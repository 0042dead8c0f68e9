/**
 * A topic's entries in one encoding, as whole frames, for all members that read it. Bytes are appended and never rewritten
 * (sockets may still hold them); an entry never spans two segments; old segments fall off by bytes and age.
 *
 *              tail                                                  head        virtual offsets: Float64, only growing
 *     fallen     |                                                    |
 *   [ ######## ] [ #### ### #### #|# ][ ## #### ### ### ## ][ ### ## ## ........ ]   segments: 4 to 64 KiB, or one larger entry
 *        ^                        ^                          ^        ^
 *     member C                member B                   member D   member A (and nearly all others: they share one view)
 *  lost: gets a gap       lagging: one write          behind by this sweep    up to date
 *                         a segment to go on
 */
import { isZeroId, type MessageId } from '../../protocol/ids.js';

/** Size of a segment, unless one entry is larger (architecture.md section 4). */
export const SEGMENT_BYTES = 64 * 1024;
/** A ring's first segment is this large; each further one twice as large, up to SEGMENT_BYTES: quiet rooms stay small. */
export const FIRST_SEGMENT_BYTES = 4 * 1024;
/** What the index of one entry costs: four numbers. Counted in a ring's bytes. */
export const INDEX_BYTES = 32;
/** What it costs to know up to where entries were passed over before one. Counted, too. */
const PASSED_BYTES = 96;

/** What an entry is. */
export const EntryKind = { durable: 0, ephemeral: 1, gap: 2 } as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/** Which entries a reader takes. */
export interface Selection {
  /** goim's operations; undefined takes all. Gaps are always taken. */
  readonly accepts: readonly number[] | undefined;
  readonly ephemeral: boolean;
}

/** A piece of memory that only grows at its end. Offsets are virtual; `base` is that of its first byte. */
export class Segment {
  readonly buffer: Buffer;
  readonly base: number;
  /** Virtual offset after its last byte. */
  end: number;
  /** Of each entry: the offset after it, the id of the last durable one up to and including it, operation * 4 + kind. */
  readonly ends: number[] = [];
  readonly epochs: number[] = [];
  readonly ns: number[] = [];
  readonly marks: number[] = [];
  /** The last durable id before this segment. */
  readonly before: MessageId;
  /** By the index of the entry that follows: up to which id entries were passed over (`Ring.pass`) before it. */
  readonly passed = new Map<number, MessageId>();
  ephemerals = 0;
  lastAppendAt: number;
  /** Sockets whose pending write holds this memory (pins.ts). */
  pins = 0;
  /** No longer in its ring. */
  fallen = false;
  /** The view that was asked for last: up-to-date members all ask for the same one. */
  viewFrom = -1;
  viewTo = -1;
  view: Buffer | undefined;
  viewEntries = 0;

  constructor(bytes: number, base: number, before: MessageId, now: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
    this.base = base;
    this.end = base;
    this.before = before;
    this.lastAppendAt = now;
  }

  /** Index of the first entry that ends after `offset`. */
  indexAt(offset: number): number {
    const { ends } = this;
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ends[middle] as number) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Index of the first entry whose id is above this one. */
  indexAfter(epoch: number, n: number): number {
    let low = 0;
    let high = this.ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const e = this.epochs[middle] as number;
      if (e > epoch || (e === epoch && (this.ns[middle] as number) > n)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The last durable id up to the entry at `index`, itself included; -1 is the one before the segment. */
  idAt(index: number): MessageId {
    if (index < 0) return this.before;
    return { epoch: this.epochs[index] as number, n: this.ns[index] as number };
  }

  /** Everything up to this id is in or was passed over before the entry at `index`. */
  idBefore(index: number): MessageId {
    return this.passed.get(index) ?? this.idAt(index - 1);
  }

  /** Memory of the segment and its index. */
  get bytes(): number {
    return this.buffer.length + this.ends.length * INDEX_BYTES + this.passed.size * PASSED_BYTES;
  }

  /** Where the entry at `index` starts. */
  startOf(index: number): number {
    return index === 0 ? this.base : (this.ends[index - 1] as number);
  }
}

/** One encoding's entries of one topic. */
export class Ring {
  /** Oldest first. */
  readonly segments: Segment[] = [];
  readonly maxBytes: number;
  /** Offset after the newest entry. */
  head = 0;
  /** Offset of the oldest entry kept. */
  tail = 0;
  /** Up to where members are served by the sweep that runs, or ran last. */
  target = 0;
  /** Members whose offset is in this ring. */
  readers = 0;
  /** Memory of the segments and their index. */
  bytes = 0;
  /** Entries in what `view` or `select` returned last, and those that `select` left out. */
  entries = 0;
  leftOut = 0;
  leftOutEphemeral = 0;
  /** What `join` made last. */
  #joined: { readonly from: number; readonly to: number; readonly bytes: Buffer; readonly entries: number } | undefined;
  /** The last durable id that it holds or starts after. */
  #last: MessageId;
  /** Entries were passed over since the last one came in. */
  #passing = false;
  #start: MessageId;
  #nextBytes = FIRST_SEGMENT_BYTES;

  /** `after`: everything later than this id will be in the ring. */
  constructor(after: MessageId, maxBytes: number) {
    this.#last = after;
    this.#start = after;
    this.maxBytes = maxBytes;
  }

  get last(): MessageId {
    return this.#last;
  }

  /** The ring holds everything later than this id. */
  get after(): MessageId {
    return this.#start;
  }

  /** Appends one entry. `id` is ignored for an ephemeral one; a gap's is the last id that it covers. */
  append(bytes: Uint8Array, id: MessageId, kind: EntryKind, operation: number, now: number): void {
    let segment = this.segments[this.segments.length - 1];
    if (segment === undefined || segment.end - segment.base + bytes.length > segment.buffer.length) {
      segment = this.#open(bytes.length, now);
    }
    if (this.#passing) {
      segment.passed.set(segment.ends.length, this.#last);
      this.bytes += PASSED_BYTES;
      this.#passing = false;
    }
    if (kind !== EntryKind.ephemeral) this.#last = id;
    else segment.ephemerals++;
    segment.buffer.set(bytes, segment.end - segment.base);
    segment.end += bytes.length;
    segment.ends.push(segment.end);
    segment.epochs.push(this.#last.epoch);
    segment.ns.push(this.#last.n);
    segment.marks.push(operation * 4 + kind);
    segment.lastAppendAt = now;
    this.bytes += INDEX_BYTES;
    this.head = segment.end;
  }

  /** An entry that this ring's readers do not take: everything up to its id is in the ring all the same. */
  pass(id: MessageId): void {
    this.#last = id;
    this.#passing = true;
  }

  /** More memory than allowed: the oldest segment should fall. The newest one always stays. */
  get overfull(): boolean {
    return this.bytes > this.maxBytes && this.segments.length > 1;
  }

  /** The oldest segment falls off. Who still is in it must have been looked up before (`idBefore`). */
  drop(): Segment | undefined {
    const segment = this.segments.shift();
    if (segment === undefined) return undefined;
    this.bytes -= segment.bytes;
    this.tail = segment.end;
    this.#start = segment.idAt(segment.ends.length - 1);
    if (this.segments.length === 0) this.#nextBytes = FIRST_SEGMENT_BYTES;
    return segment;
  }

  /** The segment with the byte at `offset`, for tail <= offset < head. */
  segmentAt(offset: number): Segment {
    const { segments } = this;
    let at = segments.length - 1;
    while (at > 0 && (segments[at] as Segment).base > offset) at--;
    return segments[at] as Segment;
  }

  /** Bytes from `from` to `to`, both in `segment`: one shared object for all who ask the same. Sets `entries`. */
  view(segment: Segment, from: number, to: number): Buffer {
    if (segment.viewFrom !== from || segment.viewTo !== to || segment.view === undefined) {
      segment.view = segment.buffer.subarray(from - segment.base, to - segment.base);
      segment.viewEntries = segment.indexAt(to - 1) + 1 - segment.indexAt(from);
      segment.viewFrom = from;
      segment.viewTo = to;
    }
    this.entries = segment.viewEntries;
    return segment.view;
  }

  /**
   * Bytes from `from` to `to` in segments that follow each other, copied together: one object for all who ask the same, so
   * that a sweep over the end of a segment costs each socket one write, not two. Sets `entries`.
   */
  join(from: number, to: number): Buffer {
    let joined = this.#joined;
    if (joined?.from !== from || joined.to !== to) {
      const parts: Buffer[] = [];
      let entries = 0;
      for (const segment of this.segments) {
        if (segment.end <= from || segment.base >= to) continue;
        parts.push(this.view(segment, Math.max(from, segment.base), Math.min(to, segment.end)));
        entries += this.entries;
      }
      joined = { from, to, bytes: Buffer.concat(parts), entries };
      this.#joined = joined;
    }
    this.entries = joined.entries;
    return joined.bytes;
  }

  /** A sweep has ended: nobody asks for the same again. */
  swept(): void {
    this.#joined = undefined;
  }

  /**
   * As `view`, but without the entries that the selection does not take: the shared view when it takes all, a copy when
   * it takes some, undefined when it takes none. Sets `entries`, `leftOut`, `leftOutEphemeral`.
   */
  select(segment: Segment, from: number, to: number, selection: Selection): Buffer | undefined {
    const first = segment.indexAt(from);
    const end = segment.indexAt(to - 1) + 1;
    this.leftOut = 0;
    this.leftOutEphemeral = 0;
    let bytes = 0;
    for (let at = first; at < end; at++) {
      if (takes(selection, segment.marks[at] as number)) bytes += (segment.ends[at] as number) - segment.startOf(at);
      else if (((segment.marks[at] as number) & 3) === EntryKind.ephemeral) this.leftOutEphemeral++;
      else this.leftOut++;
    }
    if (bytes === to - from) return this.view(segment, from, to);
    this.entries = end - first - this.leftOut - this.leftOutEphemeral;
    if (bytes === 0) return undefined;
    const copy = Buffer.allocUnsafe(bytes);
    let written = 0;
    for (let at = first; at < end; at++) {
      if (!takes(selection, segment.marks[at] as number)) continue;
      const start = segment.startOf(at) - segment.base;
      written += segment.buffer.copy(copy, written, start, (segment.ends[at] as number) - segment.base);
    }
    return copy;
  }

  /** The last durable id before `offset`, passed over or not, or undefined when that part has fallen off. */
  idBefore(offset: number): MessageId | undefined {
    if (offset >= this.head) return this.#last;
    if (offset < this.tail) return undefined;
    const segment = this.segmentAt(offset);
    return segment.idBefore(segment.indexAt(offset));
  }

  /**
   * Ids of the entries that make up the `bytes` before `offset`, oldest first, undefined for ephemeral ones; undefined when
   * no whole entries do: something was left out of what was written.
   */
  idsBefore(offset: number, bytes: number): readonly (MessageId | undefined)[] | undefined {
    const ids: (MessageId | undefined)[] = [];
    const from = offset - bytes;
    for (let at = this.segments.length - 1; at >= 0; at--) {
      const segment = this.segments[at] as Segment;
      if (segment.base >= offset) continue;
      for (let index = segment.indexAt(offset - 1); index >= 0; index--) {
        const start = segment.startOf(index);
        if (start < from) return undefined;
        const mark = segment.marks[index] as number;
        ids.push((mark & 3) === EntryKind.ephemeral ? undefined : segment.idAt(index));
        if (start === from) return ids.reverse();
      }
    }
    return undefined;
  }

  /** Where the first entry later than `id` starts (the head when there is none), or undefined when `id` is before `after`. */
  offsetAfter(id: MessageId): number | undefined {
    if (earlier(id, this.after)) return undefined;
    for (let at = this.segments.length - 1; at >= 0; at--) {
      const segment = this.segments[at] as Segment;
      if (at > 0 && earlier(id, segment.before)) continue;
      const index = segment.indexAfter(id.epoch, id.n);
      return index === segment.ends.length ? segment.end : segment.startOf(index);
    }
    return this.head;
  }

  #open(entryBytes: number, now: number): Segment {
    const size = Math.max(Math.min(this.#nextBytes, Math.max(this.maxBytes >>> 1, FIRST_SEGMENT_BYTES)), entryBytes);
    this.#nextBytes = Math.min(this.#nextBytes * 2, SEGMENT_BYTES);
    const segment = new Segment(size, this.head, this.#last, now);
    this.segments.push(segment);
    this.bytes += size;
    return segment;
  }
}

function takes(selection: Selection, mark: number): boolean {
  const kind = mark & 3;
  if (kind === EntryKind.gap) return true;
  if (kind === EntryKind.ephemeral && !selection.ephemeral) return false;
  return selection.accepts === undefined || selection.accepts.includes(Math.floor(mark / 4));
}

function earlier(a: MessageId, b: MessageId): boolean {
  if (isZeroId(b)) return false;
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.n < b.n);
}
