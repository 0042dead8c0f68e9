/**
 * Opens at the rate at which they succeed. So many are under way as are answered soon: where so many are there, one more with each
 * that is (after the first one that was not: one more a round), fewer when one was not answered or took long. The others wait in
 * their order, bounded in bytes and by what they can still wait for; who would wait in vain is refused at once, with a time of its
 * own to come again, one after the other at that rate. So a herd costs what it can be served, and nobody works for who is gone.
 */
import { ImgoError } from '../protocol/errors.js';
import type { Clock } from './clock.js';
import type { OpenRequest } from './rpc/services.js';

/** An open that asks to begin. */
export interface OpenOrder {
  /** Of memory while it waits. */
  readonly bytes: number;
  /** Nobody waits for it any more after that. Monotonic ms. */
  readonly until: number;
  /** By which it can be called off; undefined: by nothing. */
  readonly nonce?: string | undefined;
  /** Nobody waits for it even now. */
  readonly isGone?: () => boolean;
}

/** What it counts, monotonic. */
export interface OpenLimitCounters {
  /** Refused, because they would have waited in vain. */
  refused: number;
  /** That waited until nobody waited for them: they have cost nothing. */
  dropped: number;
  /** Times that fewer were let in from then on. */
  narrowed: number;
}

interface Waiting extends OpenOrder {
  readonly begin: () => void;
  readonly drop: (error: ImgoError) => void;
  /** It was called off, and only stands in the line still. */
  calledOff: boolean;
}

const FIRST = 64;
const FEWEST = 16;
const MOST = 1_024;
/** An answer within this share of the time that there is for it is soon; one after that share is late. */
const SOON = 0.3;
const LATE = 0.6;
const NARROWER = 0.7;
/** Of opens that wait. */
const WAITING_BYTES = 8 * 1024 * 1024;
const OPEN_OVERHEAD = 512;
const ROOM_OVERHEAD = 32;
/** The times to come again that are told. */
const SOONEST_MS = 500;
const LATEST_MS = 30_000;
/** How much the newest one counts in how long an open takes. */
const WEIGHT = 1 / 16;

export class OpenLimit {
  readonly counters: OpenLimitCounters = { refused: 0, dropped: 0, narrowed: 0 };
  readonly #clock: Clock;
  readonly #what: string;
  #most = FIRST;
  /** Nothing has been late yet: the limit is looked for. */
  #looking = true;
  #underWay = 0;
  #waiting: Waiting[] = [];
  readonly #byNonce = new Map<string, Waiting>();
  #next = 0;
  #waitingBytes = 0;
  /** What an open takes, ms. */
  #takesMs = 0;
  /** What began before is of the time before fewer were let in. */
  #narrowedAt = Number.NEGATIVE_INFINITY;
  /** When who is refused next comes again. */
  #againAt = 0;

  /** `what`: whose opens they are, for errors. */
  constructor(clock: Clock, what: string) {
    this.#clock = clock;
    this.#what = what;
  }

  /** Opens that have begun. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Opens that wait for others to end. */
  get waiting(): number {
    return this.#waiting.length - this.#next;
  }

