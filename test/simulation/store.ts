// A store as one may have it behind a network: the real memory engine, executed one bucket script at a time, with the whole
// history of what was written. A failover takes the newest writes away, though they were confirmed.

import { type LogName, type MessageId, ZERO_ID } from '../../src/protocol/ids.js';
import type { Clock } from '../../src/server/clock.js';
import type {
  ApplyGroup,
  Buckets,
  BucketsOptions,
  GroupResult,
  SessionRecord,
} from '../../src/server/store/buckets.js';
import { createMemoryBuckets } from '../../src/server/store/memory.js';
import type { Network } from './network.js';
import type { SimProcess } from './scheduler.js';

/** `marks`: the design's rule. `refused-is-applied`: what the store knows already counts as success; never behind. */
export type StoreRule = 'marks' | 'refused-is-applied';

interface Write {
  /** Wall and monotonic ms of the store when it was written. */
  readonly now: number;
  readonly monotonic: number;
  readonly run: (engine: Buckets) => unknown;
}

/** The store's time, which goes through the past again when history is replayed. */
class ReplayClock {
  at: { now: number; monotonic: number } | undefined;
  readonly process: SimProcess;

  constructor(process: SimProcess) {
    this.process = process;
  }

  get clock(): Clock {
    const { process } = this;
    return {
      now: () => this.at?.now ?? process.now(),
      monotonic: () => this.at?.monotonic ?? process.monotonic(),
      after: (ms, run) => process.after(ms, run),
      every: (ms, run) => process.every(ms, run),
      clear: (timer) => process.clear(timer),
      soon: (run) => process.soon(run),
      random: () => process.random(),
      randomBytes: (length) => process.randomBytes(length),
    };
  }
}

export class ModelStore {
  readonly process: SimProcess;
  readonly rule: StoreRule;
  /** Probability that a script runs and its answer is lost, or that it does not run at all. */
  faults = 0;
  failovers = 0;
  lostWrites = 0;
  engine: Buckets;
  readonly #options: BucketsOptions;
  readonly #replay: ReplayClock;
  readonly #born: { now: number; monotonic: number };
  #history: Write[] = [];
  /** By device: the session that opened its cursor last. */
  readonly #openers = new Map<string, string>();
  #safe = 0;

  constructor(process: SimProcess, options: BucketsOptions, rule: StoreRule) {
    this.process = process;
    this.rule = rule;
    this.#options = options;
    this.#replay = new ReplayClock(process);
    this.#born = { now: process.now(), monotonic: process.monotonic() };
    this.engine = createMemoryBuckets(options, this.#replay.clock);
  }

  /** The newest `writes` are gone. */
  failover(writes: number): void {
    this.failovers++;
    const kept = Math.max(this.#safe, this.#history.length - writes);
    this.lostWrites += this.#history.length - kept;
    this.#history = this.#history.slice(0, kept);
    this.#openers.clear();
    this.#replay.at = this.#born;
    this.engine = createMemoryBuckets(this.#options, this.#replay.clock);
    for (const write of this.#history) {
      this.#replay.at = write;
      write.run(this.engine);
    }
    this.#replay.at = undefined;
  }

  /** Writes from now on may be lost; those before are safe. */
  settle(): void {
    this.#safe = this.#history.length;
  }

  /** Whether a log has this entry now. */
  async holds(log: LogName, id: MessageId): Promise<boolean> {
    const before = { epoch: id.epoch, n: id.n - 1 };
    const { items } = await this.engine.read(log, before, { entries: 1, bytes: 1 << 20 });
    const [first] = items;
    return first?.kind === 'entry' && first.entry.id.n === id.n;
  }

  /** Executes a write now, and remembers it. The engine's methods act before they return. */
  write<T>(run: (engine: Buckets) => Promise<T>): Promise<T> {
    this.#history.push({ now: this.process.now(), monotonic: this.process.monotonic(), run });
    return run(this.engine);
  }

  async apply(groups: readonly ApplyGroup[]): Promise<readonly GroupResult[]> {
    const results: GroupResult[] = [];
    for (const group of groups) {
      // A script of its own each: those before the fault have run.
      if (this.process.scheduler.chance(this.faults)) throw new Error('the connection to the store broke');
      results.push(this.rule === 'marks' ? await this.#script(group) : await this.#markless(group));
      if (this.process.scheduler.chance(this.faults)) throw new Error('the answer of the store was lost');
    }
    return results;
  }

  async #script(group: ApplyGroup): Promise<GroupResult> {
    const [result] = await this.write((engine) => engine.apply([group]));
    if (result === undefined) throw new Error('no result');
    return result;
  }

  /** No mark is checked, and what is not newer than the log's head is taken for applied. */
  #markless(group: ApplyGroup): Promise<GroupResult> {
    return this.#script({ ...group, lastSeen: ZERO_ID });
  }

  /** The contract as a process sees it, over the network. */
  bucketsFor(from: SimProcess, network: Network): Buckets {
    const ask = <T>(run: (engine: Buckets) => Promise<T>): Promise<T> =>
      network.call(from, this.process, () => run(this.engine));
    const tell = <T>(run: (engine: Buckets) => Promise<T>): Promise<T> =>
      network.call(from, this.process, () => this.write(run));
    const { epoch } = this.engine;
    return {
      epoch,
      apply: (groups) => network.call(from, this.process, () => this.apply(groups)),
      marks: (buckets) => ask((engine) => engine.marks(buckets)),
      keyUses: (asked) => ask((engine) => engine.keyUses(asked)),
      sessionsOf: (users) => ask((engine) => engine.sessionsOf(users)),
      read: (log: LogName, after: MessageId, limit) => ask((engine) => engine.read(log, after, limit)),
      log: (log) => ask((engine) => engine.log(log)),
      register: (session, options) => tell((engine) => engine.register(session, options)),
      unregister: (session, user, incarnation, seq) =>
        tell((engine) => engine.unregister(session, user, incarnation, seq)),
      dropComet: (comet, keep) => tell((engine) => engine.dropComet(comet, keep)),
      sessions: (page) => ask((engine) => engine.sessions(page)),
      openCursor: (session, given) =>
        tell((engine) => {
          this.#openers.set(deviceOf(session), session.session);
          return engine.openCursor(session, given);
        }),
      progress: (session, upTo, acknowledge) => tell((engine) => engine.progress(session, upTo, acknowledge)),
      // Repeated late, the close of an earlier session says nothing of the one that came after it and crashed. One process
      // has no such repetition; an engine behind a network has to know who opened last.
      closeCursor: (session, sentTo, clean) =>
        tell((engine) => {
          const last = this.#openers.get(deviceOf(session)) === session.session;
          return engine.closeCursor(session, sentTo, clean && last);
        }),
      devices: (user) => ask((engine) => engine.devices(user)),
      maintain: () => tell((engine) => engine.maintain()),
      flush: () => ask((engine) => engine.flush()),
      health: () => this.engine.health(),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
}

function deviceOf({ user, device }: SessionRecord): string {
  return JSON.stringify([user, device]);
}
