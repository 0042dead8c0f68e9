// Incremental parsing of frames from arbitrary splits. A frame that lies whole inside a chunk is handed on as offsets
// into that chunk: nothing is copied, no object is made. Only an incomplete tail is copied, into a carry that grows
// with what arrived (never with what a header promises), holds at most one frame, and is let go when it is complete.
// The state may be the session object itself, so that an idle connection costs three fields and no buffer.

import { readI16, readI32, readU16 } from './bytes.js';
import { checkHeader, type FrameFault, type FrameLimits, HEADER_BYTES } from './frame.js';

/** What a sink answers to a frame. */
export const Verdict = {
  /** Go on with the next frame. */
  MORE: 0,
  /** Keep the bytes that follow until `resumeFrames`. */
  PAUSE: 1,
  /** The session is closed: forget the rest and ignore what still comes. */
  STOP: 2,
} as const;

/** One of the values of `Verdict`. */
export type FrameVerdict = (typeof Verdict)[keyof typeof Verdict];

/** Receives frames. It must not throw, and must copy what it keeps: `buf` is valid only during the call. */
export interface FrameSink {
  /** A whole, checked frame: the header is at `start`, the body is `buf[start + headerLen, end)`. */
  frame(
    buf: Uint8Array,
    start: number,
    headerLen: number,
    end: number,
    op: number,
    seq: number,
    ver: number,
  ): FrameVerdict;
  /** The stream is malformed; called once, nothing is parsed after it. */
  fault(fault: FrameFault): void;
}

const OPEN = 0;
const PAUSED = 1;
const CLOSED = 2;

/** The parsing state of one connection. */
export interface FrameState {
  /** The incomplete tail, or while paused everything that waits. */
  carry: Uint8Array | undefined;
  /** Bytes used in `carry`. */
  held: number;
  /** 0 open, 1 paused, 2 closed (faulted or stopped). */
  mode: number;
}

/** The values a fresh FrameState starts with. */
export const FRESH_FRAME_STATE: Readonly<FrameState> = { carry: undefined, held: 0, mode: OPEN };

/** What a paused connection may hold beyond one frame, in bytes: the rest of two socket reads. */
export const MAX_PAUSED_BYTES = 128 * 1024;

const SMALLEST_CARRY = 64;

/** Parses the next bytes of a stream and hands complete frames to the sink, in order. */
export function readFrames(state: FrameState, limits: FrameLimits, chunk: Uint8Array, sink: FrameSink): void {
  if (state.mode === OPEN) {
    if (state.held === 0) scan(state, limits, chunk, 0, sink);
    else fillCarry(state, limits, chunk, sink);
  } else if (state.mode === PAUSED) {
    holdPaused(state, limits, chunk, 0, sink);
  }
}

/** Goes on after a PAUSE with what was kept. Does nothing unless paused. */
export function resumeFrames(state: FrameState, limits: FrameLimits, sink: FrameSink): void {
  if (state.mode !== PAUSED) return;
  const kept = state.carry;
  const length = state.held;
  state.mode = OPEN;
  state.carry = undefined;
  state.held = 0;
  if (kept !== undefined) scan(state, limits, kept.subarray(0, length), 0, sink);
}

/** Ends parsing for good and lets the carry go. Safe inside a sink. */
export function closeFrames(state: FrameState): void {
  state.mode = CLOSED;
  state.carry = undefined;
  state.held = 0;
}

/**
 * Parses a binary WebSocket message (or a batch): one or more whole frames that end exactly at `end`; anything else is
 * the fault `message_truncated`. Returns `end`, or the offset at which the sink paused, or -1 after a fault or STOP.
 */
export function readMessage(
  buf: Uint8Array,
  limits: FrameLimits,
  sink: FrameSink,
  start = 0,
  end: number = buf.length,
): number {
  let at = start;
  do {
    const fault =
      end - at < HEADER_BYTES
        ? 'message_truncated'
        : (checkHeader(buf, at, limits) ?? (readI32(buf, at) > end - at ? 'message_truncated' : undefined));
    if (fault !== undefined) {
      sink.fault(fault);
      return -1;
    }
    const next = at + readI32(buf, at);
    const verdict = hand(sink, buf, at, next);
    if (verdict === Verdict.STOP) return -1;
    if (verdict === Verdict.PAUSE) return next;
    at = next;
  } while (at < end);
  return end;
}

