// What clients may ask, dialect by dialect. One request at a time per session: while logic is asked, or a write is
// pending, its input waits. An unknown operation breaks the native protocol; from legacy clients it is ignored and
// counted, as the servers they were written for do.

import { DISCONNECT, disconnectForFault } from '../../protocol/disconnect.js';
import { ImgoError } from '../../protocol/errors.js';
import { type FrameFault, Op } from '../../protocol/frame.js';
import { parseOperations, parseRoomBody } from '../../protocol/goim.js';
import { ALL_LOG, compareIds, type LogName, maxId, type RoomId, roomLog, ZERO_ID } from '../../protocol/ids.js';
import { parseClientJson } from '../../protocol/imgo-json.js';
import { decodeAck, NATIVE_SUBPROTOCOL, NATIVE_VER } from '../../protocol/native.js';
import {
  encodeJoinReply,
  encodeLeaveReply,
  encodePresenceReply,
  parseJoin,
  parseRoomRequest,
  type RoomState,
  type StartAt,
} from '../../protocol/native-json.js';
import { type FrameVerdict, Verdict } from '../../protocol/reader.js';
import { encodeText } from '../../protocol/text.js';
import { type Auth, type AuthRefusal, parseAuth, parseTextAuth } from './auth.js';
import type { CometCore } from './core.js';
import { openSession } from './handshake.js';
import { hearAgain } from './input.js';
import { takeInbound } from './limits.js';
import type { JoinedTopic } from './outlet.js';
import { Phase, type Session } from './session.js';

const TEST_ANSWER = encodeText('{"test":"come on"}');
const NO_BYTES = new Uint8Array(0);

/** A frame, binary or on TCP: the body is buf[bodyAt, end). The verdict tells the parser whether to go on. */
export function handleFrame(
  core: CometCore,
  session: Session,
  buf: Uint8Array,
  bodyAt: number,
  end: number,
  op: number,
  seq: number,
  ver: number,
): FrameVerdict {
  if (session.closed) return Verdict.STOP;
  core.counters.framesIn++;
  if (session.aside !== 0) core.observer.tap.received(session, op, seq, ver, buf, bodyAt, end);
  if (session.phase === Phase.NEW) {
    const carrier = session.ws === undefined ? 'tcp' : 'binary';
    const subprotocol = session.ws?.protocol === NATIVE_SUBPROTOCOL;
    const body = buf.slice(bodyAt, end);
    if (op !== Op.AUTH) session.close(DISCONNECT.protocol_error);
    else {
      const context = { carrier, subprotocol, goimListener: session.listener === 'goim', ver, body } as const;
      authenticate(
        core,
        session,
        parseAuth(context, seq, () => makeKey(core)),
      );
    }
  } else if (session.dialect === 'imgo' && session.ws !== undefined) session.close(DISCONNECT.dialect_mismatch);
  else request(core, session, op, seq, ver, buf, bodyAt, end);
  return verdict(session);
}

/** A text message: imgo's JSON. */
export function handleText(core: CometCore, session: Session, message: Buffer): void {
  if (session.closed) return;
  core.counters.framesIn++;
  const frame = session.listener === 'goim' ? 'dialect_mismatch' : parseClientJson(message);
  if (typeof frame === 'string') {
    session.fault(frame);
    return;
  }
  if (session.aside !== 0) core.observer.tap.receivedText(session, frame.op, frame.seq, frame.ver, message.length);
  if (session.phase === Phase.NEW) {
    if (frame.op !== Op.AUTH) session.close(DISCONNECT.protocol_error);
    else if (session.ws?.protocol === NATIVE_SUBPROTOCOL) session.fault('dialect_mismatch');
    else authenticate(core, session, parseTextAuth(frame.ver, frame.seq, frame.body));
  } else if (session.dialect !== 'imgo') session.close(DISCONNECT.dialect_mismatch);
  else request(core, session, frame.op, frame.seq, frame.ver, NO_BYTES, 0, 0);
  if (verdict(session) === Verdict.PAUSE) session.deaf = true;
}

/** After a frame: stop when closed; wait while logic is asked, or when its answer waits behind a pending write. */
function verdict(session: Session): FrameVerdict {
  if (session.closed) return Verdict.STOP;
  if (!session.busy && !(session.held && session.out !== undefined)) return Verdict.MORE;
  session.deaf = true;
  return Verdict.PAUSE;
}

function authenticate(core: CometCore, session: Session, auth: Auth | FrameFault | AuthRefusal): void {
  if (auth === 'token_refused') session.close(DISCONNECT.token_refused);
  else if (typeof auth === 'string') session.fault(auth);
  else openSession(core, session, auth);
}

