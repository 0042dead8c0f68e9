/**
 * Messages when they are due, whatever became of those before them (open loop), and what became of each: its place in the log, a
 * refusal, or nobody knows. One schedule covers warm-up and measured time.
 */
import { compareIds, type MessageId } from '../protocol/ids.js';
import { type Aim, type Aiming, aimOf } from './aims.js';
import type { AuditNumbers } from './messages.js';
import { payloadOf } from './payload.js';
import type { PushApi } from './push.js';

/** Sent later than this after it was due is late. */
const LATE_MS = 5;

export interface Schedule {
  readonly startedAt: number;
  readonly everyMs: number;
  /** Messages 1 to `all`; the first of those that count is `firstMeasured`. */
  readonly all: number;
  readonly firstMeasured: number;
}

/** Counts of messages. */
export interface Counts {
  readonly offered: number;
  readonly accepted: number;
  readonly refused: number;
  readonly unknown: number;
}

/** Late messages that are sent at once. */
const BURST = 256;
/** Pushes without an answer: more of them only keep the server from answering. */
const UNANSWERED = 20_000;

export class Offer {
  readonly #api: PushApi;
  readonly #aiming: Aiming;
  readonly #sizeBytes: number;
  readonly #now: () => number;
  readonly #accepted: { readonly n: number; readonly id: MessageId | undefined }[] = [];
  readonly #unknown: number[] = [];
  readonly #under = new Set<Promise<void>>();
  readonly #reasons = new Map<string, number>();
  #offered = 0;
  #refused = 0;
  #late = 0;
  #lateMs = 0;

  constructor(api: PushApi, aiming: Aiming, sizeBytes: number, now: () => number) {
    this.#api = api;
    this.#aiming = aiming;
    this.#sizeBytes = sizeBytes;
    this.#now = now;
  }

  /**
   * Offers message after message until all are, or the signal ends it. Answers may still be on their way. Late messages go in
   * bursts that let answers in between, and wait while too many have no answer: they count from when they were due.
   */
  run({ startedAt, everyMs, all }: Schedule, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      let n = 1;
      const go = () => {
        for (let burst = 0; n <= all && !signal.aborted; n++, burst++) {
          if (burst >= BURST) {
            setImmediate(go);
            return;
          }
          if (this.#under.size >= UNANSWERED) {
            setTimeout(go, 1);
            return;
          }
          const due = startedAt + (n - 1) * everyMs;
          const wait = due - this.#now();
          if (wait > 0) {
            setTimeout(go, Math.max(1, Math.floor(wait)));
            return;
          }
          this.#send(n, -wait);
        }
        signal.removeEventListener('abort', go);
        resolve();
      };
      signal.addEventListener('abort', go);
      go();
    });
  }

  /** Resolves when every push has been answered. */
  async answered(): Promise<void> {
    await Promise.all(this.#under);
  }

  get counts(): Counts {
    return {
      offered: this.#offered,
      accepted: this.#accepted.length,
      refused: this.#refused,
      unknown: this.#unknown.length,
    };
  }

  /** How many of the offered were sent over 5 ms late, and how late the latest was. */
  get lateness(): { readonly late: number; readonly mostMs: number } {
    return { late: this.#late, mostMs: this.#lateMs };
  }

  /** Why pushes were refused, or what was heard instead of an answer. */
  get reasons(): ReadonlyMap<string, number> {
    return this.#reasons;
  }

  /** The numbers of what was accepted from message `first` on. */
  acceptedFrom(first: number): number {
    return this.#accepted.reduce((count, { n }) => count + (n >= first ? 1 : 0), 0);
  }

  /**
   * Numbers of what was accepted and concerns the connections, as the log has them; and of what nobody knows of. `withIds`: where
   * the accepted stand in their logs, too.
   */
  numbersFor(first: number, count: number, withIds: boolean): AuditNumbers {
    const concerns = (n: number) => {
      const aim = aimOf(this.#aiming, n);
      return aim.kind !== 'user' || (aim.index >= first && aim.index < first + count);
    };
    const accepted = this.#inOrder().filter(({ n }) => concerns(n));
    const epochs = () => Uint32Array.from(accepted, ({ id }) => id?.epoch ?? 0);
    const ns = () => Float64Array.from(accepted, ({ id }) => id?.n ?? 0);
    return {
      accepted: Uint32Array.from(accepted, ({ n }) => n),
      unknown: Uint32Array.from(this.#unknown.filter(concerns)),
      ids: withIds ? { epochs: epochs(), ns: ns() } : undefined,
    };
  }

  /** Deliveries that what was accepted makes. */
  expected(audience: (aim: Aim) => number): number {
    return this.#accepted.reduce((sum, { n }) => sum + audience(aimOf(this.#aiming, n)), 0);
  }

  #inOrder(): readonly { readonly n: number; readonly id: MessageId | undefined }[] {
    // Where answers tell no place, the order in which they were due has to do.
    return this.#accepted.sort((a, b) => {
      return a.id === undefined || b.id === undefined ? a.n - b.n : compareIds(a.id, b.id);
    });
  }

  #send(n: number, lateMs: number): void {
    this.#offered++;
    if (lateMs > LATE_MS) this.#late++;
    this.#lateMs = Math.max(this.#lateMs, lateMs);
    const pushed = this.#api.push(aimOf(this.#aiming, n), payloadOf(n, this.#sizeBytes)).then((outcome) => {
      this.#under.delete(pushed);
      if (outcome.kind === 'accepted') {
        this.#accepted.push({ n, id: outcome.id });
        return;
      }
      if (outcome.kind === 'refused') this.#refused++;
      else this.#unknown.push(n);
      this.#reasons.set(outcome.reason, (this.#reasons.get(outcome.reason) ?? 0) + 1);
    });
    this.#under.add(pushed);
  }
}
