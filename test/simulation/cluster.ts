// The roles, apart, on one virtual network: the real job, the real logic and the real comet, over a store, a queue and a
// registry that are models or engines in a process of their own. Anything may be killed, paused and started again.

import { createHash } from 'node:crypto';
import { ImgoError } from '../../src/protocol/errors.js';
import type { LogName, NodeId, RoomId, TokenId, UserId } from '../../src/protocol/ids.js';
import { type Comet, createComet } from '../../src/server/comet/comet.js';
import { type CometOptions, cometDefaults } from '../../src/server/comet/options.js';
import { createJob, type Job } from '../../src/server/job/job.js';
import { type LogicParts, logicDefaults } from '../../src/server/logic/options.js';
import { createLogicService, type Logic } from '../../src/server/logic/sessions.js';
import { Tokens } from '../../src/server/logic/tokens.js';
import { createMemoryRegistry } from '../../src/server/router/memory.js';
import type { NodeRecord, Registry } from '../../src/server/router/registry.js';
import type { CometService, LogicService } from '../../src/server/rpc/services.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import type { BucketsOptions } from '../../src/server/store/buckets.js';
import type { Credentials } from '../../src/server/store/credentials.js';
import { createMemoryCredentials } from '../../src/server/store/memory-credentials.js';
import type { Connection } from './connection.js';
import { Ledger } from './ledger.js';
import { ModelBroker } from './log-queue.js';
import { Network } from './network.js';
import { type Scheduler, SimProcess } from './scheduler.js';
import { ModelStore, type StoreRule } from './store.js';

const LEASE_MS = 3_000;
const RENEW_MS = 700;
const SWEEP_MS = 1_000;
/** Of the cluster's shards, the one whose server has the registry. */
const REGISTRY_SHARD = 0;

export interface ClusterOptions {
  readonly rule: StoreRule;
  readonly keep: BucketsOptions['keep'];
  readonly logs: readonly LogName[];
  readonly comets: number;
  readonly jobs: number;
  readonly logics: number;
}

export interface CometNode {
  readonly node: NodeId;
  process: SimProcess;
  comet: Comet | undefined;
  /** When it was listening, connections are taken. */
  accept(connection: Connection): void;
}

interface LogicNode {
  process: SimProcess;
  service: Logic;
  tokens: Tokens;
}

interface JobNode {
  process: SimProcess;
  job: Job;
}

const silent = { warn: () => undefined };

export class Cluster {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly store: ModelStore;
  readonly broker: ModelBroker;
  readonly router: SimProcess;
  readonly registry: Registry;
  readonly comets: CometNode[] = [];
  readonly logics: LogicNode[] = [];
  readonly jobs: JobNode[] = [];
  readonly errors: string[] = [];
  /** Opens that died with their logic. */
  lostOpens = 0;
  readonly #credentials: Credentials = createMemoryCredentials();
  readonly #leases: Ledger<Registry>;
  readonly #vault: SimProcess;
  #names = 0;

