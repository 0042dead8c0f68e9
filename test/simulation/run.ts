// One run: a cluster, some devices, pushes, and a number of misfortunes at seeded moments; then peace, and judgement.

import { ImgoError } from '../../src/protocol/errors.js';
import { ALL_LOG, type LogName, type RoomId, roomLog, type UserId, userLog } from '../../src/protocol/ids.js';
import type { PushRecord } from '../../src/server/store/buckets.js';
import { seededRandom } from '../harness/random.js';
import { SimClient } from './client.js';
import { Cluster, tokenIdOf } from './cluster.js';
import { type Submitted, UNREGISTERED, violations } from './invariants.js';
import { Scheduler, SimProcess } from './scheduler.js';
import { SHARDS, type StoreRule } from './store.js';

export interface RunOptions {
  readonly seed: number;
  readonly rule?: StoreRule;
  /** Told of every misfortune, and of every arrival at the end. */
  readonly trace?: (line: string) => void;
}

export interface RunResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly events: number;
  readonly pushes: number;
  readonly deliveries: number;
  readonly failovers: number;
  readonly seeks: number;
}

const CALM_MS = 3_000;
const STORM_MS = 12_000;
const REST_MS = 25_000;
/** A comet's round of asking, and some time to come back. */
const REVALIDATED_MS = 75_000;
const EVENT_BUDGET = 400_000;

const USERS = ['1', '2', '3'] as UserId[];
const ROOM = 'r' as RoomId;
const ROOM_LOG = roomLog(ROOM);

export async function run({ seed, rule = 'marks', trace }: RunOptions): Promise<RunResult> {
  const random = seededRandom(seed);
  const scheduler = new Scheduler(random);
  const ample = random() < 0.75;
  const logs: LogName[] = [...USERS.map(userLog), ROOM_LOG, ALL_LOG];
  const cluster = new Cluster(scheduler, {
    rule,
    logs,
    keep: ample
      ? { messages: 1_000, bytes: 1 << 20, ageMs: 3_600_000 }
      : { messages: 6, bytes: 1 << 20, ageMs: 3_600_000 },
    comets: 2,
    jobs: 2,
    logics: 2,
  });
  const clients = await createClients(scheduler, cluster);
  const submitted = new Map<string, Submitted>();
  for (const client of clients) client.start();
  // Everybody is there once, so that every device is known.
  await scheduler.run(CALM_MS, EVENT_BUDGET);
  cluster.settle();

  const storm = new Storm(scheduler, cluster, clients, submitted, ample, trace);
  storm.begin();
  await scheduler.run(CALM_MS + STORM_MS, EVENT_BUDGET);
  storm.end();
  await scheduler.run(CALM_MS + STORM_MS + REST_MS, EVENT_BUDGET);

  if (trace !== undefined) for (const client of clients) for (const line of client.story()) trace(line);
  let found = await violations({ cluster, clients, submitted, ample });
  // What a logic that died could not tell a comet, the comet asks for once a minute.
  if (found.some((line) => line.startsWith(UNREGISTERED))) {
    await scheduler.run(scheduler.now + REVALIDATED_MS, EVENT_BUDGET);
    found = await violations({ cluster, clients, submitted, ample });
  }
  return {
    seed,
    violations: found,
    events: scheduler.events,
    pushes: submitted.size,
    deliveries: clients.reduce((sum, { journal }) => sum + journal.flat().length, 0),
    failovers: cluster.store.failovers,
    seeks: cluster.broker.seeks,
  };
}

async function createClients(scheduler: Scheduler, cluster: Cluster): Promise<readonly SimClient[]> {
  const clients: SimClient[] = [];
  for (const [index, user] of [...USERS, ...USERS.slice(0, 2)].entries()) {
    const name = `d${index}`;
    const rooms = index % 2 === 0 ? [ROOM] : [];
    await cluster.addToken(`token-${name}`, user, name, rooms);
    const cursor = scheduler.chance(0.5) ? 'own' : 'stored';
    const options = { name, user, token: `token-${name}`, cursor, rooms } as const;
    clients.push(new SimClient(new SimProcess(scheduler, name), cluster.network, options, () => cluster.comets));
  }
  return clients;
}