/** The same parser as an object, for callers that have no state of their own to put the three fields in. */
export class FrameReader implements FrameState {
  carry: Uint8Array | undefined = undefined;
  held = 0;
  mode: number = OPEN;
  readonly #limits: FrameLimits;

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  /** Parses the next bytes of the stream. */
  push(chunk: Uint8Array, sink: FrameSink): void {
    readFrames(this, this.#limits, chunk, sink);
  }

  /** Goes on after a PAUSE. */
  resume(sink: FrameSink): void {
    resumeFrames(this, this.#limits, sink);
  }

  /** True after a fault or a STOP. */
  get closed(): boolean {
    return this.mode === CLOSED;
  }
}

function hand(sink: FrameSink, buf: Uint8Array, start: number, end: number): FrameVerdict {
  return sink.frame(
    buf,
    start,
    readI16(buf, start + 4),
    end,
    readI32(buf, start + 8),
    readI32(buf, start + 12),
    readU16(buf, start + 6),
  );
}

/** Parses a chunk from `from`; the carry is empty. */
function scan(state: FrameState, limits: FrameLimits, chunk: Uint8Array, from: number, sink: FrameSink): void {
  const end = chunk.length;
  let at = from;
  while (end - at >= HEADER_BYTES) {
    const fault = checkHeader(chunk, at, limits);
    if (fault !== undefined) {
      fail(state, sink, fault);
      return;
    }
    const packLen = readI32(chunk, at);
    if (packLen > end - at) {
      keep(state, chunk, at, end, packLen);
      return;
    }
    const next = at + packLen;
    if (goesOn(state, limits, hand(sink, chunk, at, next), chunk, next, sink)) at = next;
    else return;
  }
  if (at < end) keep(state, chunk, at, end, limits.maxFrame);
}

/** Completes the frame in the carry, then parses the rest of the chunk. */
function fillCarry(state: FrameState, limits: FrameLimits, chunk: Uint8Array, sink: FrameSink): void {
  let at = 0;
  if (state.held < HEADER_BYTES) {
    at = Math.min(HEADER_BYTES - state.held, chunk.length);
    keep(state, chunk, 0, at, limits.maxFrame);
    if (state.held < HEADER_BYTES) return;
  }
  const started = state.carry as Uint8Array;
  const fault = checkHeader(started, 0, limits);
  if (fault !== undefined) {
    fail(state, sink, fault);
    return;
  }
  const packLen = readI32(started, 0);
  const stop = Math.min(at + packLen - state.held, chunk.length);
  keep(state, chunk, at, stop, packLen);
  if (state.held < packLen) return;
  const whole = state.carry as Uint8Array;
  state.carry = undefined;
  state.held = 0;
  if (goesOn(state, limits, hand(sink, whole, 0, packLen), chunk, stop, sink)) scan(state, limits, chunk, stop, sink);
}

/** Acts on a verdict: true when parsing continues at `rest`. */
function goesOn(
  state: FrameState,
  limits: FrameLimits,
  verdict: FrameVerdict,
  chunk: Uint8Array,
  rest: number,
  sink: FrameSink,
): boolean {
  if (verdict === Verdict.MORE && state.mode === OPEN) return true;
  if (verdict === Verdict.STOP) closeFrames(state);
  else if (state.mode !== CLOSED) {
    state.mode = PAUSED;
    holdPaused(state, limits, chunk, rest, sink);
  }
  return false;
}

function holdPaused(state: FrameState, limits: FrameLimits, chunk: Uint8Array, from: number, sink: FrameSink): void {
  const bound = limits.maxFrame + MAX_PAUSED_BYTES;
  if (state.held + chunk.length - from > bound) fail(state, sink, 'paused_overflow');
  else keep(state, chunk, from, chunk.length, bound);
}

/** Appends chunk[from, to) to the carry, whose capacity never exceeds `bound` (or what it must hold). */
function keep(state: FrameState, chunk: Uint8Array, from: number, to: number, bound: number): void {
  if (to <= from) return;
  const used = state.held + to - from;
  let carry = state.carry;
  if (carry === undefined || carry.length < used) {
    const grown = new Uint8Array(Math.max(used, Math.min(bound, Math.max(SMALLEST_CARRY, 2 * used))));
    if (carry !== undefined) grown.set(carry.subarray(0, state.held));
    state.carry = carry = grown;
  }
  carry.set(chunk.subarray(from, to), state.held);
  state.held = used;
}

function fail(state: FrameState, sink: FrameSink, fault: FrameFault): void {
  closeFrames(state);
  sink.fault(fault);
}
