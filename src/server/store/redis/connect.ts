/**
 * The connection to Redis that store and router share: one server, the primary behind Sentinels, or a cluster. It promises
 * that nothing is sent twice behind the caller's back and nothing waits in a hidden queue: what cannot be written now fails
 * now, what was under way when the connection broke fails as unknown, and every answer has a deadline. It reconnects for
 * as long as it is open, with growing, jittered pauses, also where ioredis has given up.
 */
import { createConnection } from 'node:net';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { ImgoError } from '../../../protocol/errors.js';
import type { Clock } from '../../clock.js';
import { asRedisError, isFatal } from './failures.js';
import { PackedCommand } from './packed-command.js';
import type { Script } from './script.js';
import { Unanswered } from './unanswered.js';
import { parseRedisUrl, type RedisTarget } from './url.js';

export interface ConnectOptions {
  /** As in the setting redis.url. */
  readonly url: string;
  /** In place of the one in the address. */
  readonly password?: string;
  readonly clock: Clock;
  /** Beside what the system trusts: PEM. */
  readonly ca?: string;
  /** How long an answer is waited for. Default 1 s; a stopped server gives none. */
  readonly commandTimeoutMs?: number;
  /** How long the first connection is tried for. Default 10 s. */
  readonly connectForMs?: number;
  readonly signal?: AbortSignal;
}

export type Argument = string | number | Buffer;

/** A connection that was ready once. */
export interface RedisLink extends AsyncDisposable {
  /** Where Redis is, for people. */
  readonly address: string;
  /** Keys of several hash tags lie on several servers. */
  readonly clustered: boolean;
  /** Runs a script on the server that has its keys: all of one hash tag. Bulk replies are Buffers. */
  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown>;
  /** One command, sent to whoever has its key. Bulk replies are Buffers. */
  command(name: string, ...args: readonly Argument[]): Promise<unknown>;
  /** The same, to one of `primaries`. */
  ask(server: Redis, name: string, ...args: readonly Argument[]): Promise<unknown>;
  /** Every server that takes writes. */
  primaries(): readonly Redis[];
  /**
   * Whether all that was written to the server of `key` before this call outlives it: another server has it, or there is no
   * other. false: none confirmed it in half a second. Over a connection of its own, because Redis holds up one that waits.
   */
  copied(key: string): Promise<boolean>;
  /** Grows when what was asked for is sent: as long as it stays the same, who asks the same may share a question. */
  readonly turn: number;
  /**
   * Nothing answers over the connection that there is: another one is made, to whoever is the primary then. What is under
   * way fails as unknown. A cluster asks its other nodes by itself, and is left alone.
   */
  renew(): void;
}

const RECONNECT_MS = 50;
const RECONNECT_MAX_MS = 2_000;
const CONNECT_TIMEOUT_MS = 3_000;
const COMMAND_TIMEOUT_MS = 1_000;
/** For a replica, after what it was given: below the time that an answer is waited for. */
const COPY_MS = 500;

/**
 * Connects and waits until the first commands may be sent.
 * @throws ImgoError redis_url; redis_refused, redis_tls at once; redis_unreachable after `connectForMs`
 */
export async function connectRedis(options: ConnectOptions): Promise<RedisLink> {
  const target = parseRedisUrl(options.url);
  const ready = async (more: Partial<ConnectOptions> = {}): Promise<Redis | Cluster> => {
    const client = target.kind === 'cluster' ? clusterClient(target, options) : serverClient(target, options);
    await firstReady(client, target, { ...options, ...more });
    return client;
  };
  return new Link(await ready(), target.shown, options, () => ready({ connectForMs: 2 * COPY_MS }));
}

/** Redis counts what a connection has written: a write after all others stands for them. */
async function askCopied(client: Redis | Cluster, key: string): Promise<boolean> {
  try {
    const batch = client.pipeline().set(key, '', 'PX', 1).info('replication').call('wait', 1, COPY_MS);
    const [, info, confirmed] = (await batch.exec()) ?? [];
    const failed = info?.[0] ?? confirmed?.[0];
    if (failed) throw failed;
    return Number(confirmed?.[1]) > 0 || /^connected_slaves:0\r?$/m.test(String(info?.[1]));
  } finally {
    client.disconnect();
  }
}

function commonOptions(target: RedisTarget, options: ConnectOptions): RedisOptions {
  const { username, db } = target;
  const password = options.password ?? target.password;
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(target.tls ? { tls: options.ca === undefined ? {} : { ca: options.ca } } : {}),
    db,
    lazyConnect: true,
    disableClientInfo: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // A primary that was demoted: asked for again, with what it refused left to the caller.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
}

