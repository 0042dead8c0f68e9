// The cluster under test, all on loopback: three Kafka brokers, Redis with a replica and three sentinels, and every role of imgo
// in processes of their own. Between each pair of roles, and between a role and a broker, there are fault proxies.
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type KafkaCluster, startKafka } from '../brokers/kafka.js';
import { type RedisSentinel, startSentinel } from '../brokers/redis.js';
import { openRedisDoor } from '../brokers/redis-door.js';
import type { FaultProxy } from '../harness/fault-proxy.js';
import { freePorts } from '../harness/ports.js';
import { startFront } from './front.js';
import { ClusterNode, type Role } from './node.js';

/** A way between two roles, or from a role to a broker: who asks stands first. */
export const LINKS = [
  'comet-logic',
  'job-comet',
  'logic-comet',
  'logic-kafka',
  'job-kafka',
  'logic-redis',
  'job-redis',
] as const;
export type LinkName = (typeof LINKS)[number];

export const TOPIC = 'imgo.push';
export const PARTITIONS = 24;

export interface FaultCluster extends AsyncDisposable {
  readonly kafka: KafkaCluster;
  readonly redis: RedisSentinel;
  readonly nodes: readonly ClusterNode[];
  of(role: Role): readonly ClusterNode[];
  /** The proxies of a way, one for each end that is asked. */
  readonly links: Readonly<Record<LinkName, readonly FaultProxy[]>>;
}

export interface ClusterOptions {
  readonly logics: number;
  readonly jobs: number;
  readonly comets: number;
  /** For settings, keys and what commands leave. */
  readonly folder: string;
  /** `bin/imgo` of another version, which all nodes are of at the start. */
  readonly launcher?: string | undefined;
}

const LOOPBACK = '127.0.0.1';
/** What hangs: a node is ready within seconds on a loaded machine. */
const READY_MAX_MS = 60_000;
/** Of what a broker wrote, where a node is not ready. Characters. */
const LOG_SHOWN = 5_000;

/** Starts everything; resolves when every node is ready. Rejects with the logs of those that are not within a minute. */
export async function startCluster(options: ClusterOptions): Promise<FaultCluster> {
  await using started = new AsyncDisposableStack();
  const doors = ['logic', 'job'] as const;
  const [kafka, redis] = await Promise.all([startKafka({ nodes: 3, doors }), startSentinel()]);
  started.use(kafka);
  started.use(redis);
  const redisDoors = {
    logic: started.use(await openRedisDoor(redis)),
    job: started.use(await openRedisDoor(redis)),
  };
  const { folder } = options;
  await mkdir(join(folder, 'state'));
  const keyFile = join(folder, 'cluster.key');
  await writeFile(keyFile, `imgo_cluster_${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });

  const nodes: ClusterNode[] = [];
  const links: Record<LinkName, FaultProxy[]> = {
    'comet-logic': [],
    'job-comet': [],
    'logic-comet': [],
    'logic-kafka': [...kafka.door('logic').proxies],
    'job-kafka': [...kafka.door('job').proxies],
    'logic-redis': [...redisDoors.logic.proxies],
    'job-redis': [...redisDoors.job.proxies],
  };
  const logicFronts: string[] = [];

  const add = async (role: Role, no: number): Promise<void> => {
    const name = `${role}-${no}`;
    const [http = 0, rpc = 0, tcp = 0, ws = 0] = await freePorts(4);
    const callers: readonly Role[] =
      role === 'comet' ? ['job', 'logic'] : role === 'logic' ? ['comet', 'logic'] : ['logic'];
    const front = started.use(await startFront(rpc, callers));
    for (const [caller, proxy] of front.proxies) {
      const link = `${caller}-${role}`;
      if (Object.hasOwn(links, link)) links[link as LinkName].push(proxy);
    }
    if (role === 'logic') logicFronts.push(`${LOOPBACK}:${front.port}`);
    const brokers = role === 'comet' ? [] : brokerLines(kafka.door(role).bootstrap, redisDoors[role].url);
    const settings = [
      `role = ["${role}"]`,
      'shutdown_timeout = "10s"',
      '[listen]',
      `http = ${http}`,
      `tcp = ${role === 'comet' ? tcp : '"off"'}`,
      `ws = ${role === 'comet' ? ws : '"off"'}`,
      '[cluster]',
      `node = "${name}"`,
      `key_file = ${JSON.stringify(keyFile)}`,
      `rpc = ${rpc}`,
      `advertise = "${LOOPBACK}:${front.port}"`,
      ...(role === 'comet' ? [`logic = ${JSON.stringify(logicFronts)}`] : []),
      ...brokers,
    ];
    const addresses = {
      http: `http://${LOOPBACK}:${http}`,
      tcp: `${LOOPBACK}:${tcp}`,
      ws: `ws://${LOOPBACK}:${ws}/sub`,
    };
    const node = new ClusterNode({ name, role, settings, folder, ...addresses });
    node.launcher = options.launcher ?? node.launcher;
    nodes.push(node);
  };
  for (let no = 1; no <= options.logics; no++) await add('logic', no);
  for (let no = 1; no <= options.jobs; no++) await add('job', no);
  for (let no = 1; no <= options.comets; no++) await add('comet', no);
  const of = (role: Role): ClusterNode[] => nodes.filter((node) => node.options.role === role);
  started.defer(async () => void (await Promise.all(nodes.map((node) => node.end('SIGKILL')))));

  // The first logic makes the topic.
  for (const role of ['logic', 'job', 'comet'] as const) {
    const limit = new AbortController();
    const late = wait(READY_MAX_MS, undefined, { signal: limit.signal }).catch(() => undefined);
    await Promise.race([Promise.all(of(role).map((node) => node.start())), late]);
    limit.abort();
    const down = of(role).filter(({ up }) => !up);
    if (down.length > 0) {
      const brokers = [...kafka.nodes, ...redis.servers].map(
        (each) => `${each.name} says:\n${each.log().slice(-LOG_SHOWN)}`,
      );
      throw new Error([...down.map((node) => `${node.name} is not ready:\n${node.log()}`), ...brokers].join('\n'));
    }
  }
  const running = started.move();
  return { kafka, redis, nodes, of, links, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function brokerLines(kafka: readonly string[], redis: string): readonly string[] {
  return [
    '[queue]',
    'engine = "kafka"',
    '[queue.kafka]',
    `brokers = ${JSON.stringify(kafka)}`,
    `topic = "${TOPIC}"`,
    `partitions = ${PARTITIONS}`,
    '[redis]',
    `url = "${redis}"`,
  ];
}
