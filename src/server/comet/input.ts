// From a socket's bytes, or a WebSocket's messages, to the frames of one session. While the session is deaf its bytes
// wait: bounded, because the socket is paused as soon as something waits.

import { DISCONNECT } from '../../protocol/disconnect.js';
import { FRESH_FRAME_STATE, type FrameState, readFrames, readMessage, resumeFrames } from '../../protocol/reader.js';
import type { Session } from './session.js';

/** What may wait beside one message of any size, and what a waiting message costs beside its bytes. */
const INBOX_BYTES = 64 * 1_024;
const MESSAGE_OVERHEAD = 128;

const OPEN = 0;
const PAUSED = 1;

/** The parser's state of all sessions that hold no incomplete frame, in turn. */
let spare: FrameState = { ...FRESH_FRAME_STATE };

/** Bytes of a TCP connection. `chunk` is valid during the call only. */
export function receiveBytes(session: Session, chunk: Uint8Array): void {
  if (session.closed) return;
  const own = session.parser;
  const state = own ?? spare;
  readFrames(state, session.host.frameLimits, chunk, session);
  settle(session, state);
}

/** One whole WebSocket message. `ws` gives all messages of the bytes at hand, also after a pause. */
export function receiveMessage(session: Session, data: Buffer, binary: boolean): void {
  if (session.closed) return;
  if (session.deaf) {
    wait(session, data, binary, 0);
    return;
  }
  const from = read(session, data, binary, 0);
  if (from >= 0 && from < data.length && binary) wait(session, data, binary, from);
}

/** The message waits; a client that sent more than may wait is not one of those who send as often as they may. */
function wait(session: Session, data: Buffer, binary: boolean, from: number): void {
  session.inbox ??= { messages: [], bytes: 0 };
  const { inbox } = session;
  inbox.messages.push({ data, binary, from });
  inbox.bytes += data.length + MESSAGE_OVERHEAD;
  if (inbox.bytes > session.host.options.limits.frameBytes + INBOX_BYTES) session.close(DISCONNECT.rate_limited);
  else session.ws?.pause();
}

/** The session may be heard again: what waited is handled first. */
export function hearAgain(session: Session): void {
  if (session.closed || session.busy || session.held) return;
  session.deaf = false;
  if (session.ws === undefined) {
    const state = session.parser;
    if (state !== undefined && state.mode === PAUSED) {
      resumeFrames(state, session.host.frameLimits, session);
      settle(session, state);
    }
    if (!session.deaf && session.socket.isPaused()) session.socket.resume();
    return;
  }
  while (session.inbox !== undefined && !session.deaf && !session.closed) {
    const [message] = session.inbox.messages;
    if (message === undefined) {
      session.inbox = undefined;
      break;
    }
    const { data, binary } = message;
    const from = read(session, data, binary, message.from);
    if (from < 0) return;
    if (binary && from < data.length) message.from = from;
    else {
      session.inbox.messages.shift();
      session.inbox.bytes -= data.length + MESSAGE_OVERHEAD;
    }
  }
  if (!session.deaf && !session.closed && session.ws.isPaused) session.ws.resume();
}

/** Offset up to which the message was handled; -1 when the session is closed. */
function read(session: Session, data: Buffer, binary: boolean, from: number): number {
  if (binary) return readMessage(data, session.host.frameLimits, session, from);
  session.host.text(session, data);
  return session.closed ? -1 : data.length;
}

/** The state stays with the session only while it holds something. */
function settle(session: Session, state: FrameState): void {
  if (session.closed) {
    session.parser = undefined;
    if (state === spare) spare = { ...FRESH_FRAME_STATE };
    return;
  }
  if (state.mode === OPEN && state.held === 0) {
    session.parser = undefined;
    return;
  }
  if (state === spare) spare = { ...FRESH_FRAME_STATE };
  session.parser = state;
  if (state.mode === PAUSED && state.held > 0) session.socket.pause();
}