  constructor(scheduler: Scheduler, options: ClusterOptions) {
    this.scheduler = scheduler;
    this.network = new Network(scheduler, { minMs: 0.2, maxMs: 5, deadlineMs: 3_000 });
    const buckets: BucketsOptions = {
      keep: options.keep,
      rooms: options.keep,
      devicesPerUser: 8,
      newDevice: 'kept',
      idempotency: { forMs: 600_000, bytes: 1 << 20 },
      forgetLogAfterMs: 3_600_000,
    };
    this.store = new ModelStore(this.#process('store'), buckets, options.rule);
    this.broker = new ModelBroker(this.#process('broker'), {
      epoch: this.store.engine.epoch,
      partitions: 2,
      buckets: [...new Set(options.logs.map(bucketOf))],
      startAt: options.rule === 'marks' ? 'marks' : 'committed',
    });
    this.router = this.#process('router');
    this.#leases = new Ledger(this.router, (clock) => createMemoryRegistry({ clock, leaseMs: LEASE_MS }));
    this.registry = remembered(this.#leases);
    this.#vault = this.#process('vault');
    for (let i = 0; i < options.logics; i++) this.logics.push(this.#logic(`logic-${i}`));
    for (let i = 0; i < options.comets; i++) this.comets.push(this.#comet(`comet-${i}` as NodeId));
    for (let i = 0; i < options.jobs; i++) this.jobs.push(this.#job(`job-${i}`));
    this.rebalance();
    this.#sweep();
  }

  async addToken(token: string, user: UserId, device: string, rooms: readonly RoomId[]): Promise<void> {
    await this.#credentials.putTokens([
      {
        id: tokenIdOf(token),
        hash: createHash('sha256').update(token).digest('hex'),
        user,
        device: device as never,
        rooms,
        createdAt: this.router.now(),
        expiresAt: this.router.now() + 1e9,
        revokedAt: undefined,
        chosen: false,
      },
    ]);
  }

  #process(name: string): SimProcess {
    return new SimProcess(this.scheduler, `${name}#${++this.#names}`);
  }

  // Starting, and starting again.

  #logic(name: string): LogicNode {
    const process = this.#process(name);
    return { process, ...this.#logicOf(process) };
  }

  #logicOf(process: SimProcess): Omit<LogicNode, 'process'> {
    const parts: LogicParts = {
      buckets: this.store.bucketsFor(process, this.network),
      credentials: this.#over(process, this.#vault, this.#credentials),
      registry: this.#over(process, this.router, this.registry),
      clock: process,
      options: { ...logicDefaults, confirmMs: 500 },
      cometFor: (node) => this.#cometService(process, node),
    };
    return { service: createLogicService(parts), tokens: new Tokens(parts) };
  }

  #job(name: string): JobNode {
    const process = this.#process(name);
    return { process, job: this.#startJob(process) };
  }

