// The sessions that are watched, as the table above the events shows them: what the server lists, brought up to date by
// what happens. Each has a number by which events refer to it. Bounded: who comes when it is full has no number.

import type { ShownSession } from '../presence.js';
import { numberIn, type SeenEvent, textIn } from './event.js';

/** A session in the table. */
export interface WatchedSession {
  readonly n: number;
  readonly session: string;
  user: string;
  device: string;
  node: string;
  dialect: string;
  peer: string;
  /** Wall time, ms. */
  since: number | undefined;
  position: string;
  sentTo: string;
  lagBytes: number | undefined;
  /** Wall time since which its socket is full. */
  heldSince: number | undefined;
  /** As the server lists it. */
  state: string;
  /** Wall time, ms. */
  closedAt: number | undefined;
  /** The server has listed it, since the stream began. */
  listed: boolean;
  /** It was there before the stream began anew, and nothing was heard of it since. */
  doubtful: boolean;
}

const MOST = 1_000;
/** No terminal shows more of them at once. */
const MOST_SEEN = 50;
/** How long one that has ended is still shown. */
const CLOSED_MS = 10_000;

export class WatchedSessions {
  readonly #byId = new Map<string, WatchedSession>();
  #given = 0;

  /** The number of a session in the table. */
  numberOf(session: string): number | undefined {
    return this.#byId.get(session)?.n;
  }

  /** In the order of their numbers. */
  list(now: number): readonly WatchedSession[] {
    for (const { session, closedAt } of this.#byId.values()) {
      if (closedAt !== undefined && now - closedAt > CLOSED_MS) this.#byId.delete(session);
    }
    return [...this.#byId.values()];
  }

  /** How many are there, as far as is known. */
  open(now: number): number {
    return this.list(now).filter(({ closedAt, doubtful }) => closedAt === undefined && !doubtful).length;
  }

  /** Open ones of which the server has not yet said more than their id; of those that a table has place for. */
  unlisted(most: number): readonly string[] {
    const ids: string[] = [];
    let looked = 0;
    for (const { session, listed, closedAt } of this.#byId.values()) {
      if (ids.length >= most || ++looked > MOST_SEEN) break;
      if (!listed && closedAt === undefined) ids.push(session);
    }
    return ids;
  }

  /** What is known may not be so any more: of those in sight it is found out, the others are forgotten until they are heard of. */
  doubt(): void {
    let kept = 0;
    for (const row of this.#byId.values()) {
      if (++kept > MOST_SEEN) this.#byId.delete(row.session);
      row.listed = false;
      row.doubtful = true;
    }
  }

  /** Some have ended, though nothing said so. */
  ended(sessions: readonly string[], now: number): void {
    for (const session of sessions) {
      const row = this.#byId.get(session);
      if (row !== undefined) row.closedAt ??= now;
    }
  }

  /** Takes over what the server lists. */
  listed(sessions: readonly ShownSession[]): void {
    for (const info of sessions) {
      const row = this.#row(info.session, info.node);
      if (row === undefined) return;
      Object.assign(row, {
        user: info.user ?? '',
        device: info.device,
        node: info.node,
        dialect: `${info.dialect} ${info.transport}`,
        peer: info.peer,
        since: Date.parse(info.since),
        position: info.position,
        sentTo: info.sentTo ?? '',
        lagBytes: info.lagBytes ?? undefined,
        state: info.state ?? '',
        heldSince: info.state === 'held' ? row.heldSince : undefined,
        listed: true,
        doubtful: false,
      });
    }
  }

  /** Brings the table up to date. */
  seen(event: SeenEvent): void {
    const session = textIn(event, 'session');
    if (session === undefined) return;
    const row = this.#row(session, textIn(event, 'node') ?? '');
    if (row === undefined) return;
    row.doubtful = false;
    row.user ||= textIn(event, 'user') ?? '';
    row.device ||= textIn(event, 'device') ?? '';
    const at = numberIn(event, 'at');
    switch (event.event) {
      case 'open':
        row.dialect = [textIn(event, 'dialect'), textIn(event, 'transport')].join(' ').trim();
        row.peer = textIn(event, 'peer') ?? row.peer;
        row.since ??= at;
        break;
      case 'close':
        row.closedAt = at ?? Date.now();
        break;
      case 'held':
        row.heldSince = at;
        break;
      case 'released':
        row.heldSince = undefined;
        break;
      case 'lag':
        row.lagBytes = numberIn(event, 'bytes');
        break;
      case 'frame':
        // Positions are of the user's own log; those in rooms are not shown.
        if (textIn(event, 'log') !== `user:${row.user}`) break;
        if (event['direction'] === 'out') row.sentTo = textIn(event, 'id') ?? row.sentTo;
        else if (event['name'] === 'ack') row.position = textIn(event, 'id') ?? row.position;
        break;
      default:
    }
  }

  #row(session: string, node: string): WatchedSession | undefined {
    const known = this.#byId.get(session);
    if (known !== undefined || this.#byId.size >= MOST) return known;
    this.#given += 1;
    const row: WatchedSession = {
      n: this.#given,
      session,
      user: '',
      device: '',
      node,
      dialect: '',
      peer: '',
      since: undefined,
      position: '',
      sentTo: '',
      lagBytes: undefined,
      heldSince: undefined,
      state: '',
      closedAt: undefined,
      listed: false,
      doubtful: false,
    };
    this.#byId.set(session, row);
    return row;
  }
}
