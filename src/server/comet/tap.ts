/**
 * The frames of sessions that are watched one by one, as they are given to a socket or come from it. Ids and times that are
 * not in the bytes of a dialect are known all the same: the user's log queues in order, a topic knows what it has just
 * written. What finds no room in a watch is counted there before it is decoded.
 */
import { HEADER_BYTES, Op } from '../../protocol/frame.js';
import { compareIds, type LogName, type MessageId } from '../../protocol/ids.js';
import { decodeAck, FLAG_REDELIVERED } from '../../protocol/native.js';
import type { FrameEvent } from '../observe/events.js';
import { type FoundFrame, frameName, tcpFrame, webSocketFrame } from '../observe/frames.js';
import { type EventHub, shown } from '../observe/hub.js';
import type { Watch } from '../observe/watch.js';
import type { Notification } from '../rpc/services.js';
import type { WritingTopic } from './fan-out.js';
import { rounded, whoOf } from './observed.js';
import { Aside, type Session } from './session.js';
import type { Delivery } from './user-log.js';

/** Messages of rooms whose acceptance is remembered, for the time that frames took. */
const NOTED_MAX = 8_192;
/** Messages to one session that an acknowledgement is expected of. */
const UNACKED_MAX = 512;

/** A push, as far as its bytes do not say it. */
interface Origin {
  readonly log: LogName | undefined;
  readonly id: MessageId | undefined;
  readonly acceptedAt: number | undefined;
  readonly again: boolean;
}

/** What is told of a frame, whoever it is given to: the end of the event as JSON. What stands before it differs. */
interface Described {
  readonly heartbeat: boolean;
  /** Of the user's own log: it will be acknowledged. */
  readonly own: MessageId | undefined;
  readonly acceptedAt: number | undefined;
  readonly body: Uint8Array | undefined;
  /** The body in base64, once somebody has asked for it. */
  encoded?: string;
  readonly tail: string;
}

/** Of a marked session. */
interface Marked {
  /** Whose it is, as members of a JSON object. */
  readonly who: string;
  /** Of its own log: queued, and not written yet. */
  readonly queued: Origin[];
  /** Native: written, and not acknowledged. */
  readonly unacked: { readonly id: MessageId; readonly at: number }[];
}

export class FrameTap {
  /** Set by a topic around its writes. */
  writing: WritingTopic | undefined;
  readonly #hub: EventHub;
  readonly #marked = new Map<Session, Marked>();
  /** When messages of topics were accepted, by `log@id`; while sessions are marked. */
  readonly #noted = new Map<string, number>();
  readonly #node: string;
  /** What a topic writes to many members is one piece of memory: described once. */
  #shared: { readonly bytes: Uint8Array; readonly frames: (Described | undefined)[] } | undefined;

  constructor(hub: EventHub) {
    this.#hub = hub;
    this.#node = JSON.stringify(hub.node);
  }

  /** Some session is watched one by one. */
  get active(): boolean {
    return this.#marked.size > 0;
  }

