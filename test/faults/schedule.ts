// The faults, by name, and the order in which they come. Three lanes run side by side, each one fault after the other: processes
// of imgo, brokers, ways between them. Within a lane whatever was broken is whole again before the next thing breaks; across
// lanes they fall together as the seed has it.
import { setTimeout as wait } from 'node:timers/promises';
import type { BrokerProcess } from '../brokers/process.js';
import { untilInSync } from '../brokers/topics.js';
import { LAUNCHER } from '../harness/server.js';
import { type FaultCluster, LINKS, type LinkName, TOPIC } from './cluster.js';
import type { ClusterNode, Role } from './node.js';

export interface ScheduleOptions {
  readonly cluster: FaultCluster;
  readonly random: () => number;
  readonly say: (text: string) => void;
  /** How long a comet is stopped, beyond its lease, and others are at most. */
  readonly pauseMs: number;
  /** How long a way is cut. */
  readonly cutMs: number;
  /** Between two faults of a lane, at most. */
  readonly calmMs: number;
  /** Faults whose name begins with one of these; none: all. */
  readonly only: readonly string[];
}

type Fault = readonly [name: string, make: () => Promise<void>];

const ROLES: readonly Role[] = ['comet', 'logic', 'job'];
/** What hangs: the campaign goes on without it, and says so. */
const BACK_MAX_MS = 60_000;
const HEED_MS = 3_000;

export class Schedule {
  readonly #options: ScheduleOptions;
  readonly #lanes: readonly (readonly Fault[])[];
  /** Names of faults that were made, with how often. */
  readonly made = new Map<string, number>();
  /** What did not come back in time. */
  readonly stuck: string[] = [];
  #over = false;

