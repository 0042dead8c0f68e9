// From a socket's bytes, or a WebSocket's messages, to the frames of one session. While the session is deaf its bytes
// wait: bounded, because the socket is paused as soon as something waits.

import { FRESH_FRAME_STATE, type FrameState, readFrames, readMessage, resumeFrames } from '../../protocol/reader.js';
import type { Session } from './session.js';

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

/** One whole WebSocket message. */
export function receiveMessage(session: Session, data: Buffer, binary: boolean): void {
  if (session.closed) return;
  if (session.deaf) {
    session.inbox ??= [];
    session.inbox.push({ data, binary, from: 0 });
    session.ws?.pause();
    return;
  }
  const from = read(session, data, binary, 0);
  if (from >= 0 && from < data.length && binary) {
    session.inbox = [{ data, binary, from }];
    session.ws?.pause();
  }
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
    const [message] = session.inbox;
    if (message === undefined) {
      session.inbox = undefined;
      break;
    }
    const { data, binary } = message;
    const from = read(session, data, binary, message.from);
    if (from < 0) return;
    if (binary && from < data.length) message.from = from;
    else session.inbox?.shift();
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
