// Tells logic how far sessions are, many in one call: a session that has not reported for a while with the next call
// (`--wait` answers quickly), the others when their time has come again. A call follows another after a few milliseconds at
// the earliest, so that a comet on its own tells at once and a busy one tells of many at a time: each call costs both sides a
// wakeup and two writes, each report logic and Redis a script. A failed report is repeated.

import { compareIds, isZeroId, maxId, ZERO_ID } from '../../protocol/ids.js';
import type { Clock, Timer } from '../clock.js';
import type { LogicService, ProgressReport } from '../rpc/services.js';
import type { Counters } from './counters.js';
import type { Session } from './session.js';

/** Between two calls at least. */
const GATHER_MS = 20;
/**
 * Between two reports of a session. What a native client has acknowledged it says itself when it comes back; where a legacy
 * one is to go on nobody else knows: what was not reported when a comet dies it gets twice.
 */
const NATIVE_MS = 1_000;
const LEGACY_MS = 200;
/** Sessions that wait for their time do so in slots, of which there are as many as the longest wait needs. */
const SLOT_MS = 50;
const SLOTS = NATIVE_MS / SLOT_MS + 1;
const REPORTS_PER_CALL = 256;
const REPEAT_MS = 1_000;

const Due = { SOON: 1, LATER: 2 } as const;

/** Reports of one comet. */
export class ProgressReporter {
  readonly #logic: Pick<LogicService, 'progress'>;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #sessions: () => Iterable<Session>;
  /** A report failed. */
  #repeat = false;
  #soon: Session[] = [];
  #calling = false;
  /** Monotonic ms of the last call. */
  #calledAt = Number.NEGATIVE_INFINITY;
  /** The first is the next. */
  #slots: Session[][] = Array.from({ length: SLOTS }, () => []);
  #waiting = 0;
  #turning: Timer | undefined;

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
    if ((session.reportDue & Due.SOON) !== 0) return;
    const left = session.reportedAt + everyMs(session) - this.#clock.monotonic();
    if (left > 0) this.#later(session, left);
    else this.#next(session);
  }

  /** The kernel took more of a native session's log, which it will acknowledge by itself. */
  drained(session: Session): void {
    if (session.reportDue === 0) this.#later(session, NATIVE_MS);
  }

  /** What this session has not reported yet, before it closes. */
  last(session: Session): void {
    const report = this.#reportOf(session);
    if (report !== undefined) this.#tell([report]);
  }

  #later(session: Session, ms: number): void {
    if ((session.reportDue & Due.LATER) !== 0) return;
    session.reportDue |= Due.LATER;
    this.#slots[Math.min(Math.floor(ms / SLOT_MS), SLOTS - 1)]?.push(session);
    this.#waiting++;
    this.#turning ??= this.#clock.after(SLOT_MS, () => this.#turn());
  }

  #turn(): void {
    const [due = []] = this.#slots.splice(0, 1);
    this.#slots.push([]);
    this.#waiting -= due.length;
    this.#turning = this.#waiting > 0 ? this.#clock.after(SLOT_MS, () => this.#turn()) : undefined;
    const now = this.#clock.monotonic();
    for (const session of due) {
      session.reportDue &= ~Due.LATER;
      if ((session.reportDue & Due.SOON) !== 0) continue;
      // It may have reported while it waited.
      const left = session.reportedAt + everyMs(session) - now;
      if (left > SLOT_MS) this.#later(session, left);
      else this.#next(session);
    }
  }

  #next(session: Session): void {
    session.reportDue |= Due.SOON;
    this.#soon.push(session);
    if (this.#calling) return;
    this.#calling = true;
    const left = this.#calledAt + GATHER_MS - this.#clock.monotonic();
    if (left > 0) this.#clock.after(left, () => this.#call());
    else this.#clock.soon(() => this.#call());
  }

  #call(): void {
    const sessions = this.#soon;
    this.#soon = [];
    this.#calling = false;
    this.#calledAt = this.#clock.monotonic();
    let reports: ProgressReport[] = [];
    for (const session of sessions) {
      session.reportDue &= ~Due.SOON;
      const report = session.closed ? undefined : this.#reportOf(session);
      if (report === undefined) continue;
      reports.push(report);
      // It is told what the client took; what lies between that and what it was sent has its own time.
      if (session.dialect === 'native' && compareIds(session.drainedTo, session.reportedDrained) > 0)
        this.#later(session, NATIVE_MS);
      if (reports.length < REPORTS_PER_CALL) continue;
      this.#tell(reports);
      reports = [];
    }
    if (reports.length > 0) this.#tell(reports);
  }

  #reportOf(session: Session): ProgressReport | undefined {
    const { handle, taken, reportedTaken, drainedTo, reportedDrained } = session;
    if (handle === undefined) return undefined;
    const acknowledge = compareIds(taken, reportedTaken) > 0;
    if (!acknowledge && compareIds(drainedTo, reportedDrained) <= 0) return undefined;
    const upTo = acknowledge ? taken : drainedTo;
    if (acknowledge) session.reportedTaken = taken;
    session.reportedDrained = maxId(upTo, reportedDrained);
    session.reportedAt = this.#clock.monotonic();
    return { handle, upTo, acknowledge };
  }

  #tell(reports: readonly ProgressReport[]): void {
    this.#logic.progress(reports).then(undefined, this.#onFailure);
  }

  /**
   * A report is idempotent: after a failure every session reports once more, so that nothing has to be remembered for the
   * many that succeed.
   */
  readonly #onFailure = (): void => {
    this.#counters.count('failed_progress');
    if (this.#repeat) return;
    this.#repeat = true;
    this.#clock.after(REPEAT_MS, () => this.#repeatAll());
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

function everyMs({ dialect }: Session): number {
  return dialect === 'native' ? NATIVE_MS : LEGACY_MS;
}