function serverClient(target: RedisTarget, options: ConnectOptions): Redis {
  const retryStrategy = (attempt: number): number => backoff(attempt, options.clock);
  const common: RedisOptions = { ...commonOptions(target, options), enableOfflineQueue: false, retryStrategy };
  const [first] = target.addresses;
  if (target.name === undefined || first === undefined) return new Redis({ ...common, ...first });
  const client = new Redis({
    ...common,
    sentinels: target.addresses.map((address) => ({ ...address })),
    name: target.name,
    // Without it a primary that was paused and then demoted is written to until it notices.
    failoverDetector: true,
    sentinelRetryStrategy: retryStrategy,
    sentinelReconnectStrategy: retryStrategy,
    // A sentinel that says nothing would be waited for, for ever.
    sentinelCommandTimeout: options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS,
    ...(target.tls ? { enableTLSForSentinelMode: true, sentinelTLS: common.tls ?? {} } : {}),
  });
  listenToSentinels(client);
  return client;
}

/**
 * Those that tell of failovers. What goes wrong with one ioredis prints, unless somebody listens, and a deadline for it ends
 * the process: it subscribes anew by itself, and leaves the rejection to nobody.
 */
function listenToSentinels(client: Redis): void {
  const { connector } = client as unknown as { readonly connector: { connectToSentinel?: ToSentinel } };
  const connectToSentinel = connector.connectToSentinel?.bind(connector);
  if (connectToSentinel === undefined) return;
  connector.connectToSentinel = (endpoint, options) => {
    const lasting = options === undefined ? undefined : { ...options, commandTimeout: undefined };
    const sentinel = connectToSentinel(endpoint, lasting).on('error', () => undefined);
    const call = sentinel.sendCommand.bind(sentinel);
    sentinel.sendCommand = (...args) => {
      const answer = call(...args);
      if (answer instanceof Promise) answer.catch(() => undefined);
      return answer;
    };
    return sentinel;
  };
}

type ToSentinel = (endpoint: object, options?: object) => Redis;

function clusterClient(target: RedisTarget, options: ConnectOptions): Cluster {
  const { retryStrategy: _none, ...redisOptions } = commonOptions(target, options);
  return new Cluster(
    target.addresses.map((address) => ({ ...address })),
    {
      redisOptions,
      lazyConnect: true,
      enableOfflineQueue: false,
      clusterRetryStrategy: (attempt) => backoff(attempt, options.clock),
      // What was under way when a node went is not sent again by the client; where its slots went is asked for.
      retryDelayOnFailover: 0,
      slotsRefreshInterval: 2_000,
      slotsRefreshTimeout: options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS,
    },
  );
}

/** Pause before a connection attempt: doubles up to a bound, and half of it is random. */
function backoff(attempt: number, clock: Clock): number {
  const full = Math.min(RECONNECT_MAX_MS, RECONNECT_MS * 2 ** Math.min(attempt - 1, 10));
  return Math.ceil(full / 2 + (clock.random() * full) / 2);
}

function firstReady(client: Redis | Cluster, target: RedisTarget, options: ConnectOptions): Promise<void> {
  const { clock, connectForMs = 10_000, signal } = options;
  return new Promise((resolve, reject) => {
    let attempts = 0;
    let last: Error | undefined;
    const timer = clock.after(connectForMs, giveUp);
    signal?.addEventListener('abort', giveUp, { once: true });
    client.on('error', failed);
    client.once('ready', ready);
    client.on('reconnecting', () => {
      attempts++;
    });
    client.connect().catch(failed);

    function ready(): void {
      settle();
      resolve();
    }
    function failed(cause: unknown): void {
      const error = asRedisError(cause, target.shown);
      if (error instanceof ImgoError && isFatal(error)) end(error);
      else if (target.tls && error instanceof ImgoError && error.details['detail'] === 'ETIMEDOUT') silent(error);
      // That a connection closed says less than why it could not be made.
      else if (last === undefined || !/connection broke|no connection/.test(error.message)) last = error;
    }
    /** A server without TLS takes a greeting for the beginning of a command, and waits for more of it. */
    function silent(error: ImgoError): void {
      last = error;
      const [first] = target.addresses;
      if (first === undefined) return;
      const probe = createConnection(first, () => {
        probe.destroy();
        const detail = 'it takes connections, and answers no handshake';
        end(new ImgoError('redis_tls', { address: target.shown, detail }, { cause: error }));
      });
      probe.once('error', () => undefined);
    }
    function giveUp(): void {
      const detail = last instanceof ImgoError ? last.details['detail'] : undefined;
      const tries = `${Math.max(1, attempts)} tries in ${Math.round(connectForMs / 1_000)} s`;
      end(
        new ImgoError(
          'redis_unreachable',
          { address: target.shown, detail: detail === undefined ? tries : `${detail}, ${tries}` },
          { cause: last },
        ),
      );
    }
    function end(error: Error): void {
      settle();
      client.disconnect();
      reject(error);
    }
    function settle(): void {
      clock.clear(timer);
      signal?.removeEventListener('abort', giveUp);
      client.off('error', failed);
      client.off('ready', ready);
      client.removeAllListeners('reconnecting');
      // An 'error' nobody listens to would be printed; whoever waits for an answer is told anyway.
      client.on('error', () => undefined);
    }
  });
}