  constructor(options: ScheduleOptions) {
    this.#options = options;
    const nodes = ROLES.flatMap((role): Fault[] => [
      [`kill-${role}`, () => this.#killNode(role)],
      [`stop-${role}`, () => this.#stopNode(role)],
    ]);
    const brokers: Fault[] = [
      ['kill-kafka', () => this.#killKafka()],
      ['stop-kafka', () => this.#stopKafka()],
      ['kill-redis', () => this.#killRedis()],
      ['stop-redis', () => this.#stopRedis()],
    ];
    const links = LINKS.map((link): Fault => [`partition-${link}`, () => this.#partition(link)]);
    this.#lanes = [nodes, brokers, links].map((lane) => lane.filter(([name]) => this.wants(name)));
  }

  wants(name: string): boolean {
    const { only } = this.#options;
    return only.length === 0 || only.some((wanted) => name.startsWith(wanted));
  }

  /** Every fault once, in a seeded order, and again until `enough` of so many rounds. Resolves with everything whole. */
  async run(enough: (rounds: number) => boolean): Promise<void> {
    await Promise.all(
      this.#lanes.map(async (lane) => {
        for (let round = 0; !this.#over && lane.length > 0 && (round === 0 || !enough(round)); round++) {
          for (const [name, make] of shuffled(lane, this.#options.random)) {
            if (this.#over || (round > 0 && enough(round))) break;
            await wait(this.#options.random() * this.#options.calmMs);
            await this.#make(name, make);
          }
        }
      }),
    );
  }

  /** Nothing more is broken; what is broken heals in its time. */
  stop(): void {
    this.#over = true;
  }

  /** Everything is stopped and started again, one at a time of each kind, as for a new version. */
  async rolling(): Promise<void> {
    const { cluster } = this.#options;
    const nodes = async (): Promise<void> => {
      for (const node of cluster.nodes) {
        if (this.#over) return;
        if (!node.up) continue;
        await this.#endNode(node);
        await this.#back(node.start(), node.name);
      }
    };
    const kafka = async (): Promise<void> => {
      for (const broker of cluster.kafka.nodes) {
        if (this.#over) return;
        await this.#stopBroker(broker);
        await broker.start();
        await this.#back(untilInSync(cluster.kafka.bootstrap, TOPIC), broker.name);
      }
    };
    const redis = async (): Promise<void> => {
      const primary = await cluster.redis.primary();
      for (const server of [...cluster.redis.servers].sort((a) => (a === primary ? 1 : -1))) {
        if (this.#over) return;
        await this.#stopBroker(server);
        if (server === primary) await this.#failover(primary.port);
        await server.start();
        await this.#back(cluster.redis.inSync(), server.name);
      }
    };
    await this.#make('rolling', async () => void (await Promise.all([nodes(), kafka(), redis()])));
  }

  /**
   * Nodes of `older` give way to this version one after the other, those that dial first; go back, and give way again, those
   * that are dialled first: each role of either version has worked with each of the other.
   */
  async upgrade(older: string): Promise<void> {
    const nodes = [...this.#options.cluster.nodes];
    const passes = [
      ['newer', nodes.toReversed(), LAUNCHER],
      ['older', nodes.toReversed(), older],
      ['newer', nodes, LAUNCHER],
    ] as const;
    for (const [name, order, launcher] of passes) {
      await this.#make(`to-${name}`, async () => {
        for (const node of order) {
          if (this.#over) throw new Error('there was no time for all nodes');
          await this.#endNode(node);
          node.launcher = launcher;
          await this.#back(node.start(), node.name);
          await wait(this.#options.calmMs);
          this.#options.say(`${node.name} is of the ${name} version`);
        }
      });
    }
  }

  async #endNode(node: ClusterNode): Promise<void> {
    const how = await node.end('SIGTERM');
    // With a broker away at the same time it may not get done what it wants to in its time, and says so.
    if (how === 1) this.#options.say(`${node.name} did not stop in time`);
    else if (how !== 0) this.#stuck(`${node.name} ended with ${how} when it was asked to stop`);
  }

  async #make(name: string, make: () => Promise<void>): Promise<void> {
    this.made.set(name, (this.made.get(name) ?? 0) + 1);
    try {
      await make();
    } catch (error) {
      this.#stuck(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  }

  #one<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.#options.random() * from.length)];
  }

  #pauseMs(): number {
    return this.#options.pauseMs * (0.4 + 0.6 * this.#options.random());
  }

  #node(role: Role): ClusterNode {
    const node = this.#one(this.#options.cluster.of(role).filter(({ up, paused }) => up && !paused));
    if (node === undefined) throw new Error(`no ${role} runs`);
    return node;
  }

  async #killNode(role: Role): Promise<void> {
    const { say, random } = this.#options;
    const node = this.#node(role);
    say(`kill -9 ${node.name}`);
    await node.end('SIGKILL');
    await wait(random() * 1_500);
    await this.#back(node.start(), node.name);
  }

  async #stopNode(role: Role): Promise<void> {
    const { say } = this.#options;
    const node = this.#node(role);
    const pauseMs = role === 'comet' ? this.#options.pauseMs : this.#pauseMs();
    say(`stop ${node.name} for ${seconds(pauseMs)}`);
    node.pause();
    await wait(pauseMs);
    node.resume();
    say(`${node.name} goes on`);
  }

  async #killKafka(): Promise<void> {
    const { cluster, say, random } = this.#options;
    const broker = this.#one(cluster.kafka.nodes.filter(({ running }) => running));
    if (broker === undefined) throw new Error('no broker runs');
    say(`kill -9 ${broker.name}`);
    await broker.end('SIGKILL');
    await wait(random() * 3_000);
    await broker.start();
    await this.#back(untilInSync(cluster.kafka.bootstrap, TOPIC), broker.name);
  }

  async #stopKafka(): Promise<void> {
    const { cluster, say } = this.#options;
    const pauseMs = this.#pauseMs();
    const broker = this.#one(cluster.kafka.nodes.filter(({ running }) => running));
    if (broker === undefined) throw new Error('no broker runs');
    say(`stop ${broker.name} for ${seconds(pauseMs)}`);
    broker.pause();
    await wait(pauseMs);
    broker.resume();
    await this.#back(untilInSync(cluster.kafka.bootstrap, TOPIC), broker.name);
  }

  async #killRedis(): Promise<void> {
    const { cluster, say } = this.#options;
    const primary = await cluster.redis.primary();
    say(`kill -9 ${primary.name}, the primary`);
    await primary.end('SIGKILL');
    await this.#failover(primary.port);
    await primary.start();
    await this.#back(cluster.redis.inSync(), primary.name);
  }

  async #stopRedis(): Promise<void> {
    const { cluster, say } = this.#options;
    const pauseMs = this.#pauseMs();
    const primary = await cluster.redis.primary();
    say(`stop ${primary.name}, the primary, for ${seconds(pauseMs)}`);
    primary.pause();
    await wait(pauseMs);
    primary.resume();
    await this.#back(cluster.redis.inSync(), primary.name);
  }

  async #failover(from: number): Promise<void> {
    const { cluster, say } = this.#options;
    for (const until = Date.now() + BACK_MAX_MS; Date.now() < until; await wait(100)) {
      const primary = await cluster.redis.primary();
      if (primary.port === from) continue;
      say(`${primary.name} is the primary`);
      return;
    }
    throw new Error('no failover');
  }

  async #partition(link: LinkName): Promise<void> {
    const { cluster, say, random, cutMs } = this.#options;
    const all = cluster.links[link];
    const one = this.#one(all);
    const whole = random() < 0.5 || one === undefined;
    const cut = whole ? all : [one];
    const silent = random() < 0.5;
    say(
      `${link} is cut for ${seconds(cutMs)}: ${whole ? 'all of it' : 'one end'}, ${silent ? 'silently' : 'with resets'}`,
    );
    for (const proxy of cut) {
      if (silent) proxy.stall();
      else {
        proxy.refuse();
        proxy.cut();
      }
    }
    await wait(cutMs);
    for (const proxy of cut) proxy.heal();
    say(`${link} is whole`);
  }

  /** Redis does not heed a SIGTERM while it writes its first file after a full copy: it is told again. */
  async #stopBroker(broker: BrokerProcess): Promise<void> {
    for (const until = Date.now() + BACK_MAX_MS; broker.running; ) {
      await Promise.race([broker.end(Date.now() < until ? 'SIGTERM' : 'SIGKILL'), wait(HEED_MS)]);
    }
  }

  /** Waits until something is back, as long as is reasonable. */
  async #back(coming: Promise<unknown>, name: string): Promise<void> {
    const began = Date.now();
    const late = Symbol('late');
    const limit = new AbortController();
    const came = await Promise.race([coming, wait(BACK_MAX_MS, late, { signal: limit.signal }).catch(() => late)]);
    limit.abort();
    if (came === late) this.#stuck(`${name} is not back after ${seconds(BACK_MAX_MS)}`);
    else this.#options.say(`${name} is back, after ${seconds(Date.now() - began)}`);
  }

  #stuck(text: string): void {
    this.stuck.push(text);
    this.#options.say(text);
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
