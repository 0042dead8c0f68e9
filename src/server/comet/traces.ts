// What a comet notes of messages that are traced. User logs: a step for each session, of which a user has few. Rooms and
// `all`: counts once a sweep and a handful of sessions, never a step for each member. Callers ask `any` first: while no
// message is marked, that is all they do.

import { Op } from '../../protocol/frame.js';
import { compareIds, formatId, isZeroId, type LogName, type MessageId, type UserId } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import type { AcknowledgedStep, DroppedStep } from '../observe/steps.js';
import type { Marked, TraceStore } from '../observe/traces.js';
import type { Notification } from '../rpc/services.js';
import type { Outlet } from './outlet.js';
import { type SweptTopic, SweptTraces } from './swept-traces.js';

/** A session as far as its steps need it. */
interface Traced {
  readonly session: string;
  readonly handle?: { readonly device: string } | undefined;
  readonly log?: { readonly log: LogName; readonly last: MessageId; readonly target: MessageId } | undefined;
  readonly drainedTo: MessageId;
  readonly taken: MessageId;
}

/** Who has which sessions and topics. */
interface Readers {
  sessionsOf(user: UserId): readonly object[];
  readonly topics: { get(log: LogName): { readonly members: readonly object[] } | undefined };
}

/** Of what one member lost: the newest messages that it is noted of. The others count as steps that had no room. */
const GAP_MAX = 16;

export class CometTraces {
  readonly store: TraceStore;
  readonly #clock: Clock;
  readonly #swept: SweptTraces;

  constructor(store: TraceStore, clock: Clock) {
    this.store = store;
    this.#clock = clock;
    this.#swept = new SweptTraces(store, clock);
  }

  /** Some message is marked. */
  get any(): boolean {
    return this.store.any;
  }

  /** A notification of a marked message came. */
  arrived(note: Notification, readers: Readers): void {
    const marked = markedOf(note);
    if (marked === undefined) return;
    const { log } = note;
    const sessions = log.startsWith('user:')
      ? readers.sessionsOf(log.slice('user:'.length) as UserId).length
      : (readers.topics.get(log)?.members.length ?? 0);
    this.store.note(marked, { step: 'arrived', sessions });
  }

  /** It was too old to be given to anybody. */
  old(note: Notification): void {
    const marked = markedOf(note);
    if (marked !== undefined) this.store.note(marked, { step: 'dropped', reason: 'old' });
  }

  /** Of what was read these are marked. */
  learn(log: LogName, traced: readonly { readonly id: MessageId; readonly mark: string }[]): void {
    for (const { id, mark } of traced) this.store.mark({ log, id, mark });
  }

  // Sessions and their users' logs.

  written(session: Traced, id: MessageId, redelivered: boolean): void {
    const marked = this.#own(session, id);
    if (marked === undefined) return;
    this.store.note(marked, { step: 'written', ...of(session), ...(redelivered ? { redelivered } : {}) });
  }

  filtered(session: Traced, id: MessageId, operation: number | undefined): void {
    const marked = this.#own(session, id);
    if (marked === undefined) return;
    this.store.note(marked, { step: 'filtered', ...of(session), operation: operation ?? Op.PUSH });
  }

  /** What lies between will not come. */
  missing(session: Traced, after: MessageId, upTo: MessageId): void {
    const { log } = session;
    if (log === undefined) return;
    const range = { after: formatId(after), upTo: formatId(upTo) };
    for (const marked of this.store.within(log.log, after, upTo)) {
      this.store.note(marked, { step: 'gap', ...of(session), ...range, reason: 'log' });
    }
  }

