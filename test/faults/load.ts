// Pushes of every kind, alone and in batches, over HTTP to whichever logic answers, at a steady pace, each with a line in the journal of what became
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

/** Of requests: so many are batches, of so many pushes. */
const BATCHES = 0.2;
const BATCH = 20;

interface Push {
  /** `user:1`, `room:r`, `all`: one, or several users. */
  readonly to: readonly string[];
  readonly message: string;
  readonly ephemeral: boolean;
}

/** What is asked at once: a push, or a batch of them. */
interface Request {
  readonly pushes: readonly Push[];
  readonly key: string | undefined;
}

/** One target of one push. */
interface Aim {
  readonly push: Push;
  readonly to: string;
}

/** What an aim is answered. */
type Fate = Pick<PusherLine, 'outcome' | 'id' | 'code'> & {
  /** Asking again changes nothing. */
  readonly final?: boolean;
};

/** Of an answer, or of a line of one. */
interface Said {
  readonly id?: string | null;
  readonly ids?: Readonly<Record<string, string | null>>;
  readonly errors?: Readonly<Record<string, string>>;
  readonly code?: string;
  readonly retryable?: boolean;
  readonly error?: { readonly code: string; readonly retryable?: boolean };
}

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
        const request = this.#next();
        await this.#due();
        const refused = await this.#settle(request);
        this.done += request.pushes.length;
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

  #next(): Request {
    const { random, seed } = this.#options;
    const batch = random() < BATCHES;
    const keyed = random() < 0.25;
    const first = this.#no + 1;
    const pushes = Array.from({ length: batch ? BATCH : 1 }, () => this.#push(!keyed));
    return { pushes, key: keyed ? `k${seed}-${first}` : undefined };
  }

  #push(maybeEphemeral: boolean): Push {
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
    const ephemeral = maybeEphemeral && random() < 0.07;
    return { to, message: JSON.stringify({ no, text, seed }), ephemeral };
  }

  /** Writes a line for each aim. Answers whether something was refused. */
  async #settle(request: Request): Promise<boolean> {
    const fates = await this.#fates(request);
    for (const [{ push, to }, { final: _, ...fate }] of fates) {
      const line: PusherLine = { ...fingerprint(push.message), to, ...fate };
      this.#options.journal.write(push.ephemeral ? { ...line, ephemeral: true } : line);
      this.counts[fate.outcome]++;
      const { code } = fate;
      if (code !== undefined) this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
    }
    return [...fates.values()].some(({ outcome }) => outcome !== 'accepted');
  }

  async #fates(request: Request): Promise<ReadonlyMap<Aim, Fate>> {
    const aims = request.pushes.flatMap((push) => push.to.map((to): Aim => ({ push, to })));
    const until = performance.now() + PATIENCE_MS;
    /** What an earlier attempt may have reached. */
    const maybe = new Set<Aim>();
    for (;;) {
      const fates = await this.#ask(request, aims);
      for (const [aim, { outcome }] of fates) if (outcome === 'unknown') maybe.add(aim);
      const settled = [...fates.values()].every(({ outcome, final }) => outcome === 'accepted' || final === true);
      if (settled || request.key === undefined || performance.now() > until || this.#ends.signal.aborted) {
        for (const [aim, fate] of fates) {
          if (fate.outcome === 'refused' && maybe.has(aim)) fates.set(aim, { ...fate, outcome: 'unknown' });
        }
        return fates;
      }
      await wait(REFUSED_MS * 2);
    }
  }

  async #ask({ pushes, key }: Request, aims: readonly Aim[]): Promise<Map<Aim, Fate>> {
    const all = (fate: Fate): Map<Aim, Fate> => new Map(aims.map((aim) => [aim, fate]));
    const logics = this.#options.logics();
    const base = logics[Math.floor(this.#options.random() * logics.length)];
    if (base === undefined) return all({ outcome: 'refused', code: 'nobody' });
    const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key };
    const path = pushes.length === 1 ? '/v1/push' : '/v1/push/batch';
    try {
      const answer = await call(`${base}${path}`, 'POST', pushes.map(bodyOf).join('\n'), headers, ANSWER_MS);
      const lines = answer.body.trimEnd().split('\n');
      const said = lines.map((line) => JSON.parse(line) as Said);
      const [first] = said;
      if (answer.status === 504) return all({ outcome: 'unknown', code: first?.code ?? '504' });
      if (answer.status !== 200) {
        const code = first?.code ?? `${answer.status}`;
        return all({ outcome: 'refused', code, final: first?.retryable === false });
      }
      const fates = new Map<Aim, Fate>();
      for (const aim of aims) fates.set(aim, fateOf(aim, said[pushes.indexOf(aim.push)]));
      return fates;
    } catch (error) {
      const { code = String(error) } = error as NodeJS.ErrnoException;
      // Nothing was sent.
      if (code === 'ECONNREFUSED') return all({ outcome: 'refused', code });
      return all({ outcome: 'unknown', code });
    }
  }
}

function fateOf({ push, to }: Aim, said: Said | undefined): Fate {
  if (said === undefined) return { outcome: 'unknown', code: 'unanswered' };
  if (said.error !== undefined) return failed(said.error.code, said.error.retryable === false);
  if (push.to.length === 1 && said.ids === undefined) return accepted(said.id);
  const user = to.slice('user:'.length);
  const code = said.errors?.[user];
  if (code !== undefined) return failed(code, false);
  return Object.hasOwn(said.ids ?? {}, user) ? accepted(said.ids?.[user]) : { outcome: 'unknown', code: 'unanswered' };
}

function accepted(id: string | null | undefined): Fate {
  return typeof id === 'string' ? { outcome: 'accepted', id } : { outcome: 'accepted' };
}

function failed(code: string, final: boolean): Fate {
  return code === 'outcome_unknown' ? { outcome: 'unknown', code } : { outcome: 'refused', code, final };
}

function bodyOf({ to, message, ephemeral }: Push): string {
  return `{"to":${targetOf(to)},"message":${message}${ephemeral ? ',"ttl":0' : ''}}`;
}

function targetOf(to: readonly string[]): string {
  const [first = '', ...more] = to;
  if (first === 'all') return '{"all":true}';
  if (first.startsWith('room:')) return JSON.stringify({ room: first.slice('room:'.length) });
  const users = to.map((each) => each.slice('user:'.length));
  return more.length === 0 ? JSON.stringify({ user: users[0] }) : JSON.stringify({ users });
}
