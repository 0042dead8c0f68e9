// Sinks that write down what a reader hands on, as copies.

import type { FrameFault } from '../../../src/protocol/frame.js';
import { type FrameSink, type FrameVerdict, Verdict } from '../../../src/protocol/reader.js';

/** A frame as it was handed on. */
export interface Seen {
  readonly bytes: Uint8Array;
  readonly headerLen: number;
  readonly op: number;
  readonly seq: number;
  readonly ver: number;
}

/** Records frames and faults; `verdict` decides after each frame (the count includes it). */
export class Recorder implements FrameSink {
  readonly frames: Seen[] = [];
  readonly faults: FrameFault[] = [];
  /** Buffers the frames lay in, to tell a copy from the chunk itself. */
  readonly buffers: Uint8Array[] = [];
  readonly #verdict: (count: number) => FrameVerdict;

  constructor(verdict: (count: number) => FrameVerdict = () => Verdict.MORE) {
    this.#verdict = verdict;
  }

  frame(buf: Uint8Array, start: number, headerLen: number, end: number, op: number, seq: number, ver: number) {
    this.frames.push({ bytes: buf.slice(start, end), headerLen, op, seq, ver });
    this.buffers.push(buf);
    return this.#verdict(this.frames.length);
  }

  fault(fault: FrameFault): void {
    this.faults.push(fault);
  }
}