  /** The kernel took everything that the session was given; called before `drainedTo` moves. */
  drained(session: Traced): void {
    const { log, drainedTo } = session;
    if (log === undefined) return;
    for (const marked of this.store.within(log.log, drainedTo, log.last)) {
      const writtenAt = this.store.lastAt(marked, 'written', session.session);
      if (writtenAt === undefined) continue;
      this.store.note(marked, { step: 'drained', ...of(session), ms: Math.max(0, this.#clock.now() - writtenAt) });
    }
  }

  /** The client has taken its log up to here; called before `taken` moves. */
  acknowledged(session: Traced, upTo: MessageId, by: AcknowledgedStep['by']): void {
    const { log, taken } = session;
    if (log === undefined) return;
    for (const marked of this.store.within(log.log, taken, upTo)) {
      const writtenAt = this.store.lastAt(marked, 'written', session.session);
      // What it was given in an earlier session it may acknowledge in this one; what it was not given it only passes.
      if (writtenAt === undefined && (by !== 'client' || this.#isPassed(marked, session))) continue;
      const ms = writtenAt === undefined ? {} : { ms: Math.max(0, this.#clock.now() - writtenAt) };
      this.store.note(marked, { step: 'acknowledged', ...of(session), by, ...ms });
    }
  }

  /** The session ends. */
  ended(session: Traced, reason: string): void {
    const { log, taken } = session;
    if (log === undefined) return;
    for (const marked of this.store.within(log.log, taken, log.target)) {
      const written = this.store.lastAt(marked, 'written', session.session) !== undefined;
      const waits = marked.id !== undefined && compareIds(marked.id, log.last) > 0;
      if (written || waits) this.store.note(marked, { step: 'closed', ...of(session), reason, written });
    }
  }

  /** What is stored nowhere was given to a session, or why it was not. */
  ephemeral(session: Traced, note: Notification, outcome: 'written' | 'filtered' | DroppedStep['reason']): void {
    const marked = markedOf(note);
    if (marked === undefined) return;
    if (outcome === 'written') this.store.note(marked, { step: 'written', ...of(session) });
    else if (outcome !== 'filtered') this.store.note(marked, { step: 'dropped', ...of(session), reason: outcome });
    else this.store.note(marked, { step: 'filtered', ...of(session), operation: note.operation ?? Op.PUSH });
  }

  // Topics.

  /** A message goes into the rings of a topic. */
  put(
    topic: SweptTopic,
    entry: { readonly id: MessageId; readonly operation: number | undefined; readonly trace?: string },
  ) {
    const { log, members } = topic;
    const marked = entry.trace === undefined ? this.store.of(log, entry.id) : markedOf({ ...entry, log });
    if (marked !== undefined && members.length > 0) this.#swept.put(topic, marked, entry.operation ?? Op.PUSH);
  }

  /** The log of a topic has lost what lies between: no member gets it. */
  topicGap({ log, members }: SweptTopic, after: MessageId, upTo: MessageId): void {
    const range = { after: formatId(after), upTo: formatId(upTo) };
    for (const marked of this.store.within(log, after, upTo)) {
      this.store.note(marked, { step: 'gap', ...range, reason: 'log', members: members.length });
    }
  }

  /** A member was too slow for what lies between. */
  memberGap({ log }: SweptTopic, outlet: Outlet, after: MessageId, upTo: MessageId): void {
    const range = { after: formatId(after), upTo: formatId(upTo) };
    const lost = this.store.within(log, after, upTo);
    const noted = lost.slice(-GAP_MAX);
    this.store.counters.stepsDropped += lost.length - noted.length;
    for (const marked of noted) {
      if (this.#swept.gap(log, marked)) continue;
      this.store.note(marked, { step: 'gap', session: outlet.session, ...range, reason: 'lag' });
    }
  }

  /** A sweep over the members has ended. */
  swept(topic: SweptTopic): void {
    this.#swept.swept(topic);
  }

  #isPassed(marked: Marked, { session }: Traced): boolean {
    return (['gap', 'filtered'] as const).some((step) => this.store.lastAt(marked, step, session) !== undefined);
  }

  #own({ log }: Traced, id: MessageId): Marked | undefined {
    return log === undefined ? undefined : this.store.of(log.log, id);
  }
}

function of({ session, handle }: Traced) {
  return handle === undefined || handle.device === '' ? { session } : { session, device: handle.device };
}

function markedOf({ log, id, trace }: Pick<Notification, 'log' | 'id' | 'trace'>): Marked | undefined {
  return trace === undefined ? undefined : { log, id: isZeroId(id) ? undefined : id, mark: trace };
}
