// The logic service, for comets: open (register, then check, then say where reading starts), read, progress, close, rooms.
// In that order a revocation or a message that races an open is seen by one side or the other.

import { createHash } from 'node:crypto';
import type { DisconnectName } from '../../protocol/disconnect.js';
import { ImgoError } from '../../protocol/errors.js';
import {
  ALL_LOG,
  type DeviceId,
  type LogName,
  type MessageId,
  type NodeId,
  parseLogName,
  type RoomId,
  type SessionId,
  type TokenId,
  type UserId,
  ZERO_ID,
} from '../../protocol/ids.js';
import { type Clock, pause } from '../clock.js';
import type { TraceStore } from '../observe/traces.js';
import { OpenLimit, openBytes } from '../open-limit.js';
import type {
  ClusterService,
  CometIdentity,
  Credential,
  LogicService,
  OpenReply,
  OpenRequest,
  ProgressReport,
  SessionClaim,
  SessionHandle,
} from '../rpc/services.js';
import { ANONYMOUS, type DeviceKey, type ReadLimit, type ReadResult, type SessionRecord } from '../store/buckets.js';
import type { TokenRecord } from '../store/credentials.js';
import { askComet } from './comets.js';
import { Deliveries } from './deliveries.js';
import { bySession, disconnectSessions } from './disconnects.js';
import type { LogicParts } from './options.js';
import { mayJoin, roomsWithoutAsking } from './room-access.js';
import { secretHash } from './secrets.js';
import { ID_BYTES, sessionId } from './session-ids.js';

/** The service with what the HTTP side shares with it. */
export interface Logic extends LogicService, Pick<ClusterService, 'abandon'> {
  /** Nobody waits for this open of that comet any more. */
  calledOff(comet: NodeId, nonce: string): void;
  /** Who waits for a delivery. */
  readonly deliveries: Deliveries;
}

/** What a credential turned out to be. */
interface Identity {
  readonly user: UserId | undefined;
  readonly token: TokenRecord | undefined;
  /** goim's key of the connection. */
  readonly key: string | undefined;
}

/** Longer than a lease that nobody can renew. */
const TAKE_BACK_ATTEMPTS = 30;
const TAKE_BACK_MS = 1_000;

/** How long a comet that does not say waits for an open. */
const OPEN_MS = 10_000;

/** The logic role's side of sessions. */
export function createLogicService(parts: LogicParts): Logic {
  return new LogicSessions(parts);
}

/** What every session of goim's key starts with: `/goim/push/keys` finds them by it. */
export function sessionPrefix(key: string): string {
  return `k.${secretHash(key).slice(0, 32)}.`;
}

class LogicSessions implements Logic {
  readonly deliveries: Deliveries;
  readonly #parts: LogicParts;
  readonly #clock: Clock;
  readonly #opens: OpenLimit;

  constructor(parts: LogicParts) {
    this.#parts = parts;
    this.#clock = parts.clock;
    this.#opens = new OpenLimit(parts.clock, 'sessions to be opened');
    this.deliveries = new Deliveries(parts.clock, parts.buckets, (comet, sessions) =>
      askComet(parts, comet, (service) => service.sessionsOf(sessions)),
    );
  }

  open(request: OpenRequest): Promise<OpenReply> {
    const { nonce, comet, withinMs = OPEN_MS } = request;
    const order = {
      bytes: openBytes(request),
      until: this.#clock.monotonic() + withinMs,
      nonce: nonce === undefined ? undefined : `${comet} ${nonce}`,
    };
    return this.#opens.run(order, () => this.#open(request));
  }

  calledOff(comet: NodeId, nonce: string): void {
    this.#opens.callOff(`${comet} ${nonce}`);
  }

