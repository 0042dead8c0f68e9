// Decodes what a server sends, in every dialect, into one set of events.

import type { Dialect } from '../protocol/dialect.js';
import { type FrameFault, type FrameLimits, isFault, limitsFromServer, Op } from '../protocol/frame.js';
import type { LogName, MessageId } from '../protocol/ids.js';
import { parseServerJson } from '../protocol/imgo-json.js';
import { decodeNativePush, FLAG_EPHEMERAL, FLAG_REDELIVERED } from '../protocol/native.js';
import { FrameReader, type FrameSink, readMessage, Verdict } from '../protocol/reader.js';
import { encodeText } from '../protocol/text.js';

/** A frame of the server, decoded. `body` and `payload` are copies that may be kept. */
export interface ReceiverEvents {
  push(push: ReceivedPush): void;
  /** Everything else: replies, gaps, disconnects. */
  control(op: number, seq: number, body: Uint8Array): void;
  /** The stream makes no sense; nothing more is decoded. */
  fault(fault: FrameFault): void;
}

export interface ReceivedPush {
  /** undefined: the user's own log (native), or unknown (legacy). */
  readonly log: LogName | undefined;
  readonly id: MessageId | undefined;
  readonly payload: Uint8Array;
  readonly redelivered: boolean;
  readonly ephemeral: boolean;
  readonly operation: number;
}

/** Frames from servers: a payload of 64 KiB, headers, and goim's batches of some. */
const FROM_SERVER: FrameLimits = limitsFromServer(16 * 1024 * 1024);

export class Receiver implements FrameSink {
  readonly #dialect: Dialect;
  readonly #events: ReceiverEvents;
  readonly #stream: FrameReader | undefined;
  #broken = false;

  constructor(dialect: Dialect, carrier: 'tcp' | 'ws', events: ReceiverEvents) {
    this.#dialect = dialect;
    this.#events = events;
    this.#stream = carrier === 'tcp' ? new FrameReader(FROM_SERVER) : undefined;
  }

  receive(data: Uint8Array | string): void {
    if (this.#broken) return;
    if (typeof data === 'string') this.#text(data);
    else if (this.#stream !== undefined) this.#stream.push(data, this);
    else if (this.#dialect === 'imgo') this.fault('dialect_mismatch');
    else readMessage(data, FROM_SERVER, this);
  }

  frame(buf: Uint8Array, start: number, headerLen: number, end: number, op: number, seq: number): 0 | 1 | 2 {
    const body = buf.slice(start + headerLen, end);
    if (this.#dialect === 'native' && op === Op.PUSH) return this.#native(buf, start, headerLen, body);
    if (this.#dialect === 'goim2') return this.#goim(op, seq, body);
    if (op === Op.PUSH) this.#legacyPush(op, body);
    else this.#events.control(op, seq, body);
    return this.#broken ? Verdict.STOP : Verdict.MORE;
  }

  fault(fault: FrameFault): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#events.fault(fault);
  }

  #native(buf: Uint8Array, start: number, headerLen: number, payload: Uint8Array): 0 | 2 {
    const push = decodeNativePush(buf, start, headerLen);
    if (isFault(push)) {
      this.fault(push);
      return Verdict.STOP;
    }
    const ephemeral = (push.flags & FLAG_EPHEMERAL) !== 0;
    this.#events.push({
      log: push.log,
      id: ephemeral ? undefined : push.id,
      payload,
      redelivered: (push.flags & FLAG_REDELIVERED) !== 0,
      ephemeral,
      operation: Op.PUSH,
    });
    return Verdict.MORE;
  }

  /** goim v2: batches in op 9, replies by their numbers, everything else is a message. */
  #goim(op: number, seq: number, body: Uint8Array): 0 | 2 {
    if (op === Op.RAW) readMessage(body, FROM_SERVER, this);
    else if (GOIM_CONTROL.has(op)) this.#events.control(op, seq, body);
    else this.#legacyPush(op, body);
    return this.#broken ? Verdict.STOP : Verdict.MORE;
  }

  #legacyPush(operation: number, payload: Uint8Array): void {
    this.#events.push({ log: undefined, id: undefined, payload, redelivered: false, ephemeral: false, operation });
  }

  #text(text: string): void {
    const items = parseServerJson(text);
    if (isFault(items)) {
      this.fault(items);
      return;
    }
    for (const item of items) {
      const body = encodeText(JSON.stringify(item.body));
      if (item.op === Op.PUSH) this.#legacyPush(item.op, body);
      else this.#events.control(item.op, item.seq, body);
    }
  }
}

const GOIM_CONTROL: ReadonlySet<number> = new Set([
  Op.HEARTBEAT_REPLY,
  Op.AUTH_REPLY,
  Op.CHANGE_ROOM_REPLY,
  Op.SUBSCRIBE_REPLY,
  Op.UNSUBSCRIBE_REPLY,
]);
