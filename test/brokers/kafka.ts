// Real Kafka on loopback: one node, or three that are brokers and controllers at once (a quorum, every record on all three).
// Data lives in a temporary folder, ports are free ones. Clients and brokers use listeners of their own: with `proxied` a
// client knows only the fault proxies, and what they do to it touches neither replication nor the quorum.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FaultProxy } from '../harness/fault-proxy.js';
import { freePorts } from '../harness/ports.js';
import { BrokerGroup, type BrokerProcess, LOOPBACK } from './process.js';
import { KAFKA_JARS } from './provision.js';

const run = promisify(execFile);

/** Any base64 uuid: nodes of one cluster share it. */
const CLUSTER_ID = '4L6g3nShT-eMCtK--X86sw';
/** C1 only: a broker of a test lives for seconds, and the full compiler would take the cores from the others for a minute. */
const JVM = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', `${KAFKA_JARS}/*`];

export interface KafkaOptions {
  /** 1 (the default) or 3. */
  readonly nodes?: 1 | 3;
  /** Clients are told of the fault proxies only, one in front of each node. */
  readonly proxied?: boolean;
  /**
   * Names (letters) of listeners beside that of the other clients, each behind fault proxies of its own: who comes through one
   * is told of that one only, so its way to Kafka can fail alone.
   */
  readonly doors?: readonly string[];
  /** Clients reach it at `[::1]`, and nowhere else. */
  readonly ipv6?: boolean;
  /** Users for SCRAM-SHA-512, with their passwords. */
  readonly scram?: Readonly<Record<string, string>>;
  /** Lines of server.properties beside or instead of the usual ones, for every node. */
  readonly properties?: Readonly<Record<string, string | number | boolean>>;
}

/** A listener of {@link KafkaOptions.doors}, on all nodes. */
export interface KafkaDoor {
  readonly bootstrap: readonly string[];
  readonly proxies: readonly FaultProxy[];
}

export interface KafkaCluster extends AsyncDisposable {
  /** What a client connects to first: `127.0.0.1:port`, one a node. */
  readonly bootstrap: readonly string[];
  /** Node ids count from 1: node 1 is `nodes[0]`. */
  readonly nodes: readonly BrokerProcess[];
  /** With `proxied`, the one in front of each node; otherwise none. */
  readonly proxies: readonly FaultProxy[];
  /** @throws Error when there is none of that name */
  door(name: string): KafkaDoor;
}

/** Whether a request, as a fault proxy with framing sees it, appends records: its answer is the one worth cutting. */
export function isProduce(request: Buffer): boolean {
  return request.readInt16BE(4) === 0;
}

interface Node {
  readonly id: number;
  readonly folder: string;
  readonly clients: number;
  /** What clients are told to connect to. */
  readonly advertised: number;
  readonly brokers: number;
  readonly controller: number;
  readonly doors: readonly { readonly name: string; readonly port: number; readonly proxy: FaultProxy }[];
}

