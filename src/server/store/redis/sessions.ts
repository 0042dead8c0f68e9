// Live sessions in Redis: a user's are one value in the user's bucket, and each bucket has an index of its own in the order
// of ids. So nothing crosses buckets, and no crash leaves half of a registration; what is asked of all sessions is asked of
// every bucket and merged here.

import type { NodeId, SessionId, UserId } from '../../../protocol/ids.js';
import {
  BUCKETS,
  type Buckets,
  type RegisterOptions,
  type RegisterResult,
  type SessionRecord,
  type SessionState,
} from '../buckets.js';
import { packSession, sessionOf, statesOf } from './codec.js';
import type { Counts, StoreContext } from './context.js';
import { Packer, unpack } from './pack.js';
import { DROP, DROP_BEGIN, REGISTER, UNREGISTER } from './session-scripts.js';

type Page = Parameters<Buckets['sessions']>[0];
type PackedSession = Parameters<typeof sessionOf>[0];

/** Buckets that dropping a comet works on at a time: others are answered in between. */
const DROP_AT_ONCE = 32;
/** How many are looked at a step where most of them do not belong to the page. */
const SIFTED = 1_000;
/** Above every byte of UTF-8. */
const ABOVE_ALL = Buffer.of(0xff);

/** A session as an index has it. */
interface Indexed {
  readonly session: SessionId;
  readonly user: UserId | undefined;
  readonly comet: string;
}

/** How far one bucket's index has been read. */
interface Shelf {
  readonly bucket: number;
  /** As ZRANGEBYLEX takes it. */
  from: Buffer;
  found: Indexed[];
  /** Whether there may be more behind `found`. */
  more: boolean;
}

export class RedisSessions {
  readonly #context: StoreContext;
  readonly #packer = new Packer();

  constructor(context: StoreContext) {
    this.#context = context;
  }

