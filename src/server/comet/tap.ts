/**
 * The frames of sessions that are watched one by one, as they are given to a socket or come from it. Ids and times that are
 * not in the bytes of a dialect are known all the same: the user's log queues in order, a topic knows what it has just
 * written. What finds no room in a watch is counted there before it is decoded.
 */
import { Op } from '../../protocol/frame.js';
import { compareIds, type MessageId } from '../../protocol/ids.js';
import { decodeAck } from '../../protocol/native.js';
import { type EventHub, shown } from '../observe/hub.js';
import type { Watch } from '../observe/watch.js';
import type { Notification } from '../rpc/services.js';
import { Acceptances } from './acceptances.js';
import {
  type Described,
  describe,
  describeReceived,
  describeText,
  frameAt,
  GivenFrames,
  isHeartbeat,
  isPush,
  lineOf,
  type Origin,
  SharedFrames,
} from './described.js';
import type { WritingTopic } from './fan-out.js';
import { rounded, whoOf } from './observed.js';
import { Aside, type Session } from './session.js';
import type { Delivery } from './user-log.js';

/** Longer writes of a topic are described at once: until a stream is answered a copy of them would be kept. */
const KEPT_BYTES = 16 * 1024;
/** Messages to one session that an acknowledgement is expected of. */
const UNACKED_MAX = 512;

/** Of a marked session. */
interface Marked {
  /** Where and whose it is, as members of a JSON object. */
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
  /** While sessions are marked. */
  readonly #acceptances = new Acceptances();
  /** What a topic writes to many members is one piece of memory, which is written to no more. */
  #shared: { readonly given: Uint8Array; readonly frames: SharedFrames } | undefined;

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
    if (this.#marked.has(session)) return;
    const who = JSON.stringify({ node: this.#hub.node, ...whoOf(session) }).slice(1, -1);
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
    this.#acceptances.clear();
    this.#shared = undefined;
  }

  /** A message of a topic comes; told only while `active`. */
  noted({ log, id, acceptedAt }: Notification): void {
    this.#acceptances.note(log, id, acceptedAt);
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
    const { writing } = this;
    if (writing !== undefined && marked.queued.length === 0 && bytes.length <= KEPT_BYTES) {
      this.#given(session, marked, bytes, writing);
      return;
    }
    let ids: readonly (MessageId | undefined)[] | undefined;
    let pushes = 0;
    for (let at = 0; at < bytes.length; ) {
      const found = frameAt(session, bytes, at);
      at = found.next;
      let origin: Origin | undefined;
      if (isPush(session, found.op)) {
        origin = marked.queued.shift();
        if (origin === undefined && session.dialect !== 'native') {
          ids ??= writing?.idsOf(session, bytes.length) ?? [];
          origin = { log: writing?.log, id: ids[pushes], acceptedAt: undefined, again: false };
        }
        pushes++;
      }
      if (this.#isFull(session, found.op)) continue;
      const what = describe(session, session.log?.log, found, origin, this.#acceptances);
      if (what === undefined) continue;
      if (what.own !== undefined && session.dialect === 'native') this.#expectAck(marked, what.own);
      this.#tell(session, marked, what);
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
    this.#tell(session, marked, describeReceived(op, seq, ver, end - bodyAt, { log, id: shown(id), ms }));
  }

  /** A text message of a marked session (imgo's JSON). */
  receivedText(session: Session, op: number, seq: number, ver: number, bytes: number): void {
    const marked = this.#marked.get(session);
    if (marked !== undefined) this.#tell(session, marked, describeText(op, seq, ver, bytes));
  }

  /** A topic's write to one of its members: noted, and described when a stream is answered. */
  #given(session: Session, { who }: Marked, bytes: Uint8Array, topic: WritingTopic): void {
    if (this.#shared?.given !== bytes) {
      this.#shared = { given: bytes, frames: new SharedFrames(session, bytes, topic, this.#acceptances) };
    }
    const { frames } = this.#shared;
    let given: GivenFrames | undefined;
    for (const watch of this.#hub.watches) {
      if ((session.aside & watch.bit) === 0 || !watch.hasRoom(frames.count)) continue;
      given ??= new GivenFrames(frames, who, this.#hub.clock.now());
      watch.offerUnwritten(given);
    }
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
    const at = this.#hub.clock.now();
    for (const watch of this.#hub.watches) {
      const { bit, matcher } = watch;
      if ((session.aside & bit) === 0 || (what.heartbeat && !matcher.heartbeats) || !watch.hasRoom()) continue;
      watch.offer(lineOf(at, who, what, matcher.payloads));
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