  #startJob(process: SimProcess): Job {
    const job = createJob({
      queue: this.broker.queueFor(process, this.network),
      buckets: this.store.bucketsFor(process, this.network),
      registry: this.#over(process, this.router, this.registry),
      clock: process,
      cometFor: (record: NodeRecord) => this.#cometService(process, record.node) as CometService,
    });
    job.run(new AbortController().signal).catch((error: unknown) => this.errors.push(`job: ${String(error)}`));
    return job;
  }

  #comet(node: NodeId): CometNode {
    const made: CometNode = {
      node,
      process: this.#process(node),
      comet: undefined,
      accept: (connection) => {
        if (made.comet === undefined || made.process !== connection.server) connection.serverDestroys();
        else made.comet.serve(connection.socket);
      },
    };
    this.#startComet(made);
    return made;
  }

  #startComet(made: CometNode): void {
    const { process, node } = made;
    const options: CometOptions = {
      ...cometDefaults,
      listen: { ...cometDefaults.listen, tcp: undefined, ws: undefined },
      fanout: { ...cometDefaults.fanout, windowMs: 20 },
      limits: { ...cometDefaults.limits, reserveFds: 0 },
    };
    createComet({
      options,
      logic: this.#logicFor(process),
      registry: this.#over(process, this.router, this.registry),
      clock: process,
      log: silent,
      node,
      version: '1',
      renewMs: RENEW_MS,
    }).then(
      (comet) => {
        if (made.process === process) made.comet = comet;
        release(comet);
      },
      // A process that cannot start ends, and is started again.
      () => this.scheduler.schedule(process, 100, () => this.restartComet(made)),
    );
  }

  restartComet(made: CometNode): void {
    made.process.kill();
    made.comet = undefined;
    made.process = this.#process(made.node);
    this.#startComet(made);
  }

  restartLogic(made: LogicNode): void {
    made.process.kill();
    made.process = this.#process('logic');
    Object.assign(made, this.#logicOf(made.process));
  }

  restartJob(made: JobNode): void {
    made.process.kill();
    made.process = this.#process('job');
    made.job = this.#startJob(made.process);
  }

  rebalance(): void {
    this.broker.rebalance(this.jobs.map(({ process }) => process).filter(({ state }) => state !== 'dead'));
  }

  /**
   * The newest writes are lost: of store and registry, which are on one server, or of one shard of a cluster. Whoever
   * watches the store finds out a little later and has every comet re-read.
   */
  failover(writes: number, shard: number | undefined): void {
    this.store.failover(writes, shard);
    if (shard === undefined || shard === REGISTRY_SHARD) this.#leases.failover(writes);
    const tell = async (): Promise<void> => {
      for (const { node, incarnation } of await this.registry.comets())
        await this.registry.markResync(node, incarnation);
    };
    this.router.after(this.scheduler.between(1, 1_500), () => void tell());
  }

  /** What was written so far is safe. */
  settle(): void {
    this.store.settle();
    this.#leases.settle();
  }

  // Who speaks to whom.

  /** A contract of another process: every call goes over the network. */
  #over<T extends object>(from: SimProcess, to: SimProcess, target: T): T {
    return new Proxy(target, {
      get: (_target, name) => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== 'function') return method;
        return (...args: unknown[]) => this.network.call(from, to, () => method.apply(target, args) as unknown);
      },
    });
  }

  #cometService(from: SimProcess, node: NodeId): CometService | undefined {
    const found = this.comets.find((comet) => comet.node === node);
    if (found === undefined) return undefined;
    const call = <T>(run: (service: CometService) => Promise<T>): Promise<T> =>
      this.network.call(from, found.process, () => {
        if (found.comet === undefined) throw new Error('not listening yet');
        return run(found.comet.service);
      });
    const service: Pick<CometService, 'notify' | 'disconnect' | 'resync' | 'members'> = {
      notify: (notifications) => call((comet) => comet.notify(notifications)),
      disconnect: (target, code) => call((comet) => comet.disconnect(target, code)),
      resync: () => call((comet) => comet.resync()),
      members: (room) => call((comet) => comet.members(room)),
    };
    return service as CometService;
  }

  /** Any logic that is up, for each call. */
  #logicFor(from: SimProcess): LogicService {
    return new Proxy({} as LogicService, {
      get: (_target, name) => {
        // Calling off says no more than the time that goes with an open.
        if (name === 'then' || name === 'callOff') return undefined;
        return (...args: unknown[]) => {
          const up = this.logics.filter(({ process }) => process.state !== 'dead');
          const to = up.length === 0 ? this.logics[0] : this.scheduler.pick(up);
          if (to === undefined) throw new Error('no logic');
          const { service } = to;
          // An open whose answer is lost leaves a session behind that nobody holds, until its comet ends: a request that
          // is on its way is not lost, as over one connection, unless the logic dies with it.
          const call =
            name === 'open' ? this.network.lossless.bind(this.network) : this.network.call.bind(this.network);
          return call(from, to.process, () => {
            const method: unknown = Reflect.get(service, name);
            if (typeof method !== 'function') throw new Error(`logic has no ${String(name)}`);
            return method.apply(service, args) as unknown;
          }).catch((error: unknown) => {
            if (name === 'open' && error instanceof ImgoError && error.code === 'outcome_unknown') this.lostOpens++;
            throw error;
          });
        };
      },
    });
  }

  /** What upkeep does in a cluster: sessions of incarnations that ended are swept, expired entries go. */
  #sweep(): void {
    this.router.every(SWEEP_MS, () => {
      void this.registry.nodes().then(async (nodes) => {
        for (const { node, incarnation, state } of nodes) {
          const keep = state === 'gone' ? incarnation + 1 : incarnation;
          await this.store.write((engine) => engine.dropComet(node, keep));
        }
        await this.store.write((engine) => engine.maintain());
      });
    });
  }
}

/** Calls that change something. */
const WRITES: ReadonlySet<string> = new Set<keyof Registry>([
  'join',
  'renew',
  'leave',
  'addRoom',
  'removeRoom',
  'markResync',
  'resynced',
]);

/** A registry whose writes may be lost. */
function remembered(ledger: Ledger<Registry>): Registry {
  return new Proxy({} as Registry, {
    get: (_target, name) => {
      return (...args: unknown[]): Promise<unknown> => {
        const run = (engine: Registry): Promise<unknown> => {
          const method = Reflect.get(engine, name) as (...given: unknown[]) => Promise<unknown>;
          return method.apply(engine, args);
        };
        return WRITES.has(String(name)) ? ledger.write(run) : run(ledger.engine);
      };
    },
  });
}

/** What a comet measures of this process is no part of the simulation. */
function release(comet: Comet): void {
  const service = comet.service as CometService & { stop?(): void };
  service.stop?.();
}

/** The public name of a client's token. */
export function tokenIdOf(token: string): TokenId {
  return `t-${token}` as TokenId;
}
