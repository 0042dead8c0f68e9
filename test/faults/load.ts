// Pushes of every kind over HTTP to whichever logic answers, at a steady pace, each with a line in the journal of what became
// of it: accepted under an id, refused (then it must never arrive), or unknown (then it may). A push with an idempotency key
// is asked again until its fate is known, as its caller would.
import { setTimeout as wait } from 'node:timers/promises';
import { fingerprint, type Journal, type PusherLine } from '../harness/journal.js';
import { call } from '../harness/pusher.js';

export interface LoadOptions {
  readonly seed: number;
  readonly random: () => number;
  readonly journal: Journal<PusherLine>;
  /** Base addresses of logics that are to be asked; some may not answer. */
  readonly logics: () => readonly string[];
  readonly users: readonly string[];
  readonly rooms: readonly string[];
  /** Pushes under way at once. */
  readonly inFlight: number;
}

/** A caller waits so long for an answer. */
const ANSWER_MS = 5_000;
/** Whoever was refused, or found nobody, waits before the next push. */
const REFUSED_MS = 50;
/** One with a key is asked about for so long. */
const PATIENCE_MS = 90_000;

interface Push {
  /** `user:1`, `room:r`, `all`: one, or several users. */
  readonly to: readonly string[];
  readonly message: string;
  readonly ephemeral: boolean;
  readonly key: string | undefined;
}

/** What a push is answered, by target. */
type Fate = Pick<PusherLine, 'outcome' | 'id' | 'code'> & {
  /** Asking again changes nothing. */
  readonly final?: boolean;
};

export class Load {
  readonly #options: LoadOptions;
  readonly #ends = new AbortController();
  #no = 0;
  #began = 0;
  #perSecond = 0;
  done = 0;
  /** Targets of pushes, by what became of them. */
  readonly counts = { accepted: 0, refused: 0, unknown: 0 };
  readonly refusals = new Map<string, number>();

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  /** Pushes until `enough` says so, at most so many a second. Resolves when each has its line in the journal. */
  async run(perSecond: number, enough: () => boolean): Promise<void> {
    this.#began = performance.now() - (this.#no * 1_000) / perSecond;
    this.#perSecond = perSecond;
    const worker = async (): Promise<void> => {
      while (!enough() && !this.#ends.signal.aborted) {
        const push = this.#next();
        await this.#due();
        const refused = await this.#settle(push);
        this.done++;
        if (refused) await wait(REFUSED_MS);
      }
    };
    await Promise.all(Array.from({ length: this.#options.inFlight }, worker));
  }

  /** What has no answer yet counts as unknown, soon. */
  giveUp(): void {
    this.#ends.abort();
  }

  async #due(): Promise<void> {
    const ahead = this.#began + (this.#no * 1_000) / this.#perSecond - performance.now();
    if (ahead > 5) await wait(ahead);
  }

  #next(): Push {
    const { random, seed, users, rooms } = this.#options;
    const no = ++this.#no;
    const one = (from: readonly string[]): string => from[Math.floor(random() * from.length)] ?? '';
    const dice = random();
    const several = (): string[] => Array.from({ length: 2 + Math.floor(random() * 5) }, () => `user:${one(users)}`);
    const to =
      dice < 0.8
        ? [`user:${one(users)}`]
        : dice < 0.9
          ? [...new Set(several())]
          : dice < 0.999
            ? [`room:${one(rooms)}`]
            : ['all'];
    const text = '订单 🚚 طلب '.repeat(Math.floor(random() * 8));
    const ephemeral = random() < 0.05;
    const key = !ephemeral && random() < 0.25 ? `k${seed}-${no}` : undefined;
    return { to, message: JSON.stringify({ no, text, seed }), ephemeral, key };
  }

  /** Writes a line for each target. Answers whether it was refused. */
  async #settle(push: Push): Promise<boolean> {
    const fates = await this.#fates(push);
    for (const [to, { final: _, ...fate }] of fates) {
      const line: PusherLine = { ...fingerprint(push.message), to, ...fate };
      this.#options.journal.write(push.ephemeral ? { ...line, ephemeral: true } : line);
      this.counts[fate.outcome]++;
      const { code } = fate;
      if (code !== undefined) this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
    }
    return [...fates.values()].some(({ outcome }) => outcome !== 'accepted');
  }

  async #fates(push: Push): Promise<ReadonlyMap<string, Fate>> {
    const until = performance.now() + PATIENCE_MS;
    /** Targets that an earlier attempt may have reached. */
    const maybe = new Set<string>();
    for (;;) {
      const fates = await this.#ask(push);
      for (const [to, { outcome }] of fates) if (outcome === 'unknown') maybe.add(to);
      const settled = [...fates.values()].every(({ outcome, final }) => outcome === 'accepted' || final === true);
      if (settled || push.key === undefined || performance.now() > until || this.#ends.signal.aborted) {
        for (const [to, fate] of fates) {
          if (fate.outcome === 'refused' && maybe.has(to)) fates.set(to, { ...fate, outcome: 'unknown' });
        }
        return fates;
      }
      await wait(REFUSED_MS * 2);
    }
  }

  async #ask({ to, message, ephemeral, key }: Push): Promise<Map<string, Fate>> {
    const all = (fate: Fate): Map<string, Fate> => new Map(to.map((each) => [each, fate]));
    const logics = this.#options.logics();
    const base = logics[Math.floor(this.#options.random() * logics.length)];
    if (base === undefined) return all({ outcome: 'refused', code: 'nobody' });
    const body = `{"to":${targetOf(to)},"message":${message}${ephemeral ? ',"ttl":0' : ''}}`;
    try {
      const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key };
      const answer = await call(`${base}/v1/push`, 'POST', body, headers, ANSWER_MS);
      const said = JSON.parse(answer.body) as {
        id?: string | null;
        ids?: Record<string, string | null>;
        errors?: Record<string, string>;
        code?: string;
        retryable?: boolean;
      };
      if (answer.status === 504) return all({ outcome: 'unknown', code: said.code ?? '504' });
      if (answer.status !== 200) {
        const final = said.retryable === false;
        return all({ outcome: 'refused', code: said.code ?? `${answer.status}`, final });
      }
      if (said.ids === undefined) return all(accepted(said.id));
      const { ids, errors = {} } = said;
      return new Map(to.map((each) => [each, fateOf(each.slice('user:'.length), ids, errors)]));
    } catch (error) {
      const { code = String(error) } = error as NodeJS.ErrnoException;
      // Nothing was sent.
      if (code === 'ECONNREFUSED') return all({ outcome: 'refused', code });
      return all({ outcome: 'unknown', code });
    }
  }
}

function accepted(id: string | null | undefined): Fate {
  return typeof id === 'string' ? { outcome: 'accepted', id } : { outcome: 'accepted' };
}

function fateOf(user: string, ids: Record<string, string | null>, errors: Record<string, string>): Fate {
  const code = errors[user];
  if (code === undefined)
    return Object.hasOwn(ids, user) ? accepted(ids[user]) : { outcome: 'unknown', code: 'unanswered' };
  return { outcome: code === 'outcome_unknown' ? 'unknown' : 'refused', code };
}

function targetOf(to: readonly string[]): string {
  const [first = '', ...more] = to;
  if (first === 'all') return '{"all":true}';
  if (first.startsWith('room:')) return JSON.stringify({ room: first.slice('room:'.length) });
  const users = to.map((each) => each.slice('user:'.length));
  return more.length === 0 ? JSON.stringify({ user: users[0] }) : JSON.stringify({ users });
}