  /** As many may be under way now. */
  get most(): number {
    return Math.floor(this.#most);
  }

  /**
   * Begins `open` when its turn comes.
   * @throws ImgoError overloaded, with `untouched` and when to come again: it has not begun; what `open` throws
   */
  async run<T>(order: OpenOrder, open: () => Promise<T>): Promise<T> {
    if (this.#underWay >= this.most || this.waiting > 0) await this.#turn(order);
    else this.#underWay++;
    const since = this.#clock.monotonic();
    let failed = true;
    try {
      const reply = await open();
      failed = false;
      return reply;
    } catch (error) {
      failed = !isRefusal(error);
      throw error;
    } finally {
      this.#ended(since, failed, order.until - since);
    }
  }

  /** Nobody waits for it any more: if it has not begun, it never does. */
  callOff(nonce: string): void {
    const one = this.#byNonce.get(nonce);
    if (one === undefined) return;
    one.calledOff = true;
    this.#left(one);
    this.#drop(one);
  }

  #turn(order: OpenOrder): Promise<void> {
    const waitMs = ((this.waiting + 1) * this.#takesMs) / this.#most;
    const { bytes, until } = order;
    const answeredAt = this.#clock.monotonic() + waitMs + this.#takesMs;
    if (this.#waitingBytes + bytes > WAITING_BYTES || answeredAt > until) {
      this.counters.refused++;
      return Promise.reject(this.#refusal());
    }
    this.#waitingBytes += bytes;
    return new Promise<void>((begin, drop) => {
      const waiting = { ...order, begin, drop, calledOff: false };
      this.#waiting.push(waiting);
      if (order.nonce !== undefined) this.#byNonce.set(order.nonce, waiting);
    });
  }

  #ended(since: number, failed: boolean, allowedMs: number): void {
    const now = this.#clock.monotonic();
    const tookMs = now - since;
    // One that failed at once says nothing of how long one takes.
    if (!failed || tookMs > this.#takesMs) {
      this.#takesMs += (tookMs - this.#takesMs) * (this.#takesMs === 0 ? 1 : WEIGHT);
    }
    if (!failed && tookMs <= allowedMs * SOON) {
      // Beyond the first it is raised by those who reach it: a limit that is not says nothing of what would be answered soon.
      if (this.#most < FIRST || this.#underWay >= this.most)
        this.#most = Math.min(MOST, this.#most + (this.#looking ? 1 : 1 / this.#most));
    } else if ((failed || tookMs > allowedMs * LATE) && since > this.#narrowedAt) {
      this.#most = Math.max(FEWEST, this.#most * NARROWER);
      this.#narrowedAt = now;
      this.#looking = false;
      this.counters.narrowed++;
    }
    this.#underWay--;
    this.#begin(now);
  }

  #begin(now: number): void {
    while (this.#underWay < this.most) {
      const next = this.#waiting[this.#next];
      if (next === undefined) break;
      this.#next++;
      if (next.calledOff) continue;
      this.#left(next);
      // Where all take too long a few are tried all the same.
      const answeredAt = now + (this.#underWay < FEWEST ? 0 : this.#takesMs);
      if (next.until <= answeredAt || next.isGone?.() === true) this.#drop(next);
      else {
        this.#underWay++;
        next.begin();
      }
    }
    // Not with each: a long line would be copied for every one that leaves it.
    if (this.#next > this.#waiting.length / 2) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
  }

  #left({ bytes, nonce }: Waiting): void {
    this.#waitingBytes -= bytes;
    if (nonce !== undefined) this.#byNonce.delete(nonce);
  }

  #drop(one: Waiting): void {
    this.counters.dropped++;
    one.drop(this.#refusal());
  }

  /** Who is refused comes again one after the other, as fast as they are served, after those who wait. */
  #refusal(): ImgoError {
    const now = this.#clock.monotonic();
    const eachMs = this.#takesMs / this.#most;
    this.#againAt = Math.max(this.#againAt, now + this.waiting * eachMs) + eachMs;
    const aboutMs = Math.min(LATEST_MS / 2, Math.max(SOONEST_MS, this.#againAt - now));
    // Beyond the latest that is told nobody has a turn: those come again at random, and are told anew.
    this.#againAt = Math.min(this.#againAt, now + LATEST_MS);
    return new ImgoError('overloaded', {
      reason: this.#what,
      untouched: 1,
      againMinMs: Math.round(aboutMs),
      againMaxMs: Math.round(aboutMs * 2),
    });
  }
}

/** Of memory, rounded up: an open that waits, what it says, and its place in a line. */
export function openBytes({ credential, rooms }: Pick<OpenRequest, 'credential' | 'rooms'>): number {
  const secret = credential.kind === 'token' ? credential.token : credential.key;
  return OPEN_OVERHEAD + secret.length + (rooms ?? []).reduce((sum, room) => sum + ROOM_OVERHEAD + room.length, 0);
}

/** When to come again, as an error of a limit says; undefined: it does not. */
export function againOf(error: ImgoError): { readonly minMs: number; readonly maxMs: number } | undefined {
  const { againMinMs, againMaxMs } = error.details;
  if (typeof againMinMs !== 'number' || typeof againMaxMs !== 'number') return undefined;
  return { minMs: againMinMs, maxMs: againMaxMs };
}

/** True for an error that says that nothing was begun. */
export function isUntouched(error: unknown): boolean {
  return error instanceof ImgoError && error.details['untouched'] === 1;
}

/** An answer, though not the one that was hoped for: nothing is too slow for that. */
function isRefusal(error: unknown): boolean {
  return error instanceof ImgoError && error.code === 'token_refused';
}
