// Real Redis on loopback, each topology in a temporary folder on free ports: a single server now.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../harness/ports.js';
import { BrokerGroup, type BrokerProcess, LOOPBACK } from './process.js';

export interface RedisServer extends AsyncDisposable {
  /** `redis://127.0.0.1:port` */
  readonly url: string;
  readonly process: BrokerProcess;
}

/** One server with an append-only file: what it acknowledged is there after a kill and a restart. */
export async function startRedis(): Promise<RedisServer> {
  const group = await BrokerGroup.create();
  try {
    const port = await freePort();
    const server = await addServer(group, 'Redis', port);
    await server.start();
    return {
      url: `redis://${LOOPBACK}:${port}`,
      process: server,
      [Symbol.asyncDispose]: () => group[Symbol.asyncDispose](),
    };
  } catch (error) {
    await group[Symbol.asyncDispose]();
    throw error;
  }
}

/** A server of the group, not started yet, with lines of configuration beside the usual ones. */
async function addServer(
  group: BrokerGroup,
  name: string,
  port: number,
  lines: readonly string[] = [],
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
  await writeFile(file, [...usual, ...lines, ''].join('\n'));
  return group.add({ name, program: 'redis-server', args: [file], port });
}
