/**
 * What is told of frames to a client: read back from the bytes that the server has encoded, with what they do not say. Of what a
 * topic writes to many members the bytes are the same memory: they are described once, and only when a stream is answered.
 */
import { HEADER_BYTES, Op } from '../../protocol/frame.js';
import type { LogName, MessageId } from '../../protocol/ids.js';
import { FLAG_REDELIVERED } from '../../protocol/native.js';
import type { FrameEvent } from '../observe/events.js';
import { type FoundFrame, frameName, tcpFrame, webSocketFrame } from '../observe/frames.js';
import { shown } from '../observe/hub.js';
import type { Unwritten } from '../observe/watch.js';
import type { Acceptances } from './acceptances.js';
import type { WritingTopic } from './fan-out.js';
import type { Session } from './session.js';

/** A push, as far as its bytes do not say it. */
export interface Origin {
  readonly log: LogName | undefined;
  readonly id: MessageId | undefined;
  readonly acceptedAt: number | undefined;
  readonly again: boolean;
}

/** What is told of a frame, whoever it is given to: the end of the event as JSON. What stands before it differs. */
export interface Described {
  readonly heartbeat: boolean;
  /** Of the user's own log: it will be acknowledged. */
  readonly own: MessageId | undefined;
  readonly acceptedAt: number | undefined;
  readonly body: Uint8Array | undefined;
  /** The body in base64, once somebody has asked for it. */
  encoded?: string;
  readonly tail: string;
}

/** What a frame event has beside when, where and whose it is. */
type What = Omit<FrameEvent, 'event' | 'at' | 'node' | 'session' | 'user' | 'device' | 'body'>;

/** Of a session, how its frames are written. */
type Spoken = Pick<Session, 'dialect' | 'ws'>;

/** The frame of this session's bytes at `at`. */
export function frameAt({ ws }: Spoken, bytes: Uint8Array, at: number): FoundFrame {
  return ws === undefined ? tcpFrame(bytes, at) : webSocketFrame(bytes, at);
}

/** undefined: nothing that a client handles as a frame. `log`: of the session's own pushes. */
export function describe(
  session: Spoken,
  log: LogName | undefined,
  found: FoundFrame,
  origin: Origin | undefined,
  acceptances: Acceptances,
): Described | undefined {
  const frame = found.read();
  if (frame === undefined) return undefined;
  const { op, seq, bytes, header, push } = frame;
  if (!isPush(session, op)) {
    return describedAs({ direction: 'out', op, name: frameName(op), seq, bytes, header }, isHeartbeat(op));
  }
  const of = push === undefined ? origin?.log : (push.log ?? log);
  const id = push === undefined ? origin?.id : push.id;
  const again = push === undefined ? origin?.again === true : (push.flags & FLAG_REDELIVERED) !== 0;
  const redelivered = again ? true : undefined;
  const what = { direction: 'out', op, name: 'push', seq, bytes, log: of, id: shown(id), redelivered, header } as const;
  return {
    ...describedAs(what, false),
    own: push !== undefined && push.log === undefined && push.id.n > 0 ? push.id : undefined,
    acceptedAt: origin?.acceptedAt ?? acceptances.of(of, id),
    body: frame.body,
  };
}

/** Of a frame from a client, `bytes` of body behind its header. */
export function describeReceived(
  op: number,
  seq: number,
  ver: number,
  bytes: number,
  acked: Pick<What, 'log' | 'id' | 'ms'>,
): Described {
  const packLen = HEADER_BYTES + bytes;
  const header = { packLen, headerLen: HEADER_BYTES, ver, op, seq };
  return describedAs(
    { direction: 'in', op, name: frameName(op), seq, bytes: packLen, ...acked, header },
    isHeartbeat(op),
  );
}

/** Of a text message from a client. */
export function describeText(op: number, seq: number, ver: number, bytes: number): Described {
  const what = { direction: 'in', op, name: frameName(op), seq, bytes, header: { ver, op, seq } } as const;
  return describedAs(what, isHeartbeat(op));
}