  mark(session: Session, watch: Watch): void {
    watch.watched++;
    session.aside |= watch.bit;
    if (this.#marked.has(session)) return;
    const who = JSON.stringify(whoOf(session)).slice(1, -1);
    this.#marked.set(session, { who, queued: [], unacked: [] });
  }

  unmark(session: Session, watch: Watch): void {
    if ((session.aside & watch.bit) === 0) return;
    watch.watched--;
    session.aside &= ~watch.bit;
    if ((session.aside & Aside.WATCHED) === 0) this.#marked.delete(session);
  }

  /** The watch ends. */
  end(watch: Watch): void {
    for (const session of [...this.#marked.keys()]) this.unmark(session, watch);
    if (this.#marked.size > 0) return;
    this.#noted.clear();
    this.#shared = undefined;
  }

  /** A message of a topic comes; told only while `active`. */
  noted({ log, id, acceptedAt }: Notification): void {
    if (this.#noted.size >= NOTED_MAX) this.#noted.delete(this.#noted.keys().next().value as string);
    this.#noted.set(`${log}@${shown(id)}`, acceptedAt);
  }

  /** A message of its own log is queued for a marked session. */
  queued(session: Session, entry: Delivery & { readonly acceptedAt?: number }, again: boolean): void {
    const { id, acceptedAt } = entry;
    this.#marked.get(session)?.queued.push({ log: session.log?.log, id, acceptedAt, again });
  }

  /** Whole frames are given to the socket of a marked session. */
  wrote(session: Session, bytes: Uint8Array): void {
    const marked = this.#marked.get(session);
    if (marked === undefined) return;
    const known = this.writing === undefined || marked.queued.length > 0 ? undefined : this.#sharedFrames(bytes);
    let ids: readonly (MessageId | undefined)[] | undefined;
    let pushes = 0;
    for (let at = 0, index = 0; at < bytes.length; index++) {
      const found = session.ws === undefined ? tcpFrame(bytes, at) : webSocketFrame(bytes, at);
      at = found.next;
      let described = known?.[index];
      if (described === undefined) {
        let origin: Origin | undefined;
        if (isPush(session, found.op)) {
          origin = marked.queued.shift();
          if (origin === undefined && session.dialect !== 'native') {
            ids ??= this.writing?.idsOf(session, bytes.length) ?? [];
            origin = { log: this.writing?.log, id: ids[pushes], acceptedAt: undefined, again: false };
          }
        }
        described = this.#isFull(session, found.op) ? undefined : this.#describe(session, found, origin);
        pushes++;
        if (described === undefined) continue;
        if (known !== undefined) known[index] = described;
      }
      if (described.own !== undefined && session.dialect === 'native') this.#expectAck(marked, described.own);
      this.#tell(session, marked, described);
    }
  }

  /** A frame of a marked session: its body is buf[bodyAt, end). */
  received(session: Session, op: number, seq: number, ver: number, buf: Uint8Array, bodyAt: number, end: number): void {
    const marked = this.#marked.get(session);
    if (marked === undefined) return;
    const acked = op === Op.ACK && session.dialect === 'native' ? decodeAck(buf, bodyAt, end) : undefined;
    const id = typeof acked === 'string' ? undefined : acked;
    const ms = id === undefined ? undefined : this.#acknowledged(marked, id);
    const log = id === undefined ? undefined : session.log?.log;
    const bytes = HEADER_BYTES + end - bodyAt;
    const header = { packLen: bytes, headerLen: HEADER_BYTES, ver, op, seq };
    const what = { direction: 'in', op, name: frameName(op), seq, bytes, log, id: shown(id), ms, header } as const;
    this.#tell(session, marked, described(what, isHeartbeat(op)));
  }

  /** A text message of a marked session (imgo's JSON). */
  receivedText(session: Session, op: number, seq: number, ver: number, bytes: number): void {
    const marked = this.#marked.get(session);
    if (marked === undefined) return;
    const what = { direction: 'in', op, name: frameName(op), seq, bytes, header: { ver, op, seq } } as const;
    this.#tell(session, marked, described(what, isHeartbeat(op)));
  }

  #sharedFrames(bytes: Uint8Array): (Described | undefined)[] {
    if (this.#shared?.bytes !== bytes) this.#shared = { bytes, frames: [] };
    return this.#shared.frames;
  }

  #describe(session: Session, found: FoundFrame, origin: Origin | undefined): Described | undefined {
    const frame = found.read();
    if (frame === undefined) return undefined;
    const { op, seq, bytes, header, push } = frame;
    if (!isPush(session, op)) {
      return described({ direction: 'out', op, name: frameName(op), seq, bytes, header }, isHeartbeat(op));
    }
    const log = push === undefined ? origin?.log : (push.log ?? session.log?.log);
    const id = push === undefined ? origin?.id : push.id;
    const again = push === undefined ? origin?.again === true : (push.flags & FLAG_REDELIVERED) !== 0;
    const redelivered = again ? true : undefined;
    const what = { direction: 'out', op, name: 'push', seq, bytes, log, id: shown(id), redelivered, header } as const;
    return {
      ...described(what, false),
      own: push !== undefined && push.log === undefined && push.id.n > 0 ? push.id : undefined,
      acceptedAt: origin?.acceptedAt ?? this.#noted.get(`${log}@${shown(id)}`),
      body: frame.body,
    };
  }

  /** True: no watch has room for it; it is counted, and not worth decoding. */
  #isFull(session: Session, op: number | undefined): boolean {
    const { watches } = this.#hub;
    for (const { bit, full } of watches) if ((session.aside & bit) !== 0 && !full) return false;
    if (isHeartbeat(op)) return true;
    for (const watch of watches) if ((session.aside & watch.bit) !== 0) watch.hasRoom();
    return true;
  }

  #tell(session: Session, { who }: Marked, what: Described): void {
    const { heartbeat, acceptedAt, body, tail } = what;
    let head: string | undefined;
    for (const watch of this.#hub.watches) {
      if ((session.aside & watch.bit) === 0 || (heartbeat && !watch.matcher.heartbeats) || !watch.hasRoom()) continue;
      if (head === undefined) {
        const at = this.#hub.clock.now();
        const ms = acceptedAt === undefined ? '' : `"ms":${Math.max(0, at - acceptedAt)},`;
        head = `{"event":"frame","at":${at},"node":${this.#node},${who},${ms}`;
      }
      if (body !== undefined && watch.matcher.payloads) {
        what.encoded ??= base64(body);
        watch.offer(`${head}"body":"${what.encoded}",${tail}`);
      } else watch.offer(`${head}${tail}`);
    }
  }

  #expectAck({ unacked }: Marked, id: MessageId): void {
    if (unacked.length >= UNACKED_MAX) unacked.shift();
    unacked.push({ id, at: this.#hub.clock.monotonic() });
  }

  /** From when this message was given to the socket, ms. */
  #acknowledged({ unacked }: Marked, id: MessageId): number | undefined {
    let at: number | undefined;
    while (unacked[0] !== undefined && compareIds(unacked[0].id, id) <= 0) at = unacked.shift()?.at;
    return at === undefined ? undefined : rounded(this.#hub.clock.monotonic() - at);
  }
}

/** What a frame event has beside when, where and whose it is. */
type What = Omit<FrameEvent, 'event' | 'at' | 'node' | 'session' | 'user' | 'device' | 'body'>;

function described(what: What, heartbeat: boolean): Described {
  return { heartbeat, own: undefined, acceptedAt: undefined, body: undefined, tail: JSON.stringify(what).slice(1) };
}

function isHeartbeat(op: number | undefined): boolean {
  return op === Op.HEARTBEAT || op === Op.HEARTBEAT_REPLY;
}

/** goim v2 has operations of its callers' choice. */
function isPush({ dialect }: Session, op: number | undefined): boolean {
  return op === Op.PUSH || (dialect === 'goim2' && op !== undefined && (op === Op.SEND || op >= GOIM_OPERATIONS));
}

/** The first operation that goim's callers choose for themselves. */
const GOIM_OPERATIONS = 1_000;

function base64({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('base64');
}
