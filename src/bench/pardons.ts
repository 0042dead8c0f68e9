/**
 * What a connection that broke does not have although nothing was lost: what it was told is gone (native), or, where clients do not
 * resume, what was sent while it was away.
 */
import { compareIds } from '../protocol/ids.js';
import { type Aim, aimOf, roomOf } from './aims.js';
import type { BrokenTimes, LogGap } from './breaks.js';
import type { AuditNumbers, ReceiverSetup } from './messages.js';
import type { Samples } from './samples.js';

/** Of a connection that broke: messages that were due while it was away, first and last number of each time; gaps. */
export interface BrokenConnection {
  readonly away: readonly (readonly [first: number, last: number])[];
  readonly gaps: readonly LogGap[];
}

/** A message may be on its way for so long when a connection breaks: it was sent before, and is gone with the connection. */
const ON_THE_WAY_MS = 2_000;

/** Times away as numbers of messages. */
export function brokenOf(times: readonly BrokenTimes[], samples: Samples): ReadonlyMap<number, BrokenConnection> {
  return new Map(
    times.map(({ index, away, gaps }) => {
      const numbers = away.map(([since, backAt]) => samples.dueWithin(since - ON_THE_WAY_MS, backAt));
      return [index, { away: apart(numbers), gaps }];
    }),
  );
}

/** Ranges that overlap as one. They are in order of their ends. */
function apart(ranges: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  const merged: (readonly [number, number])[] = [];
  for (const [first, last] of ranges) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before[1]) merged[merged.length - 1] = [before[0], last];
    else merged.push([first, last]);
  }
  return merged;
}

export class Pardons {
  readonly #setup: ReceiverSetup;
  readonly #numbers: AuditNumbers;
  readonly #last: number;
  readonly #accepted: ReadonlySet<number>;

  constructor(setup: ReceiverSetup, numbers: AuditNumbers, accepted: ReadonlySet<number>) {
    this.#setup = setup;
    this.#numbers = numbers;
    this.#accepted = accepted;
    this.#last = numbers.accepted.reduce((most, n) => Math.max(most, n), 0);
  }

  /** How many accepted messages for this connection lie in gaps that it was told. `seen`: those that it has nevertheless. */
  gapped(index: number, { gaps }: BrokenConnection, seen: ReadonlySet<number> | undefined): number {
    const { accepted, ids } = this.#numbers;
    if (gaps.length === 0 || ids === undefined) return 0;
    let count = 0;
    for (const [place, n] of accepted.entries()) {
      const aim = aimOf(this.#setup, n);
      if (!this.#isFor(aim, index) || seen?.has(n)) continue;
      const id = { epoch: ids.epochs[place] as number, n: ids.ns[place] as number };
      const covers = ({ log, after, upTo }: LogGap) =>
        log === aim.kind && compareIds(after, id) < 0 && compareIds(id, upTo) <= 0;
      if (gaps.some(covers)) count++;
    }
    return count;
  }

  /** How many accepted messages for this connection were sent while it was away. */
  missed(index: number, { away }: BrokenConnection, seen: ReadonlySet<number> | undefined): number {
    let count = 0;
    for (const [first, last] of away) {
      for (let n = first; n <= Math.min(last, this.#last); n++) {
        if (this.#accepted.has(n) && !seen?.has(n) && this.#isFor(aimOf(this.#setup, n), index)) count++;
      }
    }
    return count;
  }

  #isFor(aim: Aim, index: number): boolean {
    const connection = this.#setup.first + index;
    if (aim.kind === 'all') return true;
    return aim.index === (aim.kind === 'user' ? connection : roomOf(connection, this.#setup.rooms));
  }
}