function bytesOf(args: readonly Argument[]): number {
  let bytes = 0;
  for (const arg of args) bytes += typeof arg === 'number' ? 8 : arg.length;
  return bytes;
}

class Link implements RedisLink {
  readonly address: string;
  turn = 0;
  readonly #client: Redis | Cluster;
  readonly #clock: Clock;
  readonly #unanswered: Unanswered;
  #corked = false;
  readonly #another: () => Promise<Redis | Cluster>;
  /** By key: what began before now says nothing of what is written now, what has not begun does. */
  readonly #asked = new Map<string, { readonly running: Promise<boolean>; next: Promise<boolean> | undefined }>();
  #ends = 0;
  #closed = false;

  constructor(
    client: Redis | Cluster,
    address: string,
    { clock, commandTimeoutMs = COMMAND_TIMEOUT_MS }: ConnectOptions,
    another: () => Promise<Redis | Cluster>,
  ) {
    this.#client = client;
    this.#another = another;
    this.#clock = clock;
    this.address = address;
    this.#unanswered = new Unanswered({
      clock,
      address,
      waitMs: commandTimeoutMs,
    });
    client.on('ready', () => {
      this.#ends = 0;
    });
    client.on('end', () => this.#revive());
  }

  async run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    try {
      return await this.#send('evalsha', script.sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw asRedisError(error, this.address);
    }
    return this.command('eval', script.source, keys.length, ...keys, ...args);
  }

  async command(name: string, ...args: readonly Argument[]): Promise<unknown> {
    try {
      return await this.#send(name, ...args);
    } catch (error) {
      throw asRedisError(error, this.address);
    }
  }

  async ask(server: Redis, name: string, ...args: readonly Argument[]): Promise<unknown> {
    try {
      return await this.#sendTo(server, name, args);
    } catch (error) {
      throw asRedisError(error, this.address);
    }
  }

  get clustered(): boolean {
    return this.#client instanceof Cluster;
  }

  primaries(): readonly Redis[] {
    return this.#client instanceof Cluster ? this.#client.nodes('master') : [this.#client];
  }

  copied(key: string): Promise<boolean> {
    const asked = this.#asked.get(key);
    if (asked === undefined) return this.#askCopied(key);
    asked.next ??= asked.running.then(() => this.#askCopied(key));
    return asked.next;
  }

  #askCopied(key: string): Promise<boolean> {
    const running = this.#another()
      .then((client) => askCopied(client, key))
      .catch(() => false)
      .finally(() => this.#asked.delete(key));
    this.#asked.set(key, { running, next: undefined });
    return running;
  }

  renew(): void {
    if (this.#client instanceof Redis && this.#client.status === 'ready') this.#client.disconnect(true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#unanswered[Symbol.dispose]();
    this.#client.disconnect();
  }

  /**
   * ioredis takes a failover that it hears of while it asks for the primary's address for somebody's wish to disconnect, and
   * then never connects again by itself.
   */
  #revive(): void {
    if (this.#closed) return;
    this.#ends++;
    this.#clock.after(backoff(this.#ends, this.#clock), () => {
      if (!this.#closed) this.#client.connect().catch(() => undefined);
    });
  }

  #send(name: string, ...args: readonly Argument[]): Promise<unknown> {
    this.#cork();
    return this.#sendTo(this.#client, name, args);
  }

  #sendTo(client: Redis | Cluster, name: string, args: readonly Argument[]): Promise<unknown> {
    const command = new PackedCommand(name, args);
    const ask = () => client.sendCommand(command) as Promise<unknown>;
    return this.#unanswered.wait(this.#serverOf(client, command), bytesOf(args), ask);
  }

  /** Who will answer: of a cluster the primary of the command's slot, as far as is known. The only one has no name. */
  #serverOf(client: Redis | Cluster, command: PackedCommand): string {
    if (client instanceof Cluster) return client.slots[command.getSlot() ?? -1]?.[0] ?? '';
    return this.#client === client ? '' : `${client.options.host}:${client.options.port}`;
  }

  /** What is sent in one turn of the event loop is one write a server: a write costs more than the script that it carries. */
  #cork(): void {
    if (this.#corked) return;
    const streams = this.primaries().flatMap(({ stream }) =>
      stream === undefined || stream.destroyed ? [] : [stream],
    );
    if (streams.length === 0) {
      this.turn++;
      return;
    }
    for (const stream of streams) stream.cork();
    this.#corked = true;
    this.#clock.soon(() => {
      this.#corked = false;
      this.turn++;
      for (const stream of streams) stream.uncork();
    });
  }
}
