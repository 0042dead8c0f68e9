// One connection, from accept to close: a plain object of one shape, without a timer, closure or emitter of its own.
// It is the Outlet of its topics and the sink of its user log. Its promises: while a write is pending (`held`) nothing
// more is written but the words before a close; nothing follows a close frame; what was not written is not reported.

import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import {
  type Dialect,
  type Encoding,
  encodeHeartbeatReply,
  encodePush,
  encodeReply,
  type Transport,
} from '../../protocol/dialect.js';
import { DISCONNECT, type DisconnectName, type DisconnectRow, disconnectForFault } from '../../protocol/disconnect.js';
import { type FrameFault, type FrameLimits, Op } from '../../protocol/frame.js';
import { compareIds, type LogName, type MessageId, type SessionId, ZERO_ID } from '../../protocol/ids.js';
import { FLAG_EPHEMERAL, FLAG_REDELIVERED, NATIVE_VER, OWN_TOPIC } from '../../protocol/native.js';
import { encodeDisconnect, encodeGap } from '../../protocol/native-json.js';
import type { FrameSink, FrameState, FrameVerdict } from '../../protocol/reader.js';
import type { Clock } from '../clock.js';
import type { Notification, SessionHandle } from '../rpc/services.js';
import type { Counters } from './counters.js';
import type { Load } from './load.js';
import type { CometOptions } from './options.js';
import type { JoinedTopic, Outlet } from './outlet.js';
import type { CometTraces } from './traces.js';
import type { Delivery, FollowContext, LogFollower, LogSink } from './user-log.js';

/** Where a session is in its life. */
export const Phase = { NEW: 0, OPENING: 1, OPEN: 2, CLOSED: 3 } as const;

/** Which listener took the connection. */
export type ListenerKind = 'tcp' | 'ws' | 'goim';

/** Bits of `Session.aside`: what sets a session aside from the many whose writes just go to the socket. */
export const Aside = {
  /** One bit for each watch that wants its frames. */
  WATCHED: 0xffff,
  /** Its frames are written one by one (`pace`). */
  PACED: 0x1_0000,
} as const;

/** Who is told what happens to sessions (observer.ts). `wants`: bits of kinds, to be tested first. */
export interface SessionObserver {
  readonly hub: { readonly wants: number };
  readonly tap: {
    queued(session: Session, entry: Delivery, again: boolean): void;
    wrote(session: Session, bytes: Uint8Array): void;
  };
  held(session: Session): void;
  released(session: Session): void;
  gap(session: Session, log: LogName, after: MessageId, upTo: MessageId, reason: 'log' | 'lag'): void;
}

/** What a session needs of its comet. */
export interface SessionHost {
  readonly observer: SessionObserver;
  readonly clock: Clock;
  readonly options: CometOptions;
  readonly counters: Counters;
  readonly follow: FollowContext;
  readonly frameLimits: FrameLimits;
  /** Told of sessions that are held, but not of those that pause between frames. */
  readonly load: Load<Session>;
  readonly traces: CometTraces;
  /** False while the comet is fenced. */
  mayWrite(): boolean;
  /** A frame of this session, checked by the reader. */
  frame(
    session: Session,
    buf: Uint8Array,
    start: number,
    headerLen: number,
    end: number,
    op: number,
    seq: number,
    ver: number,
  ): FrameVerdict;
  /** A text message of this session (imgo's JSON). */
  text(session: Session, message: Buffer): void;
  /** Its user log was written further (`drainedTo`). */
  drained(session: Session): void;
  /** Nothing is pending any more: topics and recoveries go on. */
  ready(session: Session): void;
  /** It may be heard again: handles what waited. */
  hear(session: Session): void;
  /** It is over: leave topics and maps, tell logic. Called once. `row`: why, where that is of this side. */
  release(session: Session, row?: DisconnectRow): void;
  /** Destroy the socket soon, whatever the client does. */
  linger(session: Session): void;
  /** Writes one frame after the other, with a pause between. */
  paced(session: Session, bytes: Uint8Array): void;
  /** Members of goim's room, for the heartbeat's reply. */
  online(session: Session): number;
}

/** WebSocket messages that wait for their session. */
export interface Inbox {
  readonly messages: { readonly data: Buffer; readonly binary: boolean; from: number }[];
  /** What they hold in memory, about. */
  bytes: number;
}

/** Bytes that are complete and not yet written flush at once above this: a write is at most this and one entry. */
const FLUSH_BYTES = 16 * 1024;

const EMPTY = Buffer.alloc(0);
const NOBODY = '' as SessionId;
const WS_OPEN = 1;

