// What an AUTH says, whatever the dialect: parsed once into one shape. Nothing in it is proven yet.

import type { AuthContext, Dialect } from '../../protocol/dialect.js';
import { detectDialect } from '../../protocol/dialect.js';
import type { FrameFault } from '../../protocol/frame.js';
import { parseGoimAuth } from '../../protocol/goim.js';
import type { DeviceId, MessageId, RoomId } from '../../protocol/ids.js';
import { parseNativeAuth, type StartAt } from '../../protocol/native-json.js';
import { decodeText } from '../../protocol/text.js';
import type { Credential } from '../rpc/services.js';

/** An AUTH of any dialect. */
export interface Auth {
  readonly dialect: Dialect;
  readonly ver: number;
  readonly seq: number;
  readonly credential: Credential;
  readonly device: DeviceId | undefined;
  readonly cursor: MessageId | undefined;
  /** undefined: none were named. */
  readonly rooms: readonly RoomId[] | undefined;
  /** Rooms to read from a position on, rather than from the head. */
  readonly since: ReadonlyMap<RoomId, StartAt> | undefined;
  readonly all: StartAt;
  readonly accepts: readonly number[] | undefined;
}

/** The answer for credentials that no token can be: refused like an unknown token, without asking anybody. */
export type AuthRefusal = 'token_refused';

/**
 * Reads an AUTH frame. `makeKey` makes up the key that a goim client left empty. A JSON text message of imgo's WebSocket
 * is read by `parseTextAuth`.
 */
export function parseAuth(context: AuthContext, seq: number, makeKey: () => string): Auth | FrameFault | AuthRefusal {
  const dialect = detectDialect(context);
  const { ver, body } = context;
  switch (dialect) {
    case 'dialect_mismatch':
      return dialect;
    case 'native': {
      const auth = parseNativeAuth(body);
      if (typeof auth === 'string') return auth;
      const { token, device, cursor, rooms, all } = auth;
      const credential: Credential = { kind: 'token', token };
      const names = rooms === undefined ? undefined : [...rooms.keys()];
      return { dialect, ver, seq, credential, device, cursor, rooms: names, since: rooms, all, accepts: undefined };
    }
    case 'goim2': {
      const auth = parseGoimAuth(body);
      if (typeof auth === 'string') return auth;
      const key = auth.key === '' ? makeKey() : auth.key;
      if (!context.goimListener && auth.token === undefined) return 'token_refused';
      const credential: Credential =
        context.goimListener || auth.token === undefined
          ? { kind: 'stated', user: auth.mid, key }
          : { kind: 'token', token: auth.token, mid: auth.mid ?? '0', key };
      return {
        ...legacy(dialect, ver, seq, credential),
        rooms: auth.room === undefined ? [] : [auth.room],
        accepts: auth.accepts,
      };
    }
    default: {
      const token = decodeText(body);
      if (token === undefined) return 'bad_utf8';
      if (token === '') return 'token_refused';
      return legacy(dialect, ver, seq, { kind: 'token', token });
    }
  }
}

/** The AUTH of imgo's JSON: its body is the token, a string (or a number that stands for its digits). */
export function parseTextAuth(ver: number, seq: number, body: unknown): Auth | FrameFault | AuthRefusal {
  const dialect = detectDialect({
    carrier: 'text',
    subprotocol: false,
    goimListener: false,
    ver,
    body: new Uint8Array(0),
  });
  if (dialect === 'dialect_mismatch') return dialect;
  const token = typeof body === 'number' && Number.isSafeInteger(body) ? String(body) : body;
  if (typeof token !== 'string') return 'bad_field';
  if (token === '') return 'token_refused';
  return legacy(dialect, ver, seq, { kind: 'token', token });
}

function legacy(dialect: Dialect, ver: number, seq: number, credential: Credential): Auth {
  return {
    dialect,
    ver,
    seq,
    credential,
    device: undefined,
    cursor: undefined,
    rooms: undefined,
    since: undefined,
    all: undefined,
    accepts: undefined,
  };
}