/** The line, with its newline. `who`: where and whose it is, as members of a JSON object. */
export function lineOf(at: number, who: string, what: Described, payload: boolean): string {
  const { acceptedAt, body, tail } = what;
  const ms = acceptedAt === undefined ? '' : `"ms":${Math.max(0, at - acceptedAt)},`;
  const head = `{"event":"frame","at":${at},${who},${ms}`;
  if (!payload || body === undefined) return `${head}${tail}\n`;
  what.encoded ??= base64(body);
  return `${head}"body":"${what.encoded}",${tail}\n`;
}

export function isHeartbeat(op: number | undefined): boolean {
  return op === Op.HEARTBEAT || op === Op.HEARTBEAT_REPLY;
}

/** goim v2 has operations of its callers' choice. */
export function isPush({ dialect }: Spoken, op: number | undefined): boolean {
  return op === Op.PUSH || (dialect === 'goim2' && op !== undefined && (op === Op.SEND || op >= GOIM_OPERATIONS));
}

/** The first operation that goim's callers choose for themselves. */
const GOIM_OPERATIONS = 1_000;

function describedAs(what: What, heartbeat: boolean): Described {
  return { heartbeat, own: undefined, acceptedAt: undefined, body: undefined, tail: JSON.stringify(what).slice(1) };
}

function base64({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('base64');
}

/** What a line takes, about, beside the bytes of its frame. */
const LINE_BYTES = 300;
/** What base64 makes of bytes. */
const BASE64 = 4 / 3;

/** Bytes that a topic gives to many members. */
export class SharedFrames {
  readonly count: number;
  readonly length: number;
  readonly #spoken: Spoken;
  readonly #log: LogName;
  readonly #ids: readonly (MessageId | undefined)[];
  readonly #acceptances: Acceptances;
  #bytes: Uint8Array;
  #kept = false;
  #described: readonly Described[] | undefined;

  constructor(session: Session, bytes: Uint8Array, topic: WritingTopic, acceptances: Acceptances) {
    this.#bytes = bytes;
    this.length = bytes.length;
    this.#spoken = { dialect: session.dialect, ws: session.ws };
    this.#log = topic.log;
    this.#ids = session.dialect === 'native' ? [] : (topic.idsOf(session, bytes.length) ?? []);
    this.#acceptances = acceptances;
    let count = 0;
    for (let at = 0; at < bytes.length; at = frameAt(session, bytes, at).next) count++;
    this.count = count;
  }

  /** They are wanted: a copy, so that no ring's memory is held. Returns the bytes that were copied. */
  keep(): number {
    if (this.#kept) return 0;
    this.#kept = true;
    this.#bytes = this.#bytes.slice();
    return this.length;
  }

  described(): readonly Described[] {
    this.#described ??= this.#describe();
    return this.#described;
  }

  #describe(): readonly Described[] {
    const all: Described[] = [];
    const bytes = this.#bytes;
    let pushes = 0;
    for (let at = 0; at < bytes.length; ) {
      const found = frameAt(this.#spoken, bytes, at);
      at = found.next;
      const id = isPush(this.#spoken, found.op) ? this.#ids[pushes++] : undefined;
      const origin = { log: this.#log, id, acceptedAt: undefined, again: false };
      const what = describe(this.#spoken, this.#log, found, origin, this.#acceptances);
      if (what !== undefined) all.push(what);
    }
    return all;
  }
}

/** What one member was given of them. */
export class GivenFrames implements Unwritten {
  readonly count: number;
  readonly #shared: SharedFrames;
  readonly #who: string;
  readonly #at: number;
  readonly #kept: number;

  constructor(shared: SharedFrames, who: string, at: number) {
    this.count = shared.count;
    this.#shared = shared;
    this.#who = who;
    this.#at = at;
    this.#kept = shared.keep();
  }

  bytes(payloads: boolean): number {
    return this.#kept + this.count * LINE_BYTES + (payloads ? this.#shared.length * BASE64 : 0);
  }

  lines(payloads: boolean): string {
    let lines = '';
    for (const what of this.#shared.described()) lines += lineOf(this.#at, this.#who, what, payloads);
    return lines;
  }
}
