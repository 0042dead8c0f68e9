// A store as one may have it behind a network: the real memory engine, executed one bucket script at a time, with the whole
// history of what was written. A failover takes the newest writes away, though they were confirmed: of everything, as where
// one server has it all, or of the buckets of one shard, as in a cluster.

import { type LogName, type MessageId, type UserId, userLog, ZERO_ID } from '../../src/protocol/ids.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import type {
  ApplyGroup,
  Buckets,
  BucketsOptions,
  GroupResult,
  SessionRecord,
} from '../../src/server/store/buckets.js';
import { createMemoryBuckets } from '../../src/server/store/memory.js';
import { Ledger } from './ledger.js';
import type { Network } from './network.js';
import type { SimProcess } from './scheduler.js';

/** `marks`: the design's rule. `refused-is-applied`: what the store knows already counts as success; never behind. */
export type StoreRule = 'marks' | 'refused-is-applied';

/** Primaries of a cluster that the buckets are spread over. */
export const SHARDS = 3;

export class ModelStore {
  readonly process: SimProcess;
  readonly rule: StoreRule;
  /** Probability that a script runs and its answer is lost, or that it does not run at all. */
  faults = 0;
  failovers = 0;
  lostWrites = 0;
  readonly #ledger: Ledger<Buckets>;
  /** By device: the session that opened its cursor last. */
  readonly #openers = new Map<string, string>();

  constructor(process: SimProcess, options: BucketsOptions, rule: StoreRule) {
    this.process = process;
    this.rule = rule;
    this.#ledger = new Ledger(process, (clock) => createMemoryBuckets(options, clock));
  }

  get engine(): Buckets {
    return this.#ledger.engine;
  }

  /** The newest `writes` are gone; `shard`: those of its buckets only. */
  failover(writes: number, shard?: number): void {
    this.failovers++;
    this.lostWrites += this.#ledger.failover(writes, shard);
    this.#openers.clear();
  }

  /** Writes from now on may be lost; those before are safe. */
  settle(): void {
    this.#ledger.settle();
  }

  /** Whether a log has this entry now. */
  async holds(log: LogName, id: MessageId): Promise<boolean> {
    const before = { epoch: id.epoch, n: id.n - 1 };
    const { items } = await this.engine.read(log, before, { entries: 1, bytes: 1 << 20 });
    const [first] = items;
    return first?.kind === 'entry' && first.entry.id.n === id.n;
  }

  /** Executes a write now, and remembers it. `bucket`: the one that it is in, if it is one. */
  write<T>(run: (engine: Buckets) => Promise<T>, bucket?: number): Promise<T> {
    return this.#ledger.write(run, bucket === undefined ? undefined : bucket % SHARDS);
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
    const [result] = await this.write((engine) => engine.apply([group]), group.bucket);
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
    const tell = <T>(run: (engine: Buckets) => Promise<T>, user?: UserId): Promise<T> =>
      network.call(from, this.process, () => this.write(run, user === undefined ? undefined : bucketOf(userLog(user))));
    const { epoch } = this.engine;
    return {
      epoch,
      apply: (groups) => network.call(from, this.process, () => this.apply(groups)),
      marks: (buckets) => ask((engine) => engine.marks(buckets)),
      keyUses: (asked) => ask((engine) => engine.keyUses(asked)),
      sessionsOf: (users) => ask((engine) => engine.sessionsOf(users)),
      read: (log: LogName, after: MessageId, limit) => ask((engine) => engine.read(log, after, limit)),
      log: (log) => ask((engine) => engine.log(log)),
      register: (session, options) => tell((engine) => engine.register(session, options), session.user),
      unregister: (session, user, incarnation, seq) =>
        tell((engine) => engine.unregister(session, user, incarnation, seq), user),
      dropComet: (comet, keep) => tell((engine) => engine.dropComet(comet, keep)),
      sessions: (page) => ask((engine) => engine.sessions(page)),
      openCursor: (session, given) =>
        tell((engine) => {
          this.#openers.set(deviceOf(session), session.session);
          return engine.openCursor(session, given);
        }, session.user),
      progress: (session, upTo, acknowledge) =>
        tell((engine) => engine.progress(session, upTo, acknowledge), session.user),
      // Repeated late, the close of an earlier session says nothing of the one that came after it and crashed. One process
      // has no such repetition; an engine behind a network has to know who opened last.
      closeCursor: (session, sentTo, clean) =>
        tell((engine) => {
          const last = this.#openers.get(deviceOf(session)) === session.session;
          return engine.closeCursor(session, sentTo, clean && last);
        }, session.user),
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
