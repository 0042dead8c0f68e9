/**
 * Connections that broke although the run did not want it: why, since when each is away, where and when it is dialled next, how long
 * it took to be back. Nothing is kept of a connection that never broke.
 */
import type { Reconnect } from '../protocol/disconnect.js';
import type { MessageId } from '../protocol/ids.js';
import type { Aim } from './aims.js';
import { Histogram } from './latencies.js';

/** As native clients do it: half a second, doubled to half a minute, each anywhere in its upper half. */
const FIRST_MS = 500;
const MOST_MS = 30_000;
const MOST_DOUBLINGS = 10;
/** Gaps that are kept of one connection; what lies in more counts as lost. */
const MOST_GAPS = 64;

/** A gap that a client was told of one of its logs: what is after `after`, up to `upTo`. */
export interface LogGap {
  readonly log: Aim['kind'];
  readonly after: MessageId;
  readonly upTo: MessageId;
}

/** A connection that broke at least once. */
interface Broken {
  /** Of its last break. */
  since: number;
  /** When it came back; Infinity: it has not. */
  backAt: number;
  /** Dials that failed since. */
  tries: number;
  /** Where it is, or is dialled next: a place in the list of addresses. */
  address: number;
  /** Earlier times away. */
  readonly earlier: (readonly [since: number, backAt: number])[];
  readonly gaps: LogGap[];
}

/** What the audit has to know of one. Times are monotonic ms. */
export interface BrokenTimes {
  readonly index: number;
  /** The last one ends at Infinity when it has not come back. */
  readonly away: readonly (readonly [since: number, backAt: number])[];
  readonly gaps: readonly LogGap[];
}

export class Breaks {
  /** Times that connections broke, by reason; dials after that which failed, by reason. */
  readonly causes: Record<string, number> = {};
  readonly retries: Record<string, number> = {};
  readonly awayMs = new Histogram();
  /** Away now; times that one came back. */
  away = 0;
  returned = 0;
  readonly #addresses: number;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #broken = new Map<number, Broken>();

  /** `addresses`: how many there are to dial. */
  constructor(addresses: number, now: () => number, random: () => number = Math.random) {
    this.#addresses = addresses;
    this.#now = now;
    this.#random = random;
  }

  /** An open connection, at this address, is over. */
  broke(index: number, address: number, cause: string): void {
    const before = this.#broken.get(index);
    const earlier = before === undefined ? [] : before.earlier;
    if (before !== undefined) earlier.push([before.since, before.backAt]);
    const gaps = before?.gaps ?? [];
    const next = this.#other(address);
    this.#broken.set(index, { since: this.#now(), backAt: Infinity, tries: 0, address: next, earlier, gaps });
    this.causes[cause] = (this.causes[cause] ?? 0) + 1;
    this.away++;
  }

  /** One that is away was dialled, for nothing. */
  failed(index: number, reason: string): void {
    const broken = this.#broken.get(index);
    if (broken === undefined) return;
    broken.tries++;
    broken.address = this.#other(broken.address);
    this.retries[reason] = (this.retries[reason] ?? 0) + 1;
  }

  /** Until it is to be dialled, ms; `told`: what the server said of it. */
  delayMs(index: number, told: Reconnect | undefined): number {
    if (told) return told.minMs + this.#random() * (told.maxMs - told.minMs);
    const tries = Math.min(this.#broken.get(index)?.tries ?? 0, MOST_DOUBLINGS);
    const top = Math.min(MOST_MS, FIRST_MS * 2 ** tries);
    return top * (0.5 + this.#random() / 2);
  }

  /** It is open again. */
  back(index: number): void {
    const broken = this.#broken.get(index);
    if (broken === undefined || broken.backAt !== Infinity) return;
    broken.backAt = this.#now();
    this.awayMs.add(broken.backAt - broken.since);
    this.away--;
    this.returned++;
  }

  /** It does not come back, because it was told not to. */
  gaveUp(index: number): void {
    if (this.isAway(index)) this.away--;
  }

  isAway(index: number): boolean {
    return this.#broken.get(index)?.backAt === Infinity;
  }

  /** Where it is, or is dialled next; undefined: it never broke. */
  addressOf(index: number): number | undefined {
    return this.#broken.get(index)?.address;
  }

  /** When it came back last; 0: it never broke. */
  backAt(index: number): number {
    return this.#broken.get(index)?.backAt ?? 0;
  }

  /** A gap that it was told after it had broken. */
  gap(index: number, gap: LogGap): void {
    const gaps = this.#broken.get(index)?.gaps;
    if (gaps !== undefined && gaps.length < MOST_GAPS) gaps.push(gap);
  }

  times(): readonly BrokenTimes[] {
    return Array.from(this.#broken, ([index, { earlier, since, backAt, gaps }]) => {
      return { index, away: [...earlier, [since, backAt] as const], gaps };
    });
  }

  /** Another one, where there is another one. */
  #other(address: number): number {
    if (this.#addresses < 2) return 0;
    const step = 1 + Math.floor(this.#random() * (this.#addresses - 1));
    return (address + step) % this.#addresses;
  }
}
