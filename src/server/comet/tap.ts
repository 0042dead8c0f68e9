/**
 * The frames of sessions that are watched one by one, as they are given to a socket or come from it. Ids and times that are
 * not in the bytes of a dialect are known all the same: the user's log queues in order, a topic knows what it has just
 * written. What finds no room in a watch is counted there before it is decoded.
 */
import { HEADER_BYTES, Op } from '../../protocol/frame.js';
import { compareIds, type LogName, type MessageId } from '../../protocol/ids.js';
import { decodeAck, FLAG_REDELIVERED } from '../../protocol/native.js';
import type { FrameEvent } from '../observe/events.js';
import { type FoundFrame, frameName, type SentFrame, tcpFrame, webSocketFrame } from '../observe/frames.js';
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

/** Of a marked session. */
interface Marked {
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

  constructor(hub: EventHub) {
    this.#hub = hub;
  }

  /** Some session is watched one by one. */
  get active(): boolean {
    return this.#marked.size > 0;
  }

  mark(session: Session, watch: Watch): void {
    watch.watched++;
    session.aside |= watch.bit;
    if (!this.#marked.has(session)) this.#marked.set(session, { queued: [], unacked: [] });
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
    if (this.#marked.size === 0) this.#noted.clear();
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
    let ids: readonly (MessageId | undefined)[] | undefined;
    let taken = 0;
    for (let at = 0; at < bytes.length; ) {
      const found = session.ws === undefined ? tcpFrame(bytes, at) : webSocketFrame(bytes, at);
      at = found.next;
      let origin: Origin | undefined;
      if (isPush(session, found.op)) {
        origin = marked.queued.shift();
        if (origin === undefined && session.dialect !== 'native') {
          ids ??= this.writing?.idsOf(session, bytes.length) ?? [];
          origin = { log: this.writing?.log, id: ids[taken++], acceptedAt: undefined, again: false };
        }
      }
      this.#sent(session, marked, found, origin);
    }
  }

  /** A frame of a marked session: its body is buf[bodyAt, end). */
  received(session: Session, op: number, seq: number, ver: number, buf: Uint8Array, bodyAt: number, end: number): void {
    const marked = this.#marked.get(session);
    if (marked === undefined) return;
    const acked = op === Op.ACK && session.dialect === 'native' ? decodeAck(buf, bodyAt, end) : undefined;
    const id = typeof acked === 'string' ? undefined : acked;
    const ms = id === undefined ? undefined : this.#acknowledged(marked, id);
    const mask = this.#room(session, isHeartbeat(op));
    if (mask === 0) return;
    const bytes = HEADER_BYTES + end - bodyAt;
    this.#offer(mask, undefined, {
      event: 'frame',
      ...this.#hub.stamp(),
      ...whoOf(session),
      direction: 'in',
      op,
      name: frameName(op),
      seq,
      bytes,
      ...(id === undefined ? {} : { log: session.log?.log ?? '', id: shown(id) }),
      ms,
      header: { packLen: bytes, headerLen: HEADER_BYTES, ver, op, seq },
    });
  }

  /** A text message of a marked session (imgo's JSON). */
  receivedText(session: Session, op: number, seq: number, ver: number, bytes: number): void {
    const mask = this.#marked.has(session) ? this.#room(session, isHeartbeat(op)) : 0;
    if (mask === 0) return;
    const what = { direction: 'in', op, name: frameName(op), seq, bytes, header: { ver, op, seq } } as const;
    this.#offer(mask, undefined, { event: 'frame', ...this.#hub.stamp(), ...whoOf(session), ...what });
  }

  #sent(session: Session, marked: Marked, found: FoundFrame, origin: Origin | undefined): void {
    const mask = this.#room(session, isHeartbeat(found.op));
    // Native: what is acknowledged later is remembered also when there is no room to tell it.
    if (mask === 0 && session.dialect !== 'native') return;
    const frame = found.read();
    if (frame === undefined) return;
    const { push } = frame;
    if (push !== undefined && push.log === undefined && push.id.n > 0) this.#expectAck(marked, push.id);
    const wanted = found.op === undefined && isHeartbeat(frame.op) ? mask & this.#heartbeats() : mask;
    if (wanted === 0) return;
    if (!isPush(session, frame.op)) {
      this.#offer(wanted, undefined, this.#event(session, frame, frameName(frame.op)));
      return;
    }
    const log = push === undefined ? origin?.log : (push.log ?? session.log?.log);
    const id = push === undefined ? origin?.id : push.id;
    const acceptedAt = origin?.acceptedAt ?? this.#noted.get(`${log}@${shown(id)}`);
    const again = push === undefined ? origin?.again === true : (push.flags & FLAG_REDELIVERED) !== 0;
    this.#offer(wanted, frame.body, {
      ...this.#event(session, frame, 'push'),
      ...(log === undefined ? {} : { log, id: shown(id) }),
      ...(acceptedAt === undefined ? {} : { ms: Math.max(0, this.#hub.clock.now() - acceptedAt) }),
      ...(again ? { redelivered: true } : {}),
    });
  }

  #event(session: Session, { op, seq, bytes, header }: SentFrame, name: string): FrameEvent {
    const what = { direction: 'out', op, name, seq, bytes, header } as const;
    return { event: 'frame', ...this.#hub.stamp(), ...whoOf(session), ...what };
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

  /** Bits of the watches that want a frame of this session and have room for it. */
  #room(session: Session, heartbeat: boolean): number {
    let mask = 0;
    for (const watch of this.#hub.watches) {
      if ((session.aside & watch.bit) === 0 || (heartbeat && !watch.matcher.heartbeats)) continue;
      if (watch.hasRoom()) mask |= watch.bit;
    }
    return mask;
  }

  #heartbeats(): number {
    return this.#hub.watches.reduce((bits, { bit, matcher }) => (matcher.heartbeats ? bits | bit : bits), 0);
  }

  #offer(mask: number, body: Uint8Array | undefined, event: FrameEvent): void {
    let plain: string | undefined;
    let full: string | undefined;
    for (const watch of this.#hub.watches) {
      if ((mask & watch.bit) === 0) continue;
      if (body !== undefined && watch.matcher.payloads) {
        full ??= JSON.stringify({ ...event, body: base64(body) });
        watch.offer(full);
      } else {
        plain ??= JSON.stringify(event);
        watch.offer(plain);
      }
    }
  }
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
