// Whom a push is for, as flags say it; and as the requests that it takes: users by the thousand in one, a room in one.

import { ImgoError } from '../../protocol/errors.js';
import { isName } from '../../protocol/ids.js';
import { isLoopback } from '../../server/config.js';
import { readAll } from './message.js';

/** A target, with one kind of receiver. */
export type PushTarget =
  | { readonly kind: 'users'; readonly users: readonly string[] }
  | { readonly kind: 'rooms'; readonly rooms: readonly string[] }
  | { readonly kind: 'all' };

/** The flags that name a target. */
export interface TargetFlags {
  readonly user?: readonly string[] | undefined;
  readonly 'users-file'?: string | undefined;
  readonly room?: readonly string[] | undefined;
  readonly all?: boolean | undefined;
}

const MAX_FILE_BYTES = 256 * 2 ** 20;
/** Of one request; the server's limits are 10,000 users and 1 MiB. */
const USERS_A_REQUEST = 10_000;
const BYTES_A_REQUEST = 960 * 2 ** 10;

/** @throws ImgoError invalid_target, invalid_user, invalid_room, file_unreadable */
export async function readTarget(flags: TargetFlags): Promise<PushTarget> {
  const file = flags['users-file'];
  const byUser = flags.user !== undefined || file !== undefined;
  if ([byUser, flags.room !== undefined, flags.all === true].filter(Boolean).length !== 1) {
    throw new ImgoError('invalid_target');
  }
  if (flags.all === true) return { kind: 'all' };
  if (flags.room !== undefined) return { kind: 'rooms', rooms: checked(flags.room, 'invalid_room') };
  const lines = file === undefined ? [] : (await readAll(file, MAX_FILE_BYTES)).toString('utf8').split(/\r?\n/);
  const users = [...(flags.user ?? []), ...lines.filter((line) => line !== '')];
  if (users.length === 0) throw new ImgoError('invalid_target');
  return { kind: 'users', users: checked(users, 'invalid_user') };
}

function checked(names: readonly string[], code: 'invalid_user' | 'invalid_room'): readonly string[] {
  const unique = new Set<string>();
  for (const [at, name] of names.entries()) {
    if (!isName(name)) throw new ImgoError(code, { detail: `number ${at + 1} of those given` });
    unique.add(name);
  }
  return [...unique];
}

/** The requests' `to`, as JSON, each with how many receivers it names. `messageBytes`: what else each carries. */
export function* requestTargets(target: PushTarget, messageBytes: number): Generator<{ readonly to: string }> {
  if (target.kind === 'all') yield { to: '{"all":true}' };
  else if (target.kind === 'rooms') for (const room of target.rooms) yield { to: JSON.stringify({ room }) };
  else if (target.users.length === 1) yield { to: JSON.stringify({ user: target.users[0] }) };
  else {
    let names: string[] = [];
    let bytes = messageBytes;
    for (const user of target.users) {
      const name = JSON.stringify(user);
      const size = Buffer.byteLength(name) + 1;
      if (names.length > 0 && (names.length === USERS_A_REQUEST || bytes + size > BYTES_A_REQUEST)) {
        yield { to: `{"users":[${names.join(',')}]}` };
        names = [];
        bytes = messageBytes;
      }
      names.push(name);
      bytes += size;
    }
    yield { to: `{"users":[${names.join(',')}]}` };
  }
}

/** A push to everybody of a server that is not on this machine needs a second word. @throws ImgoError usage */
export function confirmAll(target: PushTarget, url: string, yes: boolean): void {
  const { hostname } = new URL(url);
  if (target.kind !== 'all' || yes || isLoopback(hostname)) return;
  throw new ImgoError('usage', { detail: `--all reaches every client of ${hostname}: add --yes.`, command: 'push' });
}
