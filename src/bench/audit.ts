/**
 * What each connection received against what it should have: by count for all of them, by its mark where the run knows the order
 * (or at least the set) of its messages, number by number for the sample. A connection that the run itself ended, or made
 * slow, is excused for what it missed and what came again, and that is counted apart; so is what one that broke was told is gone,
 * or, where clients do not resume, missed while it was away.
 */
import { type Aim, aimOf, roomOf } from './aims.js';
import { Fate } from './clients.js';
import type { AuditNumbers, ReceiverAudit, ReceiverSetup } from './messages.js';
import { type BrokenConnection, Pardons } from './pardons.js';
import { factorOf, fingerprintOf } from './payload.js';

/** What is there to judge. */
export interface Received {
  readonly counts: Uint32Array;
  readonly marks: Int32Array;
  readonly fates: Uint8Array;
  /** Numbers of the sample's connections, as they came. */
  readonly sequences: ReadonlyMap<number, readonly number[]>;
  /** Connections that broke and were to come back. */
  readonly broken: ReadonlyMap<number, BrokenConnection>;
}

/** What should have come to the connections of one process. */
class Expected {
  readonly counts: Uint32Array;
  readonly marks: Int32Array;
  readonly #setup: ReceiverSetup;
  readonly #roomCounts: Uint32Array;
  readonly #roomMarks: Int32Array;
  readonly #factor: number;
  #allCount = 0;
  #allMark = 0;

