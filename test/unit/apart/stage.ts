// Roles apart in one test process: each server has its own assembly and ports, they share engines of memory in place of Redis
// and Kafka, and talk over real TCP.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type Client, connect } from '../../../src/client/index.js';
import type { UserId } from '../../../src/protocol/ids.js';
import type { Engines } from '../../../src/server/assemble/engine-set.js';
import { type RunningServer, startServer } from '../../../src/server/assemble.js';
import { type Clock, systemClock } from '../../../src/server/clock.js';
import { loadConfig } from '../../../src/server/config-load.js';
import { createEmbeddedQueue } from '../../../src/server/queue/embedded.js';
import { createMemoryRegistry } from '../../../src/server/router/memory.js';
import { ClusterKey } from '../../../src/server/rpc/keys.js';
import { createMemoryBuckets } from '../../../src/server/store/memory.js';
import { createMemoryCredentials } from '../../../src/server/store/memory-credentials.js';
import { TestApi } from '../../harness/api.js';
import { bucketsOptions } from '../logic/setup.js';

const MIB = 2 ** 20;

export interface StageOptions {
  readonly leaseMs?: number;
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Settings of real brokers, in place of engines of memory. */
  readonly brokers?: Readonly<Record<string, unknown>>;
  /** The clock of that server's machine. */
  readonly clockOf?: (name: string) => Clock;
}

/** What a client got. */
export interface Listening {
  readonly client: Client;
  readonly got: string[];
  readonly opened: () => number;
  readonly closed: (readonly [code: number | undefined, retryInMs: number | undefined])[];
}

export class Stage implements AsyncDisposable {
  readonly engines: Engines;
  readonly key = ClusterKey.create(systemClock);
  readonly servers = new Map<string, RunningServer>();
  readonly folder = mkdtempSync(join(tmpdir(), 'imgo-apart-'));
  readonly #options: StageOptions;
  readonly #clients: Client[] = [];
  readonly #log: string[] = [];

  constructor(options: StageOptions = {}) {
    this.#options = options;
    const clock = systemClock;
    const buckets = createMemoryBuckets(bucketsOptions, clock);
    this.engines = {
      buckets,
      credentials: createMemoryCredentials(),
      registry: createMemoryRegistry({ clock, leaseMs: options.leaseMs ?? 10_000 }),
      queue: createEmbeddedQueue({ epoch: buckets.epoch, clock, maxWaitingBytes: 64 * MIB }),
    };
  }

  /** Everything that was logged. */
  get logged(): string {
    return this.#log.join('');
  }

  /** Starts a server under that name. Comets are told where the logics are that run. */
  async start(
    name: string,
    role: string,
    more: Readonly<Record<string, unknown>> = {},
    key = this.key,
  ): Promise<RunningServer> {
    const file = join(this.folder, `${name}.key`);
    writeFileSync(file, key.text(role === 'comet' || role === 'job' ? role : 'cluster'));
    const logics = [...this.servers.values()].flatMap(({ addresses }) =>
      addresses.http !== undefined && addresses.tcp === undefined ? [addresses.rpc ?? ''] : [],
    );
    const apart = role === 'comet' ? { 'cluster.logic': logics.join(',') } : { ...ENGINES, ...this.#options.brokers };
    const settings = {
      role,
      'listen.http': role.includes('logic') ? 0 : 'off',
      'listen.ws': 0,
      'listen.tcp': 0,
      'cluster.rpc': '127.0.0.1:0',
      'cluster.node': name,
      'cluster.key_file': file,
      'rooms.join': 'open',
      ...apart,
      ...this.#options.settings,
      ...more,
    };
    const flags = Object.entries(settings).map(([key, value]) => ({ key, value, where: key }));
    const { config } = loadConfig({ env: {}, flags, folder: this.folder });
    const log = pino({ base: { name } }, { write: (line: string) => void this.#log.push(line) });
    const { brokers, clockOf } = this.#options;
    const engines = brokers ? {} : { engines: this.engines };
    const clock = clockOf === undefined ? {} : { clock: clockOf(name) };
    const server = await startServer(config, { log, version: 'test', ...engines, ...clock });
    this.servers.set(name, server);
    return server;
  }

  async stop(name: string): Promise<void> {
    const server = this.servers.get(name);
    this.servers.delete(name);
    await server?.stop();
  }

  /** The API of a logic. */
  api(name: string): TestApi {
    return new TestApi(() => this.servers.get(name)?.addresses.http ?? '');
  }

  /** A native client of that user, on one of these comets. Resolves when its session is open. */
  async listen(api: TestApi, user: string, comet: string, device = 'phone'): Promise<Listening> {
    const got: string[] = [];
    const closed: [number | undefined, number | undefined][] = [];
    let opened = 0;
    const first = Promise.withResolvers<void>();
    const client = connect(
      { url: `tcp://${this.servers.get(comet)?.addresses.tcp}`, token: await api.token(user as UserId), device },
      {
        opened: () => {
          opened++;
          first.resolve();
        },
        message: ({ payload }) => void got.push(Buffer.from(payload).toString()),
        closed: ({ code, retryInMs }) => void closed.push([code, retryInMs]),
      },
    );
    this.#clients.push(client);
    await first.promise;
    return { client, got, opened: () => opened, closed };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    for (const name of [...this.servers.keys()].reverse()) await this.stop(name);
    await this.engines.queue[Symbol.asyncDispose]();
    await this.engines.buckets[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const ENGINES = {
  'redis.url': 'redis://127.0.0.1:6379',
  'queue.engine': 'kafka',
  'queue.kafka.brokers': '127.0.0.1:9092',
};
