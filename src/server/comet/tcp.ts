// Accepted sockets, with shared listeners rather than closures. 'data' was measured against a socket rebuilt with `onread`:
// 4.1 against 5.0 KB resident a connection and as much CPU a connect, so 'data' it is.

import type { Socket } from 'node:net';
import type { CometCore } from './core.js';
import { receiveBytes } from './input.js';
import { type ListenerKind, Session } from './session.js';

/** Where a socket keeps its session. */
export const SESSION = Symbol('session');
const SNIFF = Symbol('sniff');

/** Takes the first bytes of a connection; true when somebody else goes on with it. */
export type Sniff = (session: Session, first: Buffer) => boolean;

/** A socket of ours. */
export interface SessionSocket extends Socket {
  [SESSION]?: Session;
  [SNIFF]?: Sniff | undefined;
}

/** Takes an accepted connection whose bytes somebody else reads (HTTP). */
export function serveRaw(core: CometCore, socket: SessionSocket, kind: ListenerKind): Session {
  const session = new Session(core, socket, kind);
  socket[SESSION] = session;
  core.accept(session);
  socket.on('error', onError);
  socket.on('close', onClose);
  return session;
}

/** Takes an accepted TCP connection. `sniff` may hand it on with its first bytes. */
export function serveTcp(core: CometCore, socket: SessionSocket, kind: ListenerKind, sniff?: Sniff): Session {
  const session = serveRaw(core, socket, kind);
  if (sniff !== undefined) socket[SNIFF] = sniff;
  hear(socket);
  return session;
}

function hear(socket: SessionSocket): void {
  socket.on('data', onData);
  // By itself Node closes a socket in the turn in which it reads its end: all that end together in one.
  socket.allowHalfOpen = true;
  socket.on('end', onEnd);
}

/** As it was before `hear`, for whoever goes on with it. */
function unhear(socket: SessionSocket): void {
  socket.removeListener('data', onData);
  socket.allowHalfOpen = false;
  socket.removeListener('end', onEnd);
}

function onData(this: SessionSocket, chunk: Buffer): void {
  const session = this[SESSION];
  if (session === undefined) return;
  const sniff = this[SNIFF];
  if (sniff !== undefined) {
    this[SNIFF] = undefined;
    unhear(this);
    if (sniff(session, chunk)) return;
    hear(this);
  }
  (session.host as CometCore).heard(session, chunk.length);
  receiveBytes(session, chunk);
}

/** The client has hung up. What was written to it still goes out; with nothing to go out there is nothing to shut down first. */
function onEnd(this: SessionSocket): void {
  const session = this[SESSION];
  if (session === undefined) return;
  (session.host as CometCore).endPace.begin(() => {
    if (this.writableLength > 0) this.end();
    else this.destroy();
  });
}

/** 'close' follows; the reason does not matter to anybody. */
function onError(): void {}

function onClose(this: SessionSocket): void {
  const session = this[SESSION];
  if (session !== undefined) (session.host as CometCore).disconnected(session);
}