  constructor(setup: ReceiverSetup, numbers: Uint32Array) {
    this.#setup = setup;
    this.#factor = factorOf(setup.ordered);
    this.counts = new Uint32Array(setup.count);
    this.marks = new Int32Array(setup.count);
    this.#roomCounts = new Uint32Array(setup.rooms);
    this.#roomMarks = new Int32Array(setup.rooms);
    for (const n of numbers) this.#add(aimOf(setup, n), fingerprintOf(n));
    // One connection has one log, or marks are sums: either way they may be added.
    for (let index = 0; index < setup.count; index++) {
      const room = roomOf(setup.first + index, setup.rooms);
      this.counts[index] = (this.counts[index] as number) + (this.#roomCounts[room] as number) + this.#allCount;
      this.marks[index] = (this.marks[index] as number) + (this.#roomMarks[room] as number) + this.#allMark;
    }
  }

  #add(aim: Aim, print: number): void {
    if (aim.kind === 'all') {
      this.#allCount++;
      this.#allMark = this.#fold(this.#allMark, print);
      return;
    }
    const index = aim.kind === 'user' ? aim.index - this.#setup.first : aim.index;
    if (index < 0 || (aim.kind === 'user' && index >= this.#setup.count)) return;
    const [counts, marks] = aim.kind === 'user' ? [this.counts, this.marks] : [this.#roomCounts, this.#roomMarks];
    counts[index] = (counts[index] as number) + 1;
    marks[index] = this.#fold(marks[index] as number, print);
  }

  #fold(mark: number, print: number): number {
    return (Math.imul(mark, this.#factor) + print) | 0;
  }
}

/** What a process received, against the numbers of what the server took, in the order of the log, and of what may have been delivered. */
export function audit(setup: ReceiverSetup, numbers: AuditNumbers, received: Received): ReceiverAudit {
  const { accepted, unknown } = numbers;
  const expected = new Expected(setup, accepted);
  const perhaps = new Expected(setup, unknown);
  const account = new Account(setup.dialect === 'native');
  const took = new Set(accepted);
  const places = setup.tellsPlace ? placesOf(accepted) : agreedPlaces(setup, received);
  const pardons = new Pardons(setup, numbers, took);
  for (let index = 0; index < setup.count; index++) {
    const fate = received.fates[index] as number;
    if ((fate & Fate.OPENED) === 0) continue;
    const due = expected.counts[index] as number;
    const more = perhaps.counts[index] as number;
    const count = received.counts[index] as number;
    account.connections++;
    account.expected += due;
    const sampled = (setup.first + index) % setup.sampleEvery === 0;
    const sequence = sampled ? (received.sequences.get(index) ?? []) : undefined;
    const judged = sequence === undefined ? undefined : judge(setup, sequence, took, places);
    let missing = Math.max(0, due - count);
    let again = Math.max(0, count - due - more);
    let disorder = 0;
    let seen: ReadonlySet<number> | undefined;
    if (judged !== undefined && sequence?.length === count) {
      // Number by number: one lost and one twice do not make up for each other.
      missing = due - judged.distinct;
      again = judged.again;
      disorder = judged.disorder;
      seen = judged.seen;
      account.byPayload++;
    }
    const broken = received.broken.get(index);
    const undisturbed = (fate & (Fate.CHURNED | Fate.SLOW)) === 0;
    // Of one that broke and does not have all, nobody knows which ones it should have.
    if (more === 0 && undisturbed && (broken === undefined || missing === 0)) {
      account.byNumber++;
      if (missing === 0 && again === 0 && disorder === 0 && expected.marks[index] !== received.marks[index])
        disorder = 1;
    }
    const pardoned =
      broken === undefined || missing === 0
        ? 0
        : Math.min(missing, pardons[setup.dialect === 'native' ? 'gapped' : 'missed'](index, broken, seen));
    account.add(fate, missing, again, disorder, pardoned);
  }
  return account.result();
}

class Account {
  connections = 0;
  expected = 0;
  byNumber = 0;
  byPayload = 0;
  #lost = 0;
  #lostInGaps = 0;
  #duplicates = 0;
  #outOfOrder = 0;
  readonly #excused = { churned: 0, slow: 0, missed: 0, repeated: 0 };
  readonly #broken = { connections: 0, gapped: 0, missed: 0, lost: 0 };
  readonly #native: boolean;

  constructor(native: boolean) {
    this.#native = native;
  }

  /** `pardoned`: of the missing, what one that broke was told is gone, or missed while it was away. */
  add(fate: number, missing: number, again: number, disorder: number, pardoned: number): void {
    this.#outOfOrder += disorder;
    if ((fate & Fate.BROKEN) !== 0) this.#broken.connections++;
    if ((fate & Fate.CHURNED) !== 0) this.#excused.churned++;
    else if ((fate & Fate.SLOW) !== 0) this.#excused.slow++;
    if ((fate & (Fate.CHURNED | Fate.SLOW)) !== 0) {
      this.#excused.missed += missing;
      this.#excused.repeated += again;
      return;
    }
    const lost = missing - pardoned;
    this.#lost += lost;
    this.#duplicates += again;
    if ((fate & Fate.BROKEN) !== 0) {
      this.#broken.lost += lost;
      this.#broken[this.#native ? 'gapped' : 'missed'] += pardoned;
    } else if ((fate & Fate.GAPPED) !== 0) this.#lostInGaps += lost;
  }

  result(): ReceiverAudit {
    return {
      connections: this.connections,
      expected: this.expected,
      lost: this.#lost,
      duplicates: this.#duplicates,
      outOfOrder: this.#outOfOrder,
      lostInGaps: this.#lostInGaps,
      excused: this.#excused,
      broken: this.#broken,
      byNumber: this.byNumber,
      byPayload: this.byPayload,
    };
  }
}

function placesOf(accepted: Uint32Array): ReadonlyMap<number, number> {
  return new Map(Array.from(accepted, (n, place) => [n, place]));
}

/** The order in which the first of the sample that is undisturbed got what is for a room or for all: the others have to agree. */
function agreedPlaces(setup: ReceiverSetup, { sequences, fates }: Received): ReadonlyMap<number, number> {
  const places = new Map<number, number>();
  const known = new Set<number | 'all'>();
  for (const [index, sequence] of sequences) {
    if (((fates[index] as number) & (Fate.CHURNED | Fate.SLOW | Fate.BROKEN)) !== 0) continue;
    const fresh = new Set<number | 'all'>();
    for (const [place, n] of sequence.entries()) {
      const aim = aimOf(setup, n);
      if (aim.kind === 'user') continue;
      const log = aim.kind === 'all' ? 'all' : aim.index;
      if (known.has(log)) continue;
      fresh.add(log);
      places.set(n, place);
    }
    for (const log of fresh) known.add(log);
  }
  return places;
}

/**
 * A sequence: how many different messages of the accepted ones, how many that were there before, how many that stand before the
 * last one in their log. What is not accepted was not answered: nobody knows of it.
 */
function judge(
  setup: ReceiverSetup,
  sequence: readonly number[],
  accepted: ReadonlySet<number>,
  places: ReadonlyMap<number, number>,
): {
  readonly distinct: number;
  readonly again: number;
  readonly disorder: number;
  readonly seen: ReadonlySet<number>;
} {
  const seen = new Set<number>();
  const last = new Map<Aim['kind'], number>();
  let distinct = 0;
  let again = 0;
  let disorder = 0;
  for (const n of sequence) {
    if (seen.has(n)) {
      again++;
      continue;
    }
    seen.add(n);
    if (!accepted.has(n)) continue;
    distinct++;
    const place = places.get(n);
    if (place === undefined) continue;
    const { kind } = aimOf(setup, n);
    if (place < (last.get(kind) ?? -1)) disorder++;
    else last.set(kind, place);
  }
  return { distinct, again, disorder, seen };
}
