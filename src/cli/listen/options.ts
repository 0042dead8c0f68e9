// The flags of `listen` as what it does: which address, which token, from where.

import { ImgoError } from '../../protocol/errors.js';
import { isName, type MessageId, parseId, type RoomId } from '../../protocol/ids.js';
import type { Api } from '../api.js';
import { readToken } from '../secrets.js';
import { clientUrl, isClientUrl } from './address.js';
import type { ListenOptions } from './listen.js';
import { mintToken, type OwnToken } from './token.js';

/** The flags that matter here. */
export interface ListenFlags {
  readonly server?: string | undefined;
  readonly user?: string | undefined;
  readonly 'token-file'?: string | undefined;
  readonly room?: readonly string[] | undefined;
  readonly device?: string | undefined;
  readonly from: string;
  readonly ack: 'auto' | 'none';
  readonly transport?: 'ws' | 'tcp' | undefined;
  readonly dialect: 'native' | 'imgo' | 'goim';
  readonly count?: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly 'no-reconnect': boolean;
}

/** After every id: the server takes its head instead. */
const NEWEST: MessageId = { epoch: 0xffff_ffff, n: Number.MAX_SAFE_INTEGER };

/** @throws ImgoError usage, invalid_id, invalid_room, file_unreadable, and what the server says to making a token */
export async function readListenOptions(flags: ListenFlags, connectApi: () => Promise<Api>): Promise<ListenOptions> {
  const rooms = (flags.room ?? []).map((room) => {
    if (!isName(room)) throw new ImgoError('invalid_room');
    return room as RoomId;
  });
  const from = readFrom(flags);
  const url = clientUrl(flags.server, flags.transport);
  const common = {
    url,
    user: flags.user,
    rooms,
    from,
    ack: flags.ack,
    dialect: flags.dialect,
    reconnect: !flags['no-reconnect'],
    count: flags.count,
    timeoutMs: flags.timeoutMs,
  };
  const { user } = flags;
  if (user === undefined) {
    const token = readToken(flags['token-file'], 'listen');
    return { ...common, device: flags.device, token: async () => token, renewable: false, tidy: async () => {} };
  }
  if (isClientUrl(flags.server)) {
    throw new ImgoError('usage', {
      detail: '--user needs the HTTP address: give that, or a token.',
      command: 'listen',
    });
  }
  // The token carries the device: a token's device belongs to the user, not to this one token.
  const own = ownTokens(await connectApi(), user, flags.device, rooms);
  // Now, so that a server that is not there, or a key that may not, ends the command instead of being tried again.
  await own.token();
  return { ...common, device: undefined, ...own, renewable: true };
}

/** One token at a time: made when first needed, another when that one may have ended, all revoked at the end. */
function ownTokens(
  api: Api,
  user: string,
  device: string | undefined,
  rooms: readonly string[],
): Pick<ListenOptions, 'token' | 'tidy'> {
  const made: OwnToken[] = [];
  let renewAt = 0;
  return {
    async token() {
      const last = made.at(-1);
      if (last !== undefined && performance.now() < renewAt) return last.token;
      const fresh = await mintToken(api, user, { ...(device && { device }), ...(rooms.length > 0 && { rooms }) });
      renewAt = performance.now() + RENEW_AFTER_MS;
      made.push(fresh);
      return fresh.token;
    },
    async tidy() {
      await Promise.all(made.slice(-2).map((one) => one.revoke()));
    },
  };
}

/** Tokens live an hour. */
const RENEW_AFTER_MS = 55 * 60_000;

function readFrom({ from, dialect }: ListenFlags): MessageId | undefined {
  if (from === 'kept') return undefined;
  const id = from === 'new' ? NEWEST : parseId(from);
  if (id === undefined) throw new ImgoError('invalid_id', { value: from });
  if (dialect !== 'native') {
    throw new ImgoError('usage', {
      detail: '--from is for native clients: others have no position.',
      command: 'listen',
    });
  }
  return id;
}