  async #open(request: OpenRequest): Promise<OpenReply> {
    const { buckets, options } = this.#parts;
    const identity = await this.#identify(request.credential);
    const handle = this.#record(request, identity);
    const cap = { cap: options.sessionsPerUser, onTooMany: options.onTooMany };
    try {
      const registered = await buckets.register(handle, cap);
      if (registered.kind === 'too_many') throw refused('too_many_sessions');
      const older = registered.replaced.length + registered.evicted.length;
      if (older > 0) await this.#closeOlder(registered.replaced, registered.evicted);
      if (identity.token !== undefined) await this.#check(identity.token);
      const cursor =
        handle.user === undefined
          ? { start: ZERO_ID, head: ZERO_ID, sentBefore: ZERO_ID }
          : await buckets.openCursor(handle, request.cursor);
      const asked = request.rooms ?? roomsWithoutAsking(options, request.dialect, identity.token?.rooms);
      return {
        handle,
        session: handle.session,
        user: handle.user,
        device: identity.token?.device ?? request.device ?? ANONYMOUS,
        token: handle.token,
        expiresAt: identity.token?.expiresAt ?? Number.POSITIVE_INFINITY,
        start: cursor.start,
        head: cursor.head,
        sentBefore: cursor.sentBefore,
        ...this.#grant(asked, request.rooms !== undefined, identity.token?.rooms),
      };
    } catch (error) {
      // Where it failed rather than was refused, the store may have done what it did not answer. An open with a nonce may by
      // then have succeeded at another logic: its comet knows, and abandons what did not.
      if (request.nonce === undefined || isRefusal(error)) {
        await this.#takeBack(handle).catch(() => void this.#takeBackLater(handle));
      }
      throw error;
    }
  }

  #takeBack({ session, user, incarnation, seq }: SessionHandle): Promise<void> {
    return this.#parts.buckets.unregister(session, user, incarnation, seq);
  }

  /** While the store is away: until the lease of the comet is over, with which its sessions go. */
  async #takeBackLater(handle: SessionHandle): Promise<void> {
    for (let attempt = 0; attempt < TAKE_BACK_ATTEMPTS; attempt++) {
      await pause(this.#clock, TAKE_BACK_MS);
      const done = await this.#takeBack(handle).then(
        () => true,
        () => false,
      );
      if (done) return;
    }
  }

  async abandon(request: OpenRequest): Promise<void> {
    const { credentials, buckets } = this.#parts;
    const { credential, incarnation, seq } = request;
    const token = credential.kind === 'token' ? await credentials.tokenByHash(secretHash(credential.token)) : undefined;
    const user = credential.kind === 'token' ? token?.user : credential.user;
    const handle = this.#record(request, { user, token, key: credential.key });
    // Under its own number plus one: later than the registration, earlier than whatever the comet does next.
    await buckets.unregister(handle.session, user, incarnation, seq + 1);
  }

  read(log: LogName, after: MessageId, limit: ReadLimit): Promise<ReadResult> {
    const { buckets, traces } = this.#parts;
    const read = buckets.read(log, after, limit);
    return traces?.any === true ? read.then((result) => withMarks(traces, log, after, result)) : read;
  }

  progress(handle: SessionHandle, upTo: MessageId, acknowledge: boolean): Promise<void> {
    return this.report([{ handle, upTo, acknowledge }]);
  }

  async report(reports: readonly ProgressReport[]): Promise<void> {
    const written: Promise<void>[] = [];
    for (const { handle, upTo, acknowledge } of reports) {
      if (handle.user === undefined) continue;
      written.push(this.#parts.buckets.progress(handle, upTo, acknowledge));
      if (acknowledge) this.deliveries.confirmed(handle.user, handle.session, upTo);
    }
    await Promise.all(written);
  }

  async close(handle: SessionHandle, sentTo: MessageId, clean: boolean): Promise<void> {
    const { buckets } = this.#parts;
    // The hold on retention goes before the registration: a push between the two finds the session, not its hold.
    if (handle.user !== undefined) await buckets.closeCursor(handle, sentTo, clean);
    await buckets.unregister(handle.session, handle.user, handle.incarnation, handle.seq);
  }

  async authorizeJoin(handle: SessionHandle, room: RoomId): Promise<void> {
    const rooms = handle.token === undefined ? undefined : await this.#roomsOf(handle.token);
    if (!mayJoin(this.#parts.options, rooms, room)) throw new ImgoError('join_refused');
  }

  async openTopic(comet: CometIdentity, topic: LogName): Promise<MessageId> {
    const parsed = parseLogName(topic);
    if (parsed?.kind === 'room') await this.#parts.registry.addRoom(leaseOf(comet), parsed.room, comet.seq);
    return (await this.#parts.buckets.log(topic))?.head ?? ZERO_ID;
  }

  async closeTopic(comet: CometIdentity, topic: LogName): Promise<void> {
    const parsed = topic === ALL_LOG ? undefined : parseLogName(topic);
    if (parsed?.kind === 'room') await this.#parts.registry.removeRoom(leaseOf(comet), parsed.room, comet.seq);
  }

  async presence(room: RoomId): Promise<number> {
    const [comets] = await this.#parts.registry.cometsOf([room]);
    const counts = (comets ?? []).map(async ({ node }) => (await this.#parts.cometFor(node)?.members(room)) ?? 0);
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }

  async revalidate(claims: readonly SessionClaim[]) {
    const close: { session: SessionId; code: DisconnectName }[] = [];
    const [registered, kicked] = await Promise.all([
      this.#registered(claims),
      this.#parts.credentials.kicked(claims.map(({ session }) => session)),
    ]);
    for (const { session, token, user } of claims) {
      const code = kicked.has(session) ? 'kicked' : token === undefined ? undefined : await this.#fault(token);
      // Whoever took its place could not say so: nothing reaches it any more, so it has to come back.
      const lost = user !== undefined && !registered.has(session) ? 'fenced' : undefined;
      if (code !== undefined || lost !== undefined) close.push({ session, code: code ?? lost ?? 'fenced' });
    }
    return close;
  }

  /** Of these users, the sessions that the router knows. */
  async #registered(claims: readonly SessionClaim[]): Promise<ReadonlySet<SessionId>> {
    const users = new Set(claims.flatMap(({ user }) => user ?? []));
    const sessions = users.size === 0 ? [] : await this.#parts.buckets.sessionsOf([...users]);
    return new Set(sessions.flat().map(({ session }) => session));
  }

  async reregister(handles: readonly SessionHandle[]): Promise<void> {
    const { buckets, options } = this.#parts;
    const cap = { cap: options.sessionsPerUser, onTooMany: options.onTooMany };
    for (const handle of handles) {
      if (await this.#isSuperseded(handle)) {
        await this.#closeOlder([handle], []);
        continue;
      }
      const result = await buckets.register(handle, cap);
      if (result.kind === 'registered') await this.#closeOlder(result.replaced, result.evicted);
      // Others came while this comet was fenced: this session is the one too many.
      else await this.#closeOlder([], [handle]);
    }
  }

  /** Its device has a newer session: registered again it would take that one's place. */
  async #isSuperseded({ session, user, device, since }: SessionHandle): Promise<boolean> {
    if (user === undefined || device === ANONYMOUS) return false;
    const [others] = await this.#parts.buckets.sessionsOf([user]);
    return (others ?? []).some((one) => one.session !== session && one.device === device && one.since > since);
  }

  async #identify(credential: Credential): Promise<Identity> {
    if (credential.kind === 'stated') return { user: credential.user, token: undefined, key: credential.key };
    let token: TokenRecord | undefined;
    try {
      token = await this.#parts.credentials.tokenByHash(secretHash(credential.token));
    } catch (error) {
      untouched(error);
    }
    if (token === undefined) throw refused('token_refused');
    this.#valid(token);
    // A token that does not belong to the stated user opens nothing, as if it were unknown.
    if (credential.mid !== undefined && credential.mid !== token.user) throw refused('token_refused');
    return { user: token.user, token, key: credential.key };
  }

  /** After registering: what was revoked before that is seen here, what is revoked later finds the registration. */
  async #check(token: TokenRecord): Promise<void> {
    const again = await this.#parts.credentials.tokenByHash(token.hash);
    if (again === undefined || again.user !== token.user) throw refused('token_refused');
    this.#valid(again);
  }

  #valid(token: TokenRecord): void {
    if (token.revokedAt !== undefined) throw refused('token_revoked');
    if (token.expiresAt <= this.#clock.now()) throw refused('token_expired');
  }

  async #fault(id: TokenId): Promise<DisconnectName | undefined> {
    const token = await this.#parts.credentials.tokenById(id);
    if (token === undefined) return 'token_refused';
    if (token.revokedAt !== undefined) return 'token_revoked';
    return token.expiresAt <= this.#clock.now() ? 'token_expired' : undefined;
  }

  /** A token that is not known any more has no rooms: what it may join then follows the setting. */
  async #roomsOf(id: TokenId): Promise<readonly string[]> {
    return (await this.#parts.credentials.tokenById(id))?.rooms ?? [];
  }

  #record(request: OpenRequest, identity: Identity): SessionRecord {
    const prefix = identity.key === undefined || identity.key === '' ? 's_' : sessionPrefix(identity.key);
    return {
      session: sessionId(prefix, request.comet, this.#idBytes(request)),
      user: identity.user,
      device: deviceKey(identity.token, request.device),
      token: identity.token?.id,
      comet: oneOf(request.comet),
      incarnation: request.incarnation,
      seq: request.seq,
      dialect: oneOf(request.dialect),
      transport: oneOf(request.transport),
      peer: request.peer,
      since: this.#clock.now(),
    };
  }

  /** The same for an open that is repeated; of the comet, so that none can name a session of another. */
  #idBytes({ comet, nonce }: OpenRequest): Uint8Array {
    if (nonce === undefined) return this.#clock.randomBytes(ID_BYTES);
    return createHash('sha256').update(`${comet} ${nonce}`).digest().subarray(0, ID_BYTES);
  }

  #grant(asked: readonly RoomId[], named: boolean, tokenRooms: readonly string[] | undefined) {
    const rooms: RoomId[] = [];
    const refusedRooms: { room: RoomId; code: string }[] = [];
    for (const room of new Set(asked)) {
      if (!named || mayJoin(this.#parts.options, tokenRooms, room)) rooms.push(room);
      else refusedRooms.push({ room, code: 'join_refused' });
    }
    return { rooms, refusedRooms };
  }

  /** Waits for the older ones to be gone, so that what they were sent is known before this one's position is read. */
  async #closeOlder(replaced: readonly SessionRecord[], evicted: readonly SessionRecord[]): Promise<void> {
    if (replaced.length === 0 && evicted.length === 0) return;
    const closing = Promise.all([
      disconnectSessions(this.#parts, replaced, 'replaced', bySession),
      disconnectSessions(this.#parts, evicted, 'too_many_sessions', bySession),
    ]);
    // A comet that hangs delays the newer session by a moment, not for as long as it hangs: its sessions are not
    // registered any more, and it learns that when it is back.
    const gone = closing.then(
      () => undefined,
      () => undefined,
    );
    await Promise.race([gone, pause(this.#clock, this.#parts.options.confirmMs)]);
  }
}

/** A token's device is the user's; one that a client names itself is its token's. `~` keeps the two apart. */
function deviceKey(token: TokenRecord | undefined, stated: DeviceId | undefined): DeviceKey {
  if (token?.device !== undefined) return token.device;
  if (stated === undefined || token === undefined) return ANONYMOUS;
  return `~${token.id}/${stated}` as DeviceId;
}

/** The comet learns which of what it reads is traced: it may not have been told of it. */
function withMarks(traces: TraceStore, log: LogName, after: MessageId, result: ReadResult): ReadResult {
  const traced = traces
    .within(log, after, result.readTo)
    .flatMap(({ id, mark }) => (id === undefined ? [] : { id, mark }));
  return traced.length === 0 ? result : { ...result, traced };
}

function isRefusal(error: unknown): boolean {
  return error instanceof ImgoError && error.code === 'token_refused';
}

/** It failed before anything was done. */
function untouched(error: unknown): never {
  if (!(error instanceof ImgoError) || isRefusal(error)) throw error;
  throw new ImgoError(error.code, { ...error.details, untouched: 1 }, { cause: error });
}

function refused(disconnect: DisconnectName): ImgoError {
  return new ImgoError('token_refused', { disconnect });
}

function leaseOf(comet: CometIdentity) {
  return { node: comet.node, incarnation: comet.incarnation, holdsMs: 0 };
}

/** What says the same of many sessions and comes over a link with each of them: kept once, 80 bytes a session less. */
const texts = new Map<string, string>();
const TEXTS = 4_096;

function oneOf<T extends string>(text: T): T {
  const known = texts.get(text);
  if (known !== undefined) return known as T;
  if (texts.size < TEXTS) texts.set(text, text);
  return text;
}
