/**
 * Decides whether an event is wanted: made once for a watch, then asked for each session or log, without an allocation.
 * Alternatives within a parameter, all parameters together.
 */
import { type EventFilter, NODE_EVENTS, type NodeEventName } from './events.js';

/** A bit for each kind of event. */
export const Kind = Object.fromEntries(NODE_EVENTS.map((name, at) => [name, 1 << at])) as Readonly<
  Record<NodeEventName, number>
>;

/** What of a session is asked for; a comet's session fits. */
export interface MatchedSession {
  readonly session: string;
  readonly handle?: { readonly user: string | undefined } | undefined;
  /** Logs of rooms, and `all`, that it is a member of. */
  readonly topics: readonly { readonly log: string }[];
}

export class Matcher {
  /** Bits of the kinds that are wanted. */
  readonly kinds: number;
  readonly heartbeats: boolean;
  readonly payloads: boolean;
  readonly sample: number;
  readonly sessions: ReadonlySet<string> | undefined;
  readonly users: ReadonlySet<string> | undefined;
  /** Logs of the rooms. */
  readonly rooms: ReadonlySet<string> | undefined;
  readonly #userLogs: ReadonlySet<string> | undefined;

  constructor(filter: EventFilter) {
    let kinds = 0;
    for (const name of filter.events ?? NODE_EVENTS) kinds |= Kind[name] ?? 0;
    this.kinds = kinds;
    this.heartbeats = filter.heartbeats === true;
    this.payloads = filter.payload === 'full';
    this.sample = filter.sample ?? 1;
    this.sessions = setOf(filter.sessions);
    this.users = setOf(filter.users);
    this.rooms = setOf(filter.rooms?.map((room) => `room:${room}`));
    this.#userLogs = setOf(filter.users?.map((user) => `user:${user}`));
  }

  wants(kind: number): boolean {
    return (this.kinds & kind) !== 0;
  }

  /** Is this session one of those that are watched? */
  session({ session, handle, topics }: MatchedSession): boolean {
    return this.identity(session, handle?.user) && (this.rooms === undefined || isMember(topics, this.rooms));
  }

  /** The same but for its rooms. */
  identity(session: string, user: string | undefined): boolean {
    if (this.sessions !== undefined && !this.sessions.has(session)) return false;
    if (this.users !== undefined && (user === undefined || !this.users.has(user))) return false;
    return this.sample >= 1 || shareOf(session) < this.sample;
  }

  /** An event of a log, and of no session. */
  log(log: string): boolean {
    if (this.sessions !== undefined) return false;
    if (this.#userLogs !== undefined && !this.#userLogs.has(log)) return false;
    return this.rooms === undefined || this.rooms.has(log);
  }
}

/** `a` names `a` and its workers, `a/1` and so on. */
export function namesNode(names: readonly string[] | undefined, node: string): boolean {
  return names === undefined || names.some((name) => node === name || node.startsWith(`${name}/`));
}

/** Where in [0, 1) a session's id falls: FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv), 32 bits, then mixed. */
export function shareOf(session: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < session.length; at++) hash = Math.imul(hash ^ session.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return ((hash ^ (hash >>> 13)) >>> 0) / 0x1_0000_0000;
}

function setOf(names: readonly string[] | undefined): ReadonlySet<string> | undefined {
  return names === undefined ? undefined : new Set(names);
}

function isMember(topics: MatchedSession['topics'], rooms: ReadonlySet<string>): boolean {
  for (const { log } of topics) if (rooms.has(log)) return true;
  return false;
}