/** goim: a connection that names no key gets one. */
function makeKey(core: CometCore): string {
  return Buffer.from(core.clock.randomBytes(16)).toString('hex');
}

function request(
  core: CometCore,
  session: Session,
  op: number,
  seq: number,
  ver: number,
  buf: Uint8Array,
  start: number,
  end: number,
): void {
  const native = session.dialect === 'native';
  const acknowledges = native && op === Op.ACK;
  if (!takeInbound(session, core.clock.monotonic(), core.options.limits.inboundPerSecond, acknowledges)) {
    session.close(DISCONNECT.rate_limited);
    return;
  }
  if (core.options.delivery.legacyAck === 'heartbeat' && !native && session.taken !== session.drainedTo) {
    if (core.traces.any) core.traces.acknowledged(session, session.drainedTo, 'heartbeat');
    session.taken = session.drainedTo;
    core.progress.taken(session);
  }
  if (op === Op.HEARTBEAT) session.heartbeat(seq, ver);
  else if (op === Op.AUTH) session.close(DISCONNECT.protocol_error);
  else if (native) nativeRequest(core, session, op, seq, buf, start, end);
  else if (session.dialect === 'goim2') goimRequest(core, session, op, seq, ver, buf.slice(start, end));
  else if (op === Op.TEST) session.reply(Op.TEST_REPLY, seq, TEST_ANSWER, ver);
  else core.counters.count('ignored_op');
}

function nativeRequest(
  core: CometCore,
  session: Session,
  op: number,
  seq: number,
  buf: Uint8Array,
  start: number,
  end: number,
): void {
  switch (op) {
    case Op.ACK:
      acknowledge(core, session, buf, start, end);
      return;
    case Op.JOIN: {
      const asked = parseJoin(buf.slice(start, end));
      if (typeof asked === 'string') session.fault(asked);
      else later(session, () => join(core, session, seq, asked.room, asked.since));
      return;
    }
    case Op.LEAVE: {
      const asked = parseRoomRequest(buf.slice(start, end));
      if (typeof asked === 'string') session.fault(asked);
      else {
        leave(core, session, asked.room);
        session.reply(Op.LEAVE_REPLY, seq, encodeLeaveReply(asked.room));
      }
      return;
    }
    case Op.PRESENCE: {
      const asked = parseRoomRequest(buf.slice(start, end));
      if (typeof asked === 'string') session.fault(asked);
      else later(session, () => presence(core, session, seq, asked.room));
      return;
    }
    default:
      session.fault('bad_field');
  }
}

/** Cumulative. What was never sent cannot be acknowledged: such an ACK is refused, and counted. */
function acknowledge(core: CometCore, session: Session, buf: Uint8Array, start: number, end: number): void {
  const id = decodeAck(buf, start, end);
  if (typeof id === 'string') {
    session.fault(id);
    return;
  }
  core.counters.acks++;
  const { log } = session;
  if (log === undefined) return;
  if (compareIds(id, maxId(session.sentBefore, log.last)) > 0) {
    core.counters.count('refused_ack');
    return;
  }
  if (compareIds(id, session.taken) <= 0) return;
  if (core.traces.any) core.traces.acknowledged(session, id, 'client');
  session.taken = id;
  core.progress.taken(session);
}

/** A request that asks logic: the session's input waits until it is answered. */
function later(session: Session, ask: () => Promise<void>): void {
  session.busy = true;
  ask()
    .catch(() => {
      if (!session.closed) session.close(DISCONNECT.unavailable);
    })
    .finally(() => {
      session.busy = false;
      hearAgain(session);
    });
}

function codeOf(error: unknown): string {
  return error instanceof ImgoError ? error.code : 'internal';
}

function joined(session: Session, room: RoomId): JoinedTopic | undefined {
  const log = roomLog(room);
  return session.topics.find((topic) => topic.log === log);
}

function roomCount(session: Session): number {
  let count = 0;
  for (const topic of session.topics) if (topic.log !== ALL_LOG) count++;
  return count;
}

