/**
 * WebSocket messages as a server sends them: unmasked, not fragmented. Binary ones hold frames (goim: a batch in a frame of op 9),
 * imgo's text ones an array of objects. Before the first message comes the answer to the upgrade.
 */
import { HEADER_BYTES, Op } from '../../protocol/frame.js';
import { WsOpcode } from '../../protocol/websocket.js';
import { type FrameKind, NATIVE_FLAGS } from './frames.js';
import { type Bytes, MOST_BYTES, type WalkEvents, Walker } from './walker.js';

const END_OF_ANSWER = '\r\n\r\n';
const MOST_ANSWER = 8 * 1024;
/** `[{"ver":0,"op":5,"seq":0,"body":`: a message of one push begins so. */
const ONE_PUSH = Buffer.from('[{"ver":0,"op":5,"seq":0,"body":');
const OP_WORD = 12;
/** The head of any item. */
const ITEM = /^[[,]\{"ver":-?\d+,"op":(\d+),"seq":-?\d+,"body":/;
const MOST_HEAD = 80;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const END_OF_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const END_OF_ITEM = 0x7d;

/** WebSocket, every dialect. */
export class MessageWalker extends Walker {
  readonly #kind: FrameKind;
  /** 0 until the upgrade is answered. */
  readonly #upgraded: Uint8Array;
  readonly #answer: string;

  /** `answer`: what stands in the answer to an upgrade, beside its status. */
  constructor(
    connections: number,
    read: Buffer,
    ordered: boolean,
    events: WalkEvents,
    kind: FrameKind,
    answer: string,
  ) {
    super(connections, read, ordered, events);
    this.#kind = kind;
    this.#upgraded = new Uint8Array(connections);
    this.#answer = answer;
  }

  override restart(connection: number): void {
    super.restart(connection);
    this.#upgraded[connection] = 0;
  }

  protected override lengthAt(connection: number, { buffer, view }: Bytes, from: number, end: number): number {
    if (this.#upgraded[connection] === 0) {
      const at = buffer.subarray(from, end).indexOf(END_OF_ANSWER);
      if (at < 0) return end - from > MOST_ANSWER ? -1 : 0;
      return at + END_OF_ANSWER.length;
    }
    if (end - from < 2) return 0;
    const [head, short] = [buffer[from] as number, buffer[from + 1] as number];
    // Whole, no extension, not masked.
    if ((head & 0xf0) !== 0x80 || short > 127) return -1;
    if (short < 126) return 2 + short;
    if (end - from < (short === 126 ? 4 : 10)) return 0;
    if (short === 126) return 4 + view.getUint16(from + 2);
    const length = view.getUint32(from + 6);
    return view.getUint32(from + 2) === 0 && length <= MOST_BYTES ? 10 + length : -1;
  }

  protected override take(connection: number, bytes: Bytes, from: number, end: number): number {
    let at = from;
    while (at < end) {
      const length = this.lengthAt(connection, bytes, at, end);
      if (length < 0) return -1;
      if (length === 0 || end - at < length) break;
      const next = this.#message(connection, bytes, at, length, end);
      if (next < 0) return -1;
      at = next;
    }
    return at;
  }

  /** Takes the message at `at`, and those after it that are of the same shape. */
  #message(connection: number, bytes: Bytes, at: number, length: number, end: number): number {
    const { buffer } = bytes;
    if (this.#upgraded[connection] === 0) {
      const answer = buffer.toString('latin1', at, at + length);
      if (!answer.startsWith('HTTP/1.1 101') || !answer.includes(this.#answer)) return -1;
      this.#upgraded[connection] = 1;
      this.events.socket(connection, 'upgraded', bytes, at, at + length);
      return at + length;
    }
    const short = (buffer[at + 1] as number) & 0x7f;
    const from = at + (short < 126 ? 2 : short === 126 ? 4 : 10);
    const last = at + length;
    switch ((buffer[at] as number) & 0x0f) {
      case WsOpcode.BINARY:
        return this.#frames(connection, bytes, at, from, last, end);
      case WsOpcode.TEXT:
        return this.#text(connection, bytes, at, from, last, end);
      case WsOpcode.PING:
        this.events.socket(connection, 'ping', bytes, from, last);
        return last;
      case WsOpcode.CLOSE:
        this.events.socket(connection, 'close', bytes, from, last);
        return last;
      case WsOpcode.PONG:
        return last;
      default:
        return -1;
    }
  }

  /** The frames of [from, last); the message begins at `at`. One push alone is a unit with those after it. */
  #frames(connection: number, bytes: Bytes, at: number, from: number, last: number, end: number): number {
    const { pushOp, native } = this.#kind;
    const { view } = bytes;
    let frame = from;
    // goim's batch: a frame of op 9 around the others.
    if (last - from >= HEADER_BYTES && !native && view.getInt32(from + 8) === Op.RAW) {
      if (view.getInt32(from) !== last - from) return -1;
      frame += view.getInt16(from + 4);
    }
    const firstFrame = frame;
    while (frame < last) {
      if (last - frame < HEADER_BYTES) return -1;
      const length = view.getInt32(frame);
      const header = view.getInt16(frame + 4);
      if (header < HEADER_BYTES || length < header || length > last - frame) return -1;
      const op = view.getInt32(frame + 8);
      if (op === pushOp) {
        const alone = frame === firstFrame && frame + length === last && length < 0xff00;
        const next = this.#push(connection, bytes, alone ? at : frame, frame, header, length, alone ? end : last);
        if (alone) return next;
        frame = next;
        continue;
      }
      if (op !== Op.HEARTBEAT_REPLY) this.events.control(connection, op, bytes, frame + header, frame + length);
      frame += length;
    }
    return last;
  }

  #push(
    connection: number,
    bytes: Bytes,
    start: number,
    frame: number,
    header: number,
    length: number,
    end: number,
  ): number {
    const { unit } = this;
    unit.length = unit.bodyEnd = frame + length - start;
    unit.a = unit.frame = frame - start;
    unit.b = unit.frame + 8;
    unit.c = unit.frame + (this.#kind.native ? NATIVE_FLAGS : 0);
    unit.body = unit.frame + header;
    return this.run(connection, bytes, start, end);
  }

  /** imgo's array at [from, last): of one push, like those after it, or of anything. */
  #text(connection: number, bytes: Bytes, at: number, from: number, last: number, end: number): number {
    const { buffer } = bytes;
    const { unit } = this;
    const body = from + ONE_PUSH.length;
    if (body >= last || buffer.compare(ONE_PUSH, 0, ONE_PUSH.length, from, body) !== 0) {
      return this.#items(connection, bytes, from, last);
    }
    if (endOfValue(buffer, body, last) !== last - 2) return this.#items(connection, bytes, from, last);
    unit.length = last - at;
    unit.frame = from - at;
    unit.a = unit.b = unit.c = unit.frame + OP_WORD;
    unit.body = body - at;
    unit.bodyEnd = last - at - 2;
    return this.run(connection, bytes, at, end);
  }

  /** Item by item; their fields stand in the order in which imgo's servers write them. */
  #items(connection: number, bytes: Bytes, from: number, last: number): number {
    const { buffer } = bytes;
    const { unit } = this;
    for (let at = from; at < last - 1; ) {
      const head = ITEM.exec(buffer.toString('latin1', at, Math.min(last, at + MOST_HEAD)));
      if (head === null) return -1;
      const body = at + head[0].length;
      const bodyEnd = endOfValue(buffer, body, last);
      if (bodyEnd >= last || buffer[bodyEnd] !== END_OF_ITEM) return -1;
      const op = Number(head[1]);
      if (op === this.#kind.pushOp && bodyEnd - at >= 8) {
        unit.length = bodyEnd - at;
        unit.a = unit.b = unit.c = unit.frame = 0;
        unit.body = body - at;
        unit.bodyEnd = bodyEnd - at;
        this.run(connection, bytes, at, bodyEnd);
      } else if (op !== Op.HEARTBEAT_REPLY) this.events.control(connection, op, bytes, body, bodyEnd);
      at = bodyEnd + 1;
    }
    return buffer[last - 1] === END_OF_ARRAY ? last : -1;
  }
}

/** Where the JSON value that begins at `from` ends, or `end`. */
function endOfValue(buffer: Buffer, from: number, end: number): number {
  let depth = 0;
  let quoted = false;
  for (let at = from; at < end; at++) {
    const byte = buffer[at];
    if (quoted) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) quoted = false;
    } else if (byte === QUOTE) quoted = true;
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
    else if (byte === COMMA && depth === 0) return at;
    else if (byte === END_OF_ITEM || byte === END_OF_ARRAY) {
      if (depth === 0) return at;
      depth--;
    }
  }
  return end;
}
