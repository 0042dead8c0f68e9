// Real Redis on loopback, each topology in a temporary folder on free ports: a single server, Sentinel over a primary and
// its replicas, and a Cluster. Every server keeps an append-only file: what it acknowledged outlives its process.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort, freePorts } from '../harness/ports.js';
import { BrokerGroup, type BrokerProcess, LOOPBACK } from './process.js';

/** What hangs: Sentinel and Cluster are ready within seconds on a loaded machine. */
const READY_MAX_MS = 60_000;
const SLOTS = 16_384;

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface RedisServer extends AsyncDisposable {
  /** `redis://127.0.0.1:port` */
  readonly url: string;
  readonly process: BrokerProcess;
}

/** One server; `config` is lines of redis.conf beside or instead of the usual ones, or gives them for a port. */
export async function startRedis(
  config: readonly string[] | ((port: number) => readonly string[]) = [],
): Promise<RedisServer> {
  await using started = new AsyncDisposableStack();
  const group = started.use(await BrokerGroup.create());
  const port = await freePort();
  const lines = typeof config === 'function' ? config(port) : config;
  const server = await addServer(group, `Redis ${port}`, port, lines);
  await server.start();
  const running = started.move();
  return {
    url: `redis://${LOOPBACK}:${port}`,
    process: server,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

export interface RedisSentinel extends AsyncDisposable {
  /** What the sentinels call the primary. */
  readonly name: string;
  /** What a client connects to. */
  readonly sentinels: readonly Address[];
  /** The first is the primary at the start. One that comes back takes some 10 s to be told that it is a replica now. */
  readonly servers: readonly BrokerProcess[];
  readonly sentinelProcesses: readonly BrokerProcess[];
  /** Whom the sentinels hold for the primary now. */
  primary(): Promise<BrokerProcess>;
  /** Resolves once every other server follows the primary, with all that it has: it may then die. */
  inSync(): Promise<void>;
}

/**
 * A primary, replicas (one by default) and three sentinels, of which two must agree. Resolves once the sentinels know each
 * other and the replicas: a primary that dies, or does not answer for a second, is replaced within a few more.
 */
export async function startSentinel(options: { readonly replicas?: number } = {}): Promise<RedisSentinel> {
  const name = 'main';
  const replicas = options.replicas ?? 1;
  await using started = new AsyncDisposableStack();
  const group = started.use(await BrokerGroup.create());
  const ports = await freePorts(1 + replicas + 3);
  const [first = 0] = ports;
  const servers = await Promise.all(
    ports.slice(0, 1 + replicas).map((port, index) => {
      const lines = ['repl-diskless-sync-delay 0', ...(index > 0 ? [`replicaof ${LOOPBACK} ${first}`] : [])];
      return addServer(group, `Redis ${port}`, port, lines);
    }),
  );
  await Promise.all(servers.map((each) => each.start()));
  // Sentinels that see a primary without its replicas look again only after 10 s.
  await Promise.all(
    servers.slice(1).map(({ port }) => until(port, 'INFO replication', (info) => info.includes('link_status:up'))),
  );
  const sentinelProcesses = await Promise.all(
    ports.slice(1 + replicas).map((port) => addSentinel(group, name, port, first)),
  );
  await Promise.all(sentinelProcesses.map((each) => each.start()));
  await Promise.all(
    sentinelProcesses.map(({ port }) =>
      until(port, `SENTINEL MASTER ${name}`, (said) => {
        const fields = said.split(',');
        const value = (field: string): string | undefined => fields[fields.indexOf(field) + 1];
        return value('num-slaves') === `${replicas}` && value('num-other-sentinels') === '2';
      }),
    ),
  );
  const primary = async (): Promise<BrokerProcess> => {
    const asked = sentinelProcesses.find((each) => each.running);
    if (asked === undefined) throw new Error('no sentinel runs');
    const [, port] = (await askRedis(asked.port, `SENTINEL GET-MASTER-ADDR-BY-NAME ${name}`)).split(',');
    const found = servers.find((each) => `${each.port}` === port);
    if (found === undefined) throw new Error(`the sentinels name a primary at ${port}, which is none of theirs`);
    return found;
  };
  const running = started.move();
  return {
    name,
    sentinels: sentinelProcesses.map(({ port }) => ({ host: LOOPBACK, port })),
    servers,
    sentinelProcesses,
    primary,
    inSync: async () => {
      const following = (info: string): number => info.split('state=online').length - 1;
      for (const deadline = Date.now() + READY_MAX_MS; Date.now() < deadline; await wait(100)) {
        const { port } = await primary();
        const info = await askRedis(port, 'INFO replication').catch(() => '');
        if (info.includes('role:master') && following(info) === replicas) return;
      }
      throw new Error(`waited ${READY_MAX_MS / 1000} s for the replicas of ${name}`);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

export interface RedisCluster extends AsyncDisposable {
  /** What a client connects to first: every node. */
  readonly nodes: readonly Address[];
  readonly masters: readonly BrokerProcess[];
  /** `replicas[i]` follows `masters[i]` at the start; none by default. */
  readonly replicas: readonly BrokerProcess[];
}

/**
 * Three masters that share the slots evenly, with a replica each if asked for. Resolves once every node holds the cluster
 * for whole. A master that does not answer for 2 s is replaced by its replica; without one, no slot takes writes until it
 * is back.
 */
export async function startRedisCluster(options: { readonly replicas?: boolean } = {}): Promise<RedisCluster> {
  const count = options.replicas ? 6 : 3;
  await using started = new AsyncDisposableStack();
  const group = started.use(await BrokerGroup.create());
  const ports = await freePorts(2 * count);
  const busOf = (port: number): number => ports[count + ports.indexOf(port)] ?? 0;
  const nodes = await Promise.all(
    ports
      .slice(0, count)
      .map((port) =>
        addServer(group, `Redis Cluster node ${port}`, port, [
          'cluster-enabled yes',
          'cluster-config-file nodes.conf',
          'cluster-node-timeout 2000',
          `cluster-port ${busOf(port)}`,
          'repl-diskless-sync-delay 0',
        ]),
      ),
  );
  await Promise.all(nodes.map((each) => each.start()));
  const [masters, replicas] = [nodes.slice(0, 3), nodes.slice(3)];
  await introduce(masters, replicas, busOf);
  const running = started.move();
  return {
    nodes: nodes.map(({ port }) => ({ host: LOOPBACK, port })),
    masters,
    replicas,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** What `redis-cli --cluster create` does. */
async function introduce(
  masters: readonly BrokerProcess[],
  replicas: readonly BrokerProcess[],
  busOf: (port: number) => number,
): Promise<void> {
  const nodes = [...masters, ...replicas];
  const boundary = (index: number): number => Math.floor((index * SLOTS) / masters.length);
  await Promise.all(
    nodes.map(async ({ port }, index) => {
      await askRedis(port, `CLUSTER SET-CONFIG-EPOCH ${index + 1}`);
      if (index >= masters.length) return;
      await askRedis(port, `CLUSTER ADDSLOTSRANGE ${boundary(index)} ${boundary(index + 1) - 1}`);
    }),
  );
  const [first, ...others] = nodes;
  if (first === undefined) throw new Error('a Redis Cluster of no nodes');
  for (const { port } of others) await askRedis(first.port, `CLUSTER MEET ${LOOPBACK} ${port} ${busOf(port)}`);
  const everyone = (said: string): boolean => said.includes(`cluster_known_nodes:${nodes.length}`);
  await Promise.all(nodes.map(({ port }) => until(port, 'CLUSTER INFO', everyone)));
  await Promise.all(
    replicas.map(async ({ port }, index) => {
      const master = masters[index];
      if (master !== undefined)
        await askRedis(port, `CLUSTER REPLICATE ${await askRedis(master.port, 'CLUSTER MYID')}`);
      await until(port, 'INFO replication', (info) => info.includes('link_status:up'));
    }),
  );
  const replicasOf = (said: string): number => said.split('\n').filter((line) => line.includes('slave')).length;
  await Promise.all(
    nodes.map(async ({ port }) => {
      await until(port, 'CLUSTER INFO', (said) => said.includes('cluster_state:ok'));
      await until(port, 'CLUSTER NODES', (said) => replicasOf(said) === replicas.length);
    }),
  );
}

/** A server of the group, not started yet. Of two lines of the same setting the later one counts. */
async function addServer(
  group: BrokerGroup,
  name: string,
  port: number,
  config: readonly string[],
): Promise<BrokerProcess> {
  const folder = join(group.folder, `redis-${port}`);
  await mkdir(folder);
  const file = join(folder, 'redis.conf');
  const usual = [
    `bind ${LOOPBACK}`,
    `port ${port}`,
    `dir ${folder}`,
    'daemonize no',
    'save ""',
    'appendonly yes',
    'appendfsync everysec',
    'maxmemory-policy noeviction',
  ];
  await writeFile(file, [...usual, ...config, ''].join('\n'));
  return group.add({ name, program: 'redis-server', args: [file], port });
}

/** A sentinel keeps what it learns in its configuration: each has a file of its own. */
async function addSentinel(group: BrokerGroup, name: string, port: number, primary: number): Promise<BrokerProcess> {
  const file = join(group.folder, `sentinel-${port}.conf`);
  const config = [
    `bind ${LOOPBACK}`,
    `port ${port}`,
    `dir ${group.folder}`,
    `sentinel monitor ${name} ${LOOPBACK} ${primary} 2`,
    `sentinel down-after-milliseconds ${name} 1000`,
    `sentinel failover-timeout ${name} 3000`,
    '',
  ];
  await writeFile(file, config.join('\n'));
  return group.add({ name: `Redis Sentinel ${port}`, program: 'redis-server', args: [file, '--sentinel'], port });
}

/** One command to one server, its answer as text. */
export async function askRedis(port: number, command: string): Promise<string> {
  const redis = new Redis({ port, host: LOOPBACK, retryStrategy: null, maxRetriesPerRequest: 0 });
  redis.on('error', () => undefined);
  try {
    const [name = '', ...args] = command.split(' ');
    return String(await redis.call(name, ...args));
  } finally {
    redis.disconnect();
  }
}

async function until(port: number, command: string, holds: (answer: string) => boolean): Promise<void> {
  const deadline = Date.now() + READY_MAX_MS;
  for (;;) {
    const answer = await askRedis(port, command);
    if (holds(answer)) return;
    if (Date.now() > deadline) throw new Error(`waited ${READY_MAX_MS / 1000} s for ${command} at ${port}:\n${answer}`);
    await wait(50);
  }
}