async function join(core: CometCore, session: Session, seq: number, room: RoomId, since: StartAt): Promise<void> {
  const answer = (state: RoomState) => session.reply(Op.JOIN_REPLY, seq, encodeJoinReply(room, state), NATIVE_VER);
  const already = joined(session, room);
  if (already !== undefined) {
    answer({ head: core.topics.get(already.log)?.head ?? ZERO_ID, recovered: since === undefined });
    return;
  }
  if (session.handle === undefined) return;
  if (roomCount(session) >= core.options.limits.roomsPerSession) {
    answer({ error: 'too_many_rooms' });
    return;
  }
  const log = roomLog(room);
  try {
    await core.logic.authorizeJoin(session.handle, room);
  } catch (error) {
    core.counters.count('refused_join');
    answer({ error: codeOf(error) });
    return;
  }
  try {
    const topic = await core.topics.acquire(log);
    if (session.closed) return;
    core.counters.joins++;
    if (since === undefined) {
      answer({ head: topic.head, recovered: true });
      if (session.closed) return;
      topic.join(session);
      tellJoined(core, session, log);
      return;
    }
    const state = await topic.joinAfter(session, since);
    if (state === undefined) return;
    tellJoined(core, session, log);
    answer(state);
  } catch (error) {
    answer({ error: codeOf(error) });
  } finally {
    core.topics.release(log);
  }
}

function leave(core: CometCore, session: Session, room: RoomId): void {
  const topic = joined(session, room);
  if (topic !== undefined) leaveTopic(core, session, topic);
}

function leaveTopic(core: CometCore, session: Session, topic: JoinedTopic): void {
  core.topics.leave(topic, session);
  if (core.observer.hub.wants !== 0) core.observer.left(session, topic.log);
}

function tellJoined(core: CometCore, session: Session, log: LogName): void {
  if (core.observer.hub.wants !== 0) core.observer.joined(session, log);
}

async function presence(core: CometCore, session: Session, seq: number, room: RoomId): Promise<void> {
  try {
    if (joined(session, room) === undefined && session.handle !== undefined) {
      await core.logic.authorizeJoin(session.handle, room);
    }
    const count = await core.logic.presence(room);
    session.reply(Op.PRESENCE_REPLY, seq, encodePresenceReply({ count }));
  } catch (error) {
    session.reply(Op.PRESENCE_REPLY, seq, encodePresenceReply({ error: codeOf(error) }));
  }
}

function goimRequest(core: CometCore, session: Session, op: number, seq: number, ver: number, body: Uint8Array): void {
  switch (op) {
    case Op.CHANGE_ROOM: {
      const room = parseRoomBody(body);
      if (room === undefined) session.fault('bad_field');
      else later(session, () => changeRoom(core, session, seq, ver, room));
      return;
    }
    case Op.SUBSCRIBE:
    case Op.UNSUBSCRIBE: {
      const operations = parseOperations(body);
      if (operations === undefined) session.fault('bad_field');
      else subscribe(core, session, op, seq, ver, operations, body);
      return;
    }
    default:
      core.counters.count('ignored_op');
  }
}

/** The answer names the room that the session is in from now on: the old one when the new one was refused. */
async function changeRoom(
  core: CometCore,
  session: Session,
  seq: number,
  ver: number,
  room: RoomId | null,
): Promise<void> {
  const old = session.topics.find((topic) => topic.log !== ALL_LOG);
  const answer = (log: string | undefined) =>
    session.reply(Op.CHANGE_ROOM_REPLY, seq, encodeText(log?.slice('room:'.length) ?? ''), ver);
  if (room === null || old?.log === roomLog(room)) {
    if (room === null && old !== undefined) leaveTopic(core, session, old);
    answer(room === null ? undefined : old?.log);
    return;
  }
  if (session.handle === undefined) return;
  const log = roomLog(room);
  try {
    await core.logic.authorizeJoin(session.handle, room);
  } catch {
    core.counters.count('refused_join');
    answer(old?.log);
    return;
  }
  try {
    const topic = await core.topics.acquire(log);
    if (session.closed) return;
    if (old !== undefined) leaveTopic(core, session, old);
    answer(log);
    if (session.closed) return;
    topic.join(session);
    tellJoined(core, session, log);
    core.counters.joins++;
  } finally {
    core.topics.release(log);
  }
}

/** Operations a goim session may name; beyond it a request breaks the protocol. */
const ACCEPTS_MAX = 1_000;

function subscribe(
  core: CometCore,
  session: Session,
  op: number,
  seq: number,
  ver: number,
  operations: readonly number[],
  body: Uint8Array,
): void {
  const accepts = new Set(session.accepts);
  for (const operation of operations) {
    if (op === Op.SUBSCRIBE) accepts.add(operation);
    else accepts.delete(operation);
  }
  if (accepts.size > ACCEPTS_MAX) {
    session.close(disconnectForFault('bad_field'));
    return;
  }
  session.accepts = core.accepts.of([...accepts]);
  core.topics.get(ALL_LOG)?.reaccept(session);
  session.reply(op === Op.SUBSCRIBE ? Op.SUBSCRIBE_REPLY : Op.UNSUBSCRIBE_REPLY, seq, body, ver);
}