/** Room for two elements without the 16 that a first push() would reserve. */
function smallArray<T>(filler: T): T[] {
  const array = [filler, filler];
  array.pop();
  array.pop();
  return array;
}

/** A connection and, once authenticated, a session. */
export class Session implements Outlet, LogSink, FrameSink {
  session: SessionId = NOBODY;
  encoding: Encoding = 'plain-tcp';
  held = false;
  closed = false;
  readonly topics: JoinedTopic[] = smallArray(undefined as unknown as JoinedTopic);
  readonly slots: number[] = smallArray(0);

  readonly host: SessionHost;
  readonly socket: Socket;
  readonly listener: ListenerKind;
  readonly peer: string;
  /** Set on WebSocket, after the upgrade. */
  ws: WebSocket | undefined = undefined;
  dialect: Dialect = 'imgo';
  phase: number = Phase.NEW;
  handle: SessionHandle | undefined = undefined;
  /** Wall ms; when its token ends. */
  expiresAt = Number.POSITIVE_INFINITY;

  /** The parser's state: only while a frame is incomplete or input waits. */
  parser: FrameState | undefined = undefined;
  /** WebSocket messages that wait. */
  inbox: Inbox | undefined = undefined;
  /** Input waits: for logic (`busy`), or until a write completes. */
  deaf = false;
  /** A request of this session is with logic. */
  busy = false;

  /** Complete bytes of this turn; while held only replies to what was asked before. */
  out: Uint8Array | Uint8Array[] | undefined = undefined;
  outBytes = 0;
  /** A heartbeat or ping that waits for its reply: at most one. */
  owedSeq: number | undefined = undefined;
  owedVer = 0;
  owedPong: Uint8Array | undefined = undefined;
  /** Frames that are written one by one (`fanout.oneFramePerWrite`). */
  pace: Uint8Array[] | undefined = undefined;
  /** Bits of `Aside`; 0 but for few sessions. */
  aside = 0;
  /** In the comet's roster. */
  place = 0;

  /** undefined: no user log (goim's mid 0). */
  log: LogFollower | undefined = undefined;
  sentBefore: MessageId = ZERO_ID;
  /** The kernel took the user log up to here. */
  drainedTo: MessageId = ZERO_ID;
  /** The client took it up to here (its ACK; legacy: by `delivery.legacyAck`), and what logic was told of both. */
  taken: MessageId = ZERO_ID;
  reportedTaken: MessageId = ZERO_ID;
  reportedDrained: MessageId = ZERO_ID;
  /** Monotonic ms of the last report; whether it stands in a list of those to come. */
  reportedAt = 0;
  reportDue = 0;
  /** Payload bytes notified since it could not take them. */
  lagBytes = 0;
  /** goim v2: operations that this session takes. */
  accepts: readonly number[] | undefined = undefined;

  /** Theoretical arrival times of the inbound buckets (GCRA), monotonic ms. */
  frameTime = 0;
  ackTime = 0;
  /** Coarse monotonic seconds of the last byte. */
  heardAt = 0;

  /** Its row in the wheel of deadlines; -1: none. */
  deadline = -1;

  private onDrain: ((error?: Error | null) => void) | undefined = undefined;

  constructor(host: SessionHost, socket: Socket, listener: ListenerKind) {
    this.host = host;
    this.socket = socket;
    this.listener = listener;
    const address = socket.remoteAddress ?? '';
    this.peer = address.startsWith('::ffff:') ? address.slice(7) : address;
  }

  get transport(): Transport {
    return this.ws === undefined ? 'tcp' : 'ws';
  }

  // What the parser calls.

  frame(
    buf: Uint8Array,
    start: number,
    headerLen: number,
    end: number,
    op: number,
    seq: number,
    ver: number,
  ): FrameVerdict {
    return this.host.frame(this, buf, start, headerLen, end, op, seq, ver);
  }

  fault(fault: FrameFault): void {
    this.host.counters.count(`fault_${fault}`);
    this.close(disconnectForFault(fault));
  }

  // The user log's sink.

  get ready(): boolean {
    return !this.held && this.phase === Phase.OPEN && this.host.mayWrite();
  }

  deliver(entry: Delivery): void {
    const { traces } = this.host;
    if (!this.takes(entry.operation)) {
      if (traces.any) traces.filtered(this, entry.id, entry.operation);
      return;
    }
    const again = compareIds(entry.id, this.sentBefore) <= 0;
    if (traces.any) traces.written(this, entry.id, again);
    if (again) this.host.counters.redelivered++;
    this.host.counters.deliveries++;
    if (this.aside !== 0) this.host.observer.tap.queued(this, entry, again);
    this.queue(encodePush(this.encoding, entry, OWN_TOPIC, again ? FLAG_REDELIVERED : 0, Buffer.allocUnsafe));
  }

