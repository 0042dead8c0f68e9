// Every reason to end a connection: one table, each row with the policy that decides whether and when a client returns.
// Native clients read it as op 262; WebSocket close codes are the same numbers; legacy clients on TCP see the socket close.
// 4000-4099: come back with the same token. 4100-4199: do not, until something has changed.

import type { FrameFault } from './frame.js';

/** When a client should be back: after a random time between the two, or not at all. */
export type Reconnect = { readonly minMs: number; readonly maxMs: number } | false;

/** A row of the table. */
export interface DisconnectRow {
  /** 4000-4999; also the WebSocket close code. */
  readonly code: number;
  readonly name: string;
  /** What the client is told: at most 123 bytes, so that it fits a WebSocket close frame. */
  readonly reason: string;
  readonly reconnect: Reconnect;
}

function row<N extends string>(code: number, name: N, reconnect: Reconnect, reason: string) {
  return { code, name, reason, reconnect };
}

function within(minMs: number, maxMs: number): Reconnect {
  return { minMs, maxMs };
}

/** The table, by name. */
export const DISCONNECT = {
  shutdown: row(4000, 'shutdown', within(1_000, 10_000), 'the server is going away'),
  drain: row(4001, 'drain', within(1_000, 30_000), 'this node is being emptied'),
  internal: row(4002, 'internal', within(1_000, 30_000), 'the server failed on its side'),
  fenced: row(4003, 'fenced', within(500, 5_000), 'this node lost its place in the cluster'),
  idle_timeout: row(4004, 'idle_timeout', within(0, 2_000), 'nothing was heard for the idle limit'),
  handshake_timeout: row(4005, 'handshake_timeout', within(1_000, 15_000), 'no authentication within the deadline'),
  lag_exceeded: row(4006, 'lag_exceeded', within(500, 5_000), 'the connection reads too slowly'),
  rate_limited: row(4007, 'rate_limited', within(5_000, 60_000), 'too many messages from this client'),
  fd_limit: row(4008, 'fd_limit', within(5_000, 60_000), 'the server has no room for more connections'),
  unavailable: row(4009, 'unavailable', within(1_000, 30_000), 'the session could not be opened now'),
  token_refused: row(4100, 'token_refused', false, 'the token was refused'),
  token_expired: row(4101, 'token_expired', false, 'the token has expired'),
  token_revoked: row(4102, 'token_revoked', false, 'the token was revoked'),
  kicked: row(4103, 'kicked', false, 'closed by an administrator'),
  replaced: row(4104, 'replaced', false, 'a newer session of this device took over'),
  too_many_sessions: row(4105, 'too_many_sessions', false, 'the user has too many sessions'),
  protocol_error: row(4106, 'protocol_error', false, 'the protocol was broken'),
  frame_too_large: row(4107, 'frame_too_large', false, 'a frame is larger than the limit'),
  origin_refused: row(4108, 'origin_refused', false, 'this origin may not connect'),
  dialect_mismatch: row(4109, 'dialect_mismatch', false, 'the authentication does not fit the connection'),
} as const satisfies Record<string, DisconnectRow>;

/** A row's name. */
export type DisconnectName = keyof typeof DISCONNECT;

const byCode: ReadonlyMap<number, DisconnectRow> = new Map(
  Object.values(DISCONNECT).map((entry): [number, DisconnectRow] => [entry.code, entry]),
);

/** The row of a code, or undefined for a code that a newer server may have. */
export function disconnectByCode(code: number): DisconnectRow | undefined {
  return byCode.get(code);
}

/** Why a connection is closed that sent these bytes. */
export function disconnectForFault(fault: FrameFault): DisconnectRow {
  if (fault === 'frame_too_large') return DISCONNECT.frame_too_large;
  if (fault === 'dialect_mismatch') return DISCONNECT.dialect_mismatch;
  return DISCONNECT.protocol_error;
}