/** Resolves once every node takes connections, which is when it can be used. Rejects with the log of one that ended before. */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaCluster> {
  const count = options.nodes ?? 1;
  const host = options.ipv6 ? '[::1]' : LOOPBACK;
  await using started = new AsyncDisposableStack();
  const group = started.use(await BrokerGroup.create());
  const names = options.doors ?? [];
  const each = 3 + names.length;
  const ports = await freePorts(each * count);
  const proxies: FaultProxy[] = [];
  const nodes: Node[] = [];
  for (let id = 1; id <= count; id += 1) {
    const [clients = 0, brokers = 0, controller = 0, ...others] = ports.slice(each * (id - 1), each * id);
    const proxy = options.proxied
      ? started.use(await FaultProxy.start({ target: clients, framing: 'length-prefixed' }))
      : undefined;
    if (proxy !== undefined) proxies.push(proxy);
    const advertised = proxy?.port ?? clients;
    const doors = await Promise.all(
      others.map(async (port, at) => ({
        name: names[at] ?? '',
        port,
        proxy: started.use(await FaultProxy.start({ target: port })),
      })),
    );
    nodes.push({ id, folder: join(group.folder, `node-${id}`), clients, advertised, brokers, controller, doors });
  }
  for (const node of nodes) {
    await mkdir(node.folder);
    await writeFile(configOf(node), propertiesOf(node, nodes, host, options.properties ?? {}));
  }
  await format(nodes, options.scram ?? {});
  const processes = nodes.map((node) =>
    group.add({
      name: `Kafka node ${node.id}`,
      program: 'java',
      args: ['-Xms64m', '-Xmx256m', ...JVM, `-D${LOG_LEVEL}=warn`, 'kafka.Kafka', configOf(node)],
      port: node.clients,
      host: options.ipv6 ? '::1' : undefined,
    }),
  );
  await Promise.all(processes.map((each) => each.start()));
  const running = started.move();
  return {
    bootstrap: nodes.map(({ advertised }) => `${host}:${advertised}`),
    nodes: processes,
    proxies,
    door: (name) => {
      const through = nodes.flatMap(({ doors }) => doors.filter((one) => one.name === name).map(({ proxy }) => proxy));
      if (through.length === 0) throw new Error(`this Kafka has no door ${name}`);
      return { bootstrap: through.map(({ port }) => `${LOOPBACK}:${port}`), proxies: through };
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

const LOG_LEVEL = 'org.slf4j.simpleLogger.defaultLogLevel';

const configOf = ({ folder }: Node): string => join(folder, 'server.properties');
const dataOf = ({ folder }: Node): string => join(folder, 'data');

/** Kafka's own tool formats the first node's folder; the others get a copy with their own ids, which saves a JVM each. */
async function format([first, ...others]: readonly Node[], scram: NonNullable<KafkaOptions['scram']>): Promise<void> {
  if (first === undefined) throw new Error('a Kafka of no nodes');
  const tool = ['-Xmx64m', ...JVM, `-D${LOG_LEVEL}=error`, 'kafka.tools.StorageTool'];
  const users = Object.entries(scram).flatMap(([name, password]) => [
    '--add-scram',
    `SCRAM-SHA-512=[name=${name},password=${password}]`,
  ]);
  await run('java', [...tool, 'format', '-t', CLUSTER_ID, '-c', configOf(first), ...users]);
  for (const node of others) {
    await cp(dataOf(first), dataOf(node), { recursive: true });
    const directory = randomBytes(16).toString('base64url');
    const meta = { version: 1, 'cluster.id': CLUSTER_ID, 'node.id': node.id, 'directory.id': directory };
    await writeFile(join(dataOf(node), 'meta.properties'), asProperties(meta));
  }
}

function propertiesOf(
  node: Node,
  nodes: readonly Node[],
  host: string,
  own: NonNullable<KafkaOptions['properties']>,
): string {
  const copies = nodes.length;
  const inSync = copies > 1 ? 2 : 1;
  const doors = node.doors.map(({ name, port, proxy }) => ({ name: name.toUpperCase(), port, advertised: proxy.port }));
  return asProperties({
    'process.roles': 'broker,controller',
    'node.id': node.id,
    'controller.quorum.voters': nodes.map(({ id, controller }) => `${id}@${LOOPBACK}:${controller}`).join(','),
    listeners: [
      `CLIENTS://${host}:${node.clients}`,
      `BROKERS://${LOOPBACK}:${node.brokers}`,
      `CONTROLLER://${LOOPBACK}:${node.controller}`,
      ...doors.map(({ name, port }) => `${name}://${LOOPBACK}:${port}`),
    ].join(','),
    'advertised.listeners': [
      `CLIENTS://${host}:${node.advertised}`,
      `BROKERS://${LOOPBACK}:${node.brokers}`,
      ...doors.map(({ name, advertised }) => `${name}://${LOOPBACK}:${advertised}`),
    ].join(','),
    'listener.security.protocol.map': ['CLIENTS', 'BROKERS', 'CONTROLLER', ...doors.map(({ name }) => name)]
      .map((name) => `${name}:PLAINTEXT`)
      .join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'BROKERS',
    'log.dirs': dataOf(node),
    'auto.create.topics.enable': false,
    'default.replication.factor': copies,
    'min.insync.replicas': inSync,
    'offsets.topic.num.partitions': 3,
    'offsets.topic.replication.factor': copies,
    'transaction.state.log.num.partitions': 3,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': inSync,
    // By default the first member of a group waits 3 s, a dead broker is missed for 9 s, the cleaner takes 128 MiB.
    'group.initial.rebalance.delay.ms': 0,
    'broker.heartbeat.interval.ms': 500,
    'broker.session.timeout.ms': 2000,
    'log.cleaner.dedupe.buffer.size': 4_194_305,
    ...own,
  });
}

function asProperties(lines: Readonly<Record<string, string | number | boolean>>): string {
  return Object.entries(lines)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}
