// Tells logic how far sessions are: soon when a session has not reported for a while (`--wait` answers quickly), else with
// the next round, so that no session reports more than five times a second. Soon is at once, or together with those that
// come within some milliseconds of the last ones: a report alone costs comet, logic and Redis a write and a read each. Drains of native sessions, which
// acknowledge by themselves, only move positions and go in a slow round. A failed report is repeated.

import { compareIds, isZeroId, maxId, ZERO_ID } from '../../protocol/ids.js';
import type { Clock, Timer } from '../clock.js';
import type { LogicService } from '../rpc/services.js';
import type { Counters } from './counters.js';
import type { Session } from './session.js';

const ROUND_MS = 200;
const GATHER_MS = 20;
const SLOW_ROUND_MS = 1_000;

const Due = { TAKEN: 1, DRAINED: 2 } as const;

/** Reports of one comet. */
export class ProgressReporter {
  readonly #logic: Pick<LogicService, 'progress'>;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #sessions: () => Iterable<Session>;
  /** A report failed. */
  #repeat = false;
  #now: Session[] = [];
  /** Monotonic ms: when those of `#now` were told last. */
  #toldAt = Number.NEGATIVE_INFINITY;
  #round: Session[] = [];
  #slow: Session[] = [];
  #roundTimer: Timer | undefined;
  #slowTimer: Timer | undefined;

  /** `sessions`: all that are open. */
  constructor(
    logic: Pick<LogicService, 'progress'>,
    clock: Clock,
    counters: Counters,
    sessions: () => Iterable<Session>,
  ) {
    this.#sessions = sessions;
    this.#logic = logic;
    this.#clock = clock;
    this.#counters = counters;
  }

  /** The client took more of its log (`taken`). */
  taken(session: Session): void {
    if ((session.reportDue & Due.TAKEN) !== 0) return;
    session.reportDue |= Due.TAKEN;
    const now = this.#clock.monotonic();
    if (now - session.reportedAt >= ROUND_MS) {
      if (this.#now.push(session) > 1) return;
      const wait = this.#toldAt + GATHER_MS - now;
      if (wait > 0) this.#clock.after(wait, () => this.#reportNow());
      else this.#clock.soon(() => this.#reportNow());
      return;
    }
    this.#round.push(session);
    this.#roundTimer ??= this.#clock.after(ROUND_MS, () => this.#reportRound());
  }

  /** The kernel took more of a native session's log. */
  drained(session: Session): void {
    if ((session.reportDue & Due.DRAINED) !== 0) return;
    session.reportDue |= Due.DRAINED;
    this.#slow.push(session);
    this.#slowTimer ??= this.#clock.after(SLOW_ROUND_MS, () => this.#reportSlow());
  }

  /** What this session has not reported yet, before it closes. */
  last(session: Session): void {
    this.#report(session);
  }

  #reportNow(): void {
    const sessions = this.#now;
    this.#now = [];
    this.#toldAt = this.#clock.monotonic();
    for (const session of sessions) this.#finish(session, Due.TAKEN);
  }

  #reportRound(): void {
    const sessions = this.#round;
    this.#round = [];
    this.#roundTimer = undefined;
    for (const session of sessions) this.#finish(session, Due.TAKEN);
  }

  #reportSlow(): void {
    const sessions = this.#slow;
    this.#slow = [];
    this.#slowTimer = undefined;
    for (const session of sessions) this.#finish(session, Due.DRAINED);
    if (this.#repeat) this.#repeatAll();
  }

  #finish(session: Session, due: number): void {
    session.reportDue &= ~due;
    if (!session.closed) this.#report(session);
  }

  #report(session: Session): void {
    const { handle, taken, reportedTaken, drainedTo, reportedDrained } = session;
    if (handle === undefined) return;
    const acknowledge = compareIds(taken, reportedTaken) > 0;
    if (!acknowledge && compareIds(drainedTo, reportedDrained) <= 0) return;
    if (acknowledge) session.reportedTaken = taken;
    session.reportedDrained = maxId(acknowledge ? taken : drainedTo, reportedDrained);
    session.reportedAt = this.#clock.monotonic();
    const told = this.#logic.progress(handle, acknowledge ? taken : drainedTo, acknowledge);
    told.then(undefined, this.#onFailure);
  }

  /**
   * A report is idempotent: after a failure every session reports once more with the next slow round, so that nothing has
   * to be remembered for the many that succeed.
   */
  readonly #onFailure = (): void => {
    this.#counters.count('failed_progress');
    this.#repeat = true;
    this.#slowTimer ??= this.#clock.after(SLOW_ROUND_MS, () => this.#reportSlow());
  };

  #repeatAll(): void {
    this.#repeat = false;
    for (const session of this.#sessions()) {
      session.reportedTaken = ZERO_ID;
      session.reportedDrained = ZERO_ID;
      if (!isZeroId(session.taken)) this.taken(session);
      else if (!isZeroId(session.drainedTo)) this.drained(session);
    }
  }
}