  /** A gap of the user's log. */
  missing(after: MessageId, upTo: MessageId): void {
    if (this.log !== undefined) this.host.observer.gap(this, this.log.log, after, upTo, 'log');
    if (this.host.traces.any) this.host.traces.missing(this, after, upTo);
    if (this.log !== undefined && this.tellsGap()) {
      const gap = encodeGap({ log: this.log.log, after, upTo });
      this.queue(encodeReply('native', this.transport, NATIVE_VER, Op.GAP, 0, gap));
    }
  }

  /** A gap of a topic. */
  gap(topic: JoinedTopic, after: MessageId, upTo: MessageId): void {
    this.host.observer.gap(this, topic.log, after, upTo, 'lag');
    if (this.tellsGap()) this.reply(Op.GAP, 0, encodeGap({ log: topic.log, after, upTo }));
  }

  private tellsGap(): boolean {
    this.host.counters.gaps++;
    if (this.dialect === 'native') return true;
    this.host.counters.gapsUntold++;
    return false;
  }

  /** Gives a message that is stored nowhere. False: it was dropped, and why is counted. */
  deliverEphemeral(note: Notification): boolean {
    const outcome = this.ephemeralOutcome(note);
    if (note.trace !== undefined) this.host.traces.ephemeral(this, note, outcome);
    if (outcome !== 'written') return false;
    this.host.counters.ephemeral++;
    if (this.aside !== 0) this.host.observer.tap.queued(this, note, false);
    this.queue(encodePush(this.encoding, note, OWN_TOPIC, FLAG_EPHEMERAL, Buffer.allocUnsafe));
    return true;
  }

  private ephemeralOutcome(note: Notification): 'written' | 'held' | 'catch_up' | 'filtered' {
    const behind = this.log?.behind === true;
    if (!this.ready || behind) {
      this.host.counters.count('dropped_ephemeral_catch_up');
      return behind ? 'catch_up' : 'held';
    }
    return this.takes(note.operation) ? 'written' : 'filtered';
  }

  /** goim v2 names the operations it takes; what it does not name counts as sent. */
  private takes(operation: number | undefined): boolean {
    if (this.accepts === undefined || this.accepts.includes(operation ?? Op.PUSH)) return true;
    this.host.counters.filtered++;
    return false;
  }

  private queue(bytes: Uint8Array): void {
    this.keep(bytes);
    if (this.outBytes >= FLUSH_BYTES) this.flush();
  }

  /** One frame is the rule; only more of them need an array. */
  private keep(bytes: Uint8Array): void {
    const out = this.out;
    if (out === undefined) this.out = bytes;
    else if (Array.isArray(out)) out.push(bytes);
    else this.out = [out, bytes];
    this.outBytes += bytes.length;
  }

  flush(): void {
    if (this.held || this.closed) return;
    const out = this.out;
    if (out !== undefined) {
      const total = this.outBytes;
      this.out = undefined;
      this.outBytes = 0;
      this.put(Array.isArray(out) ? Buffer.concat(out, total) : out);
    }
    this.settle();
  }

  // The outlet.

  write(bytes: Uint8Array): void {
    if (this.closed) return;
    if (this.out !== undefined) this.flush();
    this.put(bytes);
  }

  /** A reply to the client; waits in `out` while a write is pending. */
  reply(op: number, seq: number, body?: Uint8Array, ver = this.dialect === 'native' ? NATIVE_VER : 1): void {
    if (this.closed) return;
    const bytes = encodeReply(this.dialect, this.transport, ver, op, seq, body);
    if (!this.held) {
      this.put(bytes);
      return;
    }
    this.keep(bytes);
  }

  /** Answers a heartbeat, now or when the pending write completes; of several that wait the last is answered. */
  heartbeat(seq: number, ver: number): void {
    this.host.counters.heartbeats++;
    if (this.held) {
      this.owedSeq = seq;
      this.owedVer = ver;
      return;
    }
    this.put(encodeHeartbeatReply(this.dialect, this.transport, ver, seq, this.host.online(this)));
  }

  /** A pong, ready for the socket; of several that wait the last is sent. */
  pong(bytes: Uint8Array): void {
    if (this.held) this.owedPong = bytes;
    else this.put(bytes);
  }

  private put(bytes: Uint8Array): void {
    const socket = this.socket;
    if (!socket.writable) {
      this.abort();
      return;
    }
    if (this.ws !== undefined && this.ws.readyState !== WS_OPEN) {
      this.broken();
      return;
    }
    if (this.aside !== 0 && this.putAside(bytes)) return;
    this.giveToSocket(bytes);
    if (socket.writableLength !== 0) this.hold();
  }

