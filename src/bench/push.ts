/** Pushing through the server's own HTTP API: imgo's `/v1`, or those of the originals, whose answers tell no place in the log. */

import { type MessageId, parseId } from '../protocol/ids.js';
import { type Aim, roomName, userName } from './aims.js';
import type { HttpAnswer, HttpCaller } from './http-caller.js';
import type { BenchDialect } from './options.js';
import { GOIM_OPERATION } from './wire/wire.js';

/** What became of a push. `unknown`: no answer, or one that does not tell. */
export type PushOutcome =
  | { readonly kind: 'accepted'; readonly id: MessageId | undefined }
  | { readonly kind: 'refused' | 'unknown'; readonly reason: string };

/** An API to push through. */
export interface PushApi {
  /** Answers tell the place in the log. */
  readonly tellsPlace: boolean;
  /** A request that pushes this text there: for who sends it in their own way. */
  request(aim: Aim, text: string): { readonly path: string; readonly body: string };
  push(aim: Aim, text: string): Promise<PushOutcome>;
}

/** Which API, and how users and rooms are called there. */
export interface PushNames {
  readonly dialect: BenchDialect;
  readonly native: boolean;
  readonly userBase: number;
}

export function pushApi(http: HttpCaller, names: PushNames): PushApi {
  const { request, read } = names.native ? imgoV1(names) : names.dialect === 'goim' ? goim(names) : imgo(names);
  return {
    tellsPlace: names.native,
    request,
    push: async (aim, text) => {
      const { path, body } = request(aim, text);
      try {
        return read(await http.call('POST', path, body));
      } catch (error) {
        const { code = 'no answer' } = error as NodeJS.ErrnoException;
        // Nobody listens: nothing was sent.
        return { kind: code === 'ECONNREFUSED' ? 'refused' : 'unknown', reason: code };
      }
    },
  };
}

interface Api {
  readonly request: PushApi['request'];
  readonly read: (answer: HttpAnswer) => PushOutcome;
}

function imgoV1({ dialect, userBase }: PushNames): Api {
  const to = (aim: Aim) => {
    if (aim.kind === 'all') return '{"all":true}';
    if (aim.kind === 'user') return `{"user":"${userName(userBase, aim.index)}"}`;
    return `{"room":"${roomName(dialect, aim.index)}"}`;
  };
  return {
    request: (aim, text) => ({ path: '/v1/push', body: `{"to":${to(aim)},"message":${text}}` }),
    read: ({ status, json }) => {
      if (status === 200) {
        const id = parseId(String(json['id']));
        return id === undefined ? { kind: 'unknown', reason: 'no id' } : { kind: 'accepted', id };
      }
      const reason = typeof json['code'] === 'string' ? json['code'] : `HTTP ${status}`;
      return { kind: reason === 'outcome_unknown' || reason === 'internal' ? 'unknown' : 'refused', reason };
    },
  };
}

/** imgo's own: `ret` 1 is success, 65534 and 65533 refuse, all else may have happened. */
function imgo({ userBase }: PushNames): Api {
  return {
    request: (aim, text) => {
      if (aim.kind === 'all') return { path: '/1/push/all', body: text };
      if (aim.kind === 'user') return { path: `/1/push?uid=${userName(userBase, aim.index)}`, body: text };
      return { path: `/1/push/room?rid=${roomName('imgo', aim.index)}`, body: text };
    },
    read: ({ status, json }) => told(status, 'ret', json['ret'], 1, [65_534, 65_533]),
  };
}

/** goim's own: `code` 0 is success, -400 refuses. */
function goim({ userBase }: PushNames): Api {
  const operation = `operation=${GOIM_OPERATION}`;
  return {
    request: (aim, text) => {
      if (aim.kind === 'all') return { path: `/goim/push/all?${operation}&speed=0`, body: text };
      if (aim.kind === 'user') {
        return { path: `/goim/push/mids?${operation}&mids=${userName(userBase, aim.index)}`, body: text };
      }
      const [type, room] = roomName('goim', aim.index).split('://');
      return { path: `/goim/push/room?${operation}&type=${type}&room=${room}`, body: text };
    },
    read: ({ status, json }) => told(status, 'code', json['code'], 0, [-400]),
  };
}

function told(status: number, name: string, code: unknown, good: number, refusals: readonly number[]): PushOutcome {
  if (status === 200 && code === good) return { kind: 'accepted', id: undefined };
  const reason = status === 200 ? `${name} ${String(code)}` : `HTTP ${status}`;
  const refused = status === 200 ? refusals.includes(Number(code)) : status < 500;
  return { kind: refused ? 'refused' : 'unknown', reason };
}