  async register(record: SessionRecord, options: RegisterOptions): Promise<RegisterResult> {
    const args = [record.user ?? '', packSession(this.#packer, record), options.cap];
    const reject = options.onTooMany === 'reject' ? 1 : 0;
    const answer = await this.#context.run(REGISTER, this.#context.sessionKeys(record), [...args, reject]);
    const [kind, replaced, evicted, counts] =
      unpack<[RegisterResult['kind'], readonly PackedSession[], readonly PackedSession[], Counts]>(answer);
    this.#context.count(counts);
    if (kind === 'too_many') return { kind };
    const records = (sessions: readonly PackedSession[]) => sessions.map((one) => sessionOf(one, record.user));
    return { kind, replaced: records(replaced), evicted: records(evicted) };
  }

  async unregister(session: SessionId, user: UserId | undefined, incarnation: number, seq: number): Promise<void> {
    const keys = this.#context.sessionKeys({ session, user });
    this.#context.count(unpack(await this.#context.run(UNREGISTER, keys, [user ?? '', session, incarnation, seq])));
  }

  async dropComet(comet: NodeId, keep: number | undefined): Promise<number> {
    let gone = 0;
    for (let from = 0; from < BUCKETS; from += DROP_AT_ONCE) {
      const buckets = range(from, Math.min(from + DROP_AT_ONCE, BUCKETS));
      const counts = await Promise.all(buckets.map((bucket) => this.#dropIn(bucket, comet, keep ?? -1)));
      gone += counts.reduce((sum, count) => sum + count, 0);
    }
    return gone;
  }

  async #dropIn(bucket: number, comet: NodeId, keep: number): Promise<number> {
    const { link } = this.#context;
    const found = (await link.run(DROP_BEGIN, this.#context.indexKeys(bucket), [comet, keep])) as readonly Buffer[];
    const owners = new Map<string, { session: SessionId; user: UserId | undefined }>();
    for (const packed of found) {
      const [session = '', user = ''] = packed.toString().split('\0');
      owners.set(user === '' ? `\0${session}` : user, {
        session: session as SessionId,
        user: user === '' ? undefined : (user as UserId),
      });
    }
    const drops = [...owners.values()].map(async (owner) => {
      const args = [owner.user ?? '', comet, keep];
      const answer = await this.#context.run(DROP, this.#context.sessionKeys(owner), args);
      const [gone, counts] = unpack<[number, Counts]>(answer);
      this.#context.count(counts);
      return gone;
    });
    return (await Promise.all(drops)).reduce((sum, count) => sum + count, 0);
  }

  /** By user, in the order asked. */
  ofUsers(users: readonly UserId[]): Promise<readonly (readonly SessionState[])[]> {
    return Promise.all(users.map((user) => this.#of({ session: '' as SessionId, user })));
  }

  async #of(owner: Pick<SessionRecord, 'session' | 'user'>): Promise<readonly SessionState[]> {
    const [sessions = ''] = this.#context.sessionKeys(owner);
    return statesOf((await this.#context.link.command('get', sessions)) as Buffer | null, owner.user);
  }

  async page(page: Page): Promise<readonly SessionState[]> {
    const { user, comet, limit, after, prefix = '' } = page;
    const fits = (one: { readonly session: SessionId; readonly comet: string }): boolean =>
      (after === undefined || one.session > after) &&
      one.session.startsWith(prefix) &&
      (comet === undefined || one.comet === comet);
    if (user !== undefined) {
      const [states = []] = await this.ofUsers([user]);
      return states.filter(fits).sort(byId).slice(0, limit);
    }
    const found: SessionState[] = [];
    const from =
      after !== undefined && after >= prefix
        ? Buffer.concat([Buffer.from(`(${after}\0`), ABOVE_ALL])
        : Buffer.from(`[${prefix}`);
    const shelves = range(0, BUCKETS).map((bucket): Shelf => ({ bucket, from, found: [], more: true }));
    while (found.length < limit) {
      const wanted = limit - found.length;
      const next = await this.#next(shelves, comet === undefined ? wanted : Math.max(wanted, SIFTED), prefix);
      if (next.length === 0) break;
      found.push(...(await this.#load(next.filter(fits))).slice(0, limit - found.length));
    }
    return found;
  }

  /** The next sessions of all buckets by id: at most `limit`, none only at the end. */
  async #next(shelves: readonly Shelf[], limit: number, prefix: string): Promise<readonly Indexed[]> {
    const each = Math.ceil((limit / BUCKETS) * 2) + 1;
    const low = shelves.filter((shelf) => shelf.more && shelf.found.length === 0);
    await Promise.all(low.map((shelf) => this.#fill(shelf, each, prefix)));
    // Behind the last that a bucket gave there may be others of it.
    let bound: string | undefined;
    for (const { more, found } of shelves) {
      const last = found.at(-1)?.session;
      if (more && last !== undefined && (bound === undefined || last < bound)) bound = last;
    }
    const sure: Indexed[] = [];
    for (const { found } of shelves) {
      for (const one of found) if (bound === undefined || one.session <= bound) sure.push(one);
    }
    const next = sure.sort(byId).slice(0, limit);
    const last = next.at(-1)?.session;
    if (last === undefined) return next;
    for (const shelf of shelves) shelf.found = shelf.found.filter(({ session }) => session > last);
    return next;
  }

  async #fill(shelf: Shelf, count: number, prefix: string): Promise<void> {
    const [index] = this.#context.indexKeys(shelf.bucket);
    const upTo = prefix === '' ? '+' : Buffer.concat([Buffer.from(`(${prefix}`), ABOVE_ALL]);
    const range = [index, shelf.from, upTo, 'LIMIT', 0, count];
    const members = (await this.#context.link.command('zrangebylex', ...range)) as readonly Buffer[];
    shelf.found = members.map((member) => {
      const [session = '', user = '', comet = ''] = member.toString().split('\0');
      return { session: session as SessionId, user: user === '' ? undefined : (user as UserId), comet };
    });
    shelf.more = members.length === count;
    const last = members.at(-1);
    if (last !== undefined) shelf.from = Buffer.concat([Buffer.from('('), last]);
  }

  /** Their states, in the same order; those that ended meanwhile are left out. */
  async #load(list: readonly Indexed[]): Promise<readonly SessionState[]> {
    const owners = new Map<string, Promise<readonly SessionState[]>>();
    const states = list.map(async (one) => {
      const key = one.user ?? `\0${one.session}`;
      const all = owners.get(key) ?? this.#of(one);
      owners.set(key, all);
      return (await all).find(({ session }) => session === one.session);
    });
    return (await Promise.all(states)).flatMap((state) => state ?? []);
  }
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from }, (_, at) => from + at);
}

function byId(a: { readonly session: SessionId }, b: { readonly session: SessionId }): number {
  return a.session < b.session ? -1 : a.session > b.session ? 1 : 0;
}