  /** Shows the bytes to who watches. True: they go to the socket some other way. */
  private putAside(bytes: Uint8Array): boolean {
    if ((this.aside & Aside.WATCHED) !== 0) this.host.observer.tap.wrote(this, bytes);
    if (this.pace === undefined) return false;
    this.held = true;
    this.host.paced(this, bytes);
    return true;
  }

  /** The write itself, and its count. */
  giveToSocket(bytes: Uint8Array): void {
    const counters = this.host.counters;
    counters.flushes++;
    counters.bytesOut += bytes.length;
    this.socket.write(bytes);
  }

  /** The kernel did not take everything. An empty write behind it tells when it has: only held sessions pay for that. */
  private hold(): void {
    this.held = true;
    this.host.counters.holds++;
    this.host.load.held.held(this);
    if (this.host.observer.hub.wants !== 0) this.host.observer.held(this);
    this.onDrain ??= (error) => {
      if (error === null || error === undefined) this.resume();
    };
    this.socket.write(EMPTY, this.onDrain);
  }

  /** A pending write completed: replies, then the user log, then topics, then input. */
  resume(): void {
    if (this.closed) return;
    this.held = false;
    this.host.load.held.drained(this);
    if (this.host.observer.hub.wants !== 0) this.host.observer.released(this);
    if (this.owedPong !== undefined) {
      const pong = this.owedPong;
      this.owedPong = undefined;
      this.put(pong);
    }
    if (this.owedSeq !== undefined && !this.held) {
      const seq = this.owedSeq;
      this.owedSeq = undefined;
      this.put(encodeHeartbeatReply(this.dialect, this.transport, this.owedVer, seq, this.host.online(this)));
    }
    this.flush();
    if (!this.held) this.log?.resume(this.host.follow, this);
    if (!this.held) this.host.ready(this);
    if (!this.held && this.deaf && !this.busy) this.host.hear(this);
  }

  /** What was given to the socket is with the kernel. */
  private settle(): void {
    const log = this.log;
    if (this.held || this.closed || log === undefined || this.socket.errored !== null) return;
    if (!log.behind) this.lagBytes = 0;
    if (this.drainedTo === log.last) return;
    if (this.host.traces.any) this.host.traces.drained(this);
    this.drainedTo = log.last;
    this.host.drained(this);
  }

  // The end.

  disconnect(reason: string): void {
    this.close(DISCONNECT[reason as DisconnectName] ?? DISCONNECT.internal);
  }

  /** Says why where the dialect can, and closes. What was complete and may be written is written first. */
  close(row: DisconnectRow): void {
    if (this.closed) return;
    this.host.counters.count(`closed_${row.name}`);
    const tells = this.phase !== Phase.NEW || this.ws !== undefined;
    if (tells && !this.held) this.flush();
    if (this.closed) return;
    const { dialect, ws } = this;
    const served = this.phase === Phase.OPEN;
    this.end(row);
    if (this.socket.destroyed) return;
    const native = dialect === 'native' && tells && this.socket.writable;
    if (native && (ws === undefined || ws.readyState === WS_OPEN)) {
      this.socket.write(encodeReply('native', this.transport, NATIVE_VER, Op.DISCONNECT, 0, encodeDisconnect(row)));
    }
    if (ws !== undefined) {
      ws.close(row.code, row.reason);
      // What still comes is ignored, but the other side's own close must be heard.
      if (ws.isPaused) ws.resume();
    } else if (native || served) {
      this.socket.end();
      this.socket.resume();
    } else {
      this.socket.destroy();
      return;
    }
    this.host.linger(this);
  }

  /** The WebSocket layer has said its last word. */
  broken(): void {
    if (this.closed) return;
    this.end();
    this.host.linger(this);
  }

  /** The other side is gone, or going: no word, no count of ours. */
  abort(): void {
    if (!this.closed) this.end();
    this.socket.destroy();
  }

  /** The socket closed by itself. */
  gone(): void {
    if (!this.closed) this.end();
    this.phase = Phase.CLOSED;
  }

  private end(row?: DisconnectRow): void {
    this.closed = true;
    if (this.held) this.host.load.held.drained(this);
    if (this.host.traces.any) this.host.traces.ended(this, row?.name ?? 'gone');
    this.host.release(this, row);
    this.phase = Phase.CLOSED;
    this.parser = undefined;
    this.inbox = undefined;
    this.out = undefined;
    this.pace = undefined;
    this.owedSeq = undefined;
    this.owedPong = undefined;
  }
}
