/** Frames back to back, as TCP carries them, and as binary WebSocket messages hold them. */
import { checkHeader, HEADER_BYTES, limitsFromServer, Op } from '../../protocol/frame.js';
import { type Bytes, MOST_BYTES, type WalkEvents, Walker } from './walker.js';

const LIMITS = limitsFromServer(MOST_BYTES);
/** In a native push: flags and the topic's length. */
export const NATIVE_FLAGS = 28;

/** What a client of a dialect is sent. */
export interface FrameKind {
  /** The operation of a push. */
  readonly pushOp: number;
  readonly native: boolean;
}

/** TCP. */
export class FrameWalker extends Walker {
  readonly #kind: FrameKind;

  constructor(connections: number, read: Buffer, ordered: boolean, events: WalkEvents, kind: FrameKind) {
    super(connections, read, ordered, events);
    this.#kind = kind;
  }

  protected override lengthAt(_connection: number, bytes: Bytes, from: number, end: number): number {
    if (end - from < HEADER_BYTES) return 0;
    return checkHeader(bytes.buffer, from, LIMITS) === undefined ? bytes.view.getInt32(from) : -1;
  }

  protected override take(connection: number, bytes: Bytes, from: number, end: number): number {
    const { pushOp, native } = this.#kind;
    const { unit } = this;
    let at = from;
    while (end - at >= HEADER_BYTES) {
      const length = this.lengthAt(connection, bytes, at, end);
      if (length < 0) return -1;
      if (end - at < length) break;
      const op = bytes.view.getInt32(at + 8);
      const body = bytes.view.getInt16(at + 4);
      if (op === pushOp) {
        unit.length = unit.bodyEnd = length;
        unit.a = unit.frame = 0;
        unit.b = 8;
        unit.c = native ? NATIVE_FLAGS : 8;
        unit.body = body;
        at = this.run(connection, bytes, at, end);
      } else {
        if (op !== Op.HEARTBEAT_REPLY) this.events.control(connection, op, bytes, at + body, at + length);
        at += length;
      }
    }
    return at;
  }
}