/** The misfortunes. */
class Storm {
  readonly #scheduler: Scheduler;
  readonly #cluster: Cluster;
  readonly #clients: readonly SimClient[];
  readonly #submitted: Map<string, Submitted>;
  readonly #ample: boolean;
  /** How often each kind happens, by seed: some storms have no crash, some no failover. */
  readonly #weights: readonly (readonly [number, () => void])[];
  readonly #trace: (line: string) => void;
  #over = false;
  #pushes = 0;
  #failovers = 0;
  #revoked = false;

  constructor(
    scheduler: Scheduler,
    cluster: Cluster,
    clients: readonly SimClient[],
    submitted: Map<string, Submitted>,
    ample: boolean,
    trace: ((line: string) => void) | undefined,
  ) {
    this.#trace = (line) => trace?.(`${scheduler.now.toFixed(1)} ${line}`);
    this.#scheduler = scheduler;
    this.#cluster = cluster;
    this.#clients = clients;
    this.#submitted = submitted;
    this.#ample = ample;
    const often = (weight: number): number => (scheduler.chance(0.6) ? weight : 0);
    this.#weights = [
      [30, () => this.#push()],
      [often(4), () => this.#dropClient()],
      [often(3), () => this.#stallClient()],
      [often(3), () => cluster.rebalance()],
      [often(2), () => this.#crashJob()],
      [often(1.5), () => this.#crashComet()],
      [often(1), () => cluster.restartLogic(scheduler.pick(cluster.logics))],
      [often(3), () => this.#pause()],
      [often(1.5), () => this.#failover()],
      [often(0.4), () => this.#revoke()],
      [often(2), () => this.#badNetwork()],
      [often(2), () => this.#badStore()],
    ];
  }

  begin(): void {
    this.#next();
  }

  /** The network and the store are well, whoever was away comes back. */
  end(): void {
    const { network, store, comets, logics, jobs, broker } = this.#cluster;
    this.#over = true;
    network.loss = 0;
    network.delays = 0;
    store.faults = 0;
    for (const { process } of [...comets, ...logics, ...jobs]) process.resume();
    for (const process of [store.process, broker.process, this.#cluster.router]) process.resume();
    for (const client of this.#clients) client.unstall();
  }

  #next(): void {
    if (this.#over) return;
    this.#scheduler.schedule(undefined, this.#scheduler.between(1, 120), () => {
      if (this.#over) return;
      this.#happen();
      this.#next();
    });
  }

  #happen(): void {
    const total = this.#weights.reduce((sum, [weight]) => sum + weight, 0);
    let at = this.#scheduler.random() * total;
    for (const [weight, act] of this.#weights) {
      at -= weight;
      if (at < 0) {
        act();
        return;
      }
    }
  }

  #push(): void {
    const scheduler = this.#scheduler;
    const logics = this.#cluster.logics.filter(({ process }) => process.state === 'running');
    const burst = scheduler.chance(0.3) ? 5 : 1;
    for (let i = 0; i < burst; i++) {
      if (logics.length === 0) return;
      const process = scheduler.pick(logics).process;
      const log = scheduler.chance(0.7) ? userLog(scheduler.pick(USERS)) : scheduler.chance(0.6) ? ROOM_LOG : ALL_LOG;
      const body = `m${++this.#pushes}`;
      const keyed = scheduler.chance(0.2);
      const push: Submitted = { log, body, outcome: 'pending', id: undefined, keyed };
      this.#submitted.set(body, push);
      const acceptedAt = process.now();
      const ttl = !this.#ample && scheduler.chance(0.3) ? 2_000 : 3_000_000;
      const idempotency = { scope: 'k', key: body, bodyHash: body };
      const record: PushRecord = {
        log,
        payload: new TextEncoder().encode(body),
        acceptedAt,
        expiresAt: acceptedAt + ttl,
        ...(keyed ? { idempotency } : {}),
      };
      this.#accept(process, record, push, keyed ? 4 : 1);
    }
  }

  /** A caller with a key repeats what it does not know the outcome of. */
  #accept(process: SimProcess, record: PushRecord, push: Submitted, attempts: number): void {
    this.#cluster.broker
      .queueFor(process, this.#cluster.network)
      .accept(record)
      .then(
        ({ id }) => {
          push.outcome = 'accepted';
          push.id = id;
          this.#trace(`${push.body} is ${push.log}@${id.n}`);
        },
        (error: unknown) => {
          const refused = error instanceof ImgoError && error.code !== 'outcome_unknown';
          // Refused now says nothing of the attempt before.
          push.outcome = refused && push.outcome === 'pending' ? 'refused' : 'unknown';
          if (attempts === 1) return;
          push.outcome = 'unknown';
          process.after(100, () => this.#accept(process, record, push, attempts - 1));
        },
      );
  }

  /** A token is revoked; what its holder may still get is judged from the answer on. */
  #revoke(): void {
    if (this.#revoked) return;
    this.#revoked = true;
    const client = this.#scheduler.pick(this.#clients);
    const attempt = (): void => {
      const { process, tokens } = this.#scheduler.pick(this.#cluster.logics);
      if (process.state !== 'running') {
        this.#scheduler.schedule(undefined, 200, attempt);
        return;
      }
      process.onDeath.add(attempt);
      tokens.revoke({ id: tokenIdOf(client.options.token) }).then(
        () => {
          process.onDeath.delete(attempt);
          // What is in its kernel was written before.
          client.revokedAt = client.stalled ? Number.MAX_VALUE : this.#scheduler.now;
          this.#trace(`${client.options.name} is revoked`);
        },
        () => {
          process.onDeath.delete(attempt);
          this.#scheduler.schedule(undefined, 200, attempt);
        },
      );
    };
    attempt();
  }

  #dropClient(): void {
    const scheduler = this.#scheduler;
    const client = scheduler.pick(this.#clients);
    const silence = scheduler.chance(0.5) ? 0 : scheduler.between(10, 8_000);
    this.#trace(`${client.options.name} drops, silent for ${silence.toFixed(0)}`);
    client.drop(silence);
  }

  #stallClient(): void {
    const client = this.#scheduler.pick(this.#clients);
    client.stall();
    this.#trace(`${client.options.name} stalls`);
    this.#scheduler.schedule(undefined, this.#scheduler.between(50, 3_000), () => client.unstall());
  }

  #crashJob(): void {
    const job = this.#scheduler.pick(this.#cluster.jobs);
    this.#trace(`${job.process.name} crashes`);
    this.#cluster.restartJob(job);
    if (this.#scheduler.chance(0.7)) this.#scheduler.schedule(undefined, 200, () => this.#cluster.rebalance());
    else this.#cluster.rebalance();
  }

  #crashComet(): void {
    const comet = this.#scheduler.pick(this.#cluster.comets);
    this.#trace(`${comet.process.name} crashes`);
    this.#cluster.restartComet(comet);
  }

  #pause(): void {
    const scheduler = this.#scheduler;
    const { comets, jobs, logics } = this.#cluster;
    const { process } = scheduler.pick([...comets, ...jobs, ...logics]);
    const pauseMs = scheduler.between(20, scheduler.chance(0.4) ? 7_000 : 500);
    this.#trace(`${process.name} pauses for ${pauseMs.toFixed(0)}`);
    process.pause();
    scheduler.schedule(undefined, pauseMs, () => process.resume());
    // A group notices a member that does not answer, and it notices late that it was left out.
    if (scheduler.chance(0.3)) this.#cluster.rebalance();
  }

  #failover(): void {
    if (this.#failovers++ >= 2) return;
    const writes = 1 + Math.floor(this.#scheduler.random() * 12);
    const shard = this.#scheduler.chance(0.5) ? undefined : Math.floor(this.#scheduler.random() * SHARDS);
    this.#trace(`the store loses ${writes} writes${shard === undefined ? '' : ` of shard ${shard}`}`);
    this.#cluster.failover(writes, shard);
  }

  #badNetwork(): void {
    const { network } = this.#cluster;
    network.loss = this.#scheduler.between(0, 0.2);
    network.delays = this.#scheduler.between(0, 0.3);
    this.#trace(`the network loses ${network.loss.toFixed(2)}`);
    this.#scheduler.schedule(undefined, this.#scheduler.between(100, 1_500), () => {
      network.loss = 0;
      network.delays = 0;
    });
  }

  #badStore(): void {
    const { store } = this.#cluster;
    store.faults = this.#scheduler.between(0, 0.3);
    this.#scheduler.schedule(undefined, this.#scheduler.between(100, 1_500), () => {
      store.faults = 0;
    });
  }
}
