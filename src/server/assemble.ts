/**
 * The assembly: the one file that knows the engines and which roles run here. It opens the store, joins the registry, wires
 * comet, logic, queue and job by direct calls, and listens. Whatever fails on the way closes what was opened before.
 * Stopping goes the other way round: nothing new, what was accepted is applied and told, sessions are closed, the store
 * last.
 */
import { availableParallelism, hostname } from 'node:os';
import type { Logger } from 'pino';
import { ImgoError } from '../protocol/errors.js';
import type { NodeId } from '../protocol/ids.js';
import { type Clock, systemClock } from './clock.js';
import type { CometAddresses } from './comet/listeners.js';
import type { CometOptions } from './comet/options.js';
import { type Config, isLoopback, type ListenerConfig, listeners } from './config.js';
import { createJob } from './job/job.js';
import { LiveOptions, type Reloaded } from './live-options.js';
import type { LogicHttp, LogicHttpOptions } from './logic/http.js';
import { importKey } from './logic/keys.js';
import type { GoimNodes, LogicParts, PushParts } from './logic/options.js';
import { createLogicService } from './logic/sessions.js';
import { createEmbeddedQueue } from './queue/embedded.js';
import { createMemoryRegistry } from './router/memory.js';
import type { Registry } from './router/registry.js';
import type { CometService, LogicService } from './rpc/services.js';
import type { Buckets, BucketsOptions } from './store/buckets.js';
import type { Credentials, KeyRecord } from './store/credentials.js';
import { workerTimes } from './workers/protocol.js';

/** What a running server can be reached at. */
export interface ServerAddresses {
  /** `http://127.0.0.1:7172` */
  readonly http: string | undefined;
  /** `ws://127.0.0.1:8090/sub` */
  readonly ws: string | undefined;
  /** `127.0.0.1:8080` */
  readonly tcp: string | undefined;
  readonly goim: string | undefined;
  readonly legacyHttp: string | undefined;
}

export interface RunningServer {
  readonly addresses: ServerAddresses;
  /** development: every listener on loopback and no key. */
  readonly mode: 'development' | 'production';
  readonly epoch: number;
  /** Takes over what it can of settings that changed. `changed`: their keys. */
  reload(config: Config, changed: readonly string[]): Reloaded;
  /** Graceful, within `shutdown_timeout`. Idempotent. */
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly log: Logger;
  readonly version: string;
  /** An API key to import as admin before listening. */
  readonly adminKey?: string;
  readonly clock?: Clock;
}

const RENEW_MS = 2_000;
const MAINTAIN_MS = 1_000;
/** Descriptors of a worker that are not connections. */
const PROCESS_FDS = 64;
const QUEUE_BYTES = 64 * 1024 * 1024;
const FORGET_LOG_AFTER_MS = 30 * 86_400_000;
const CREDENTIALS_KEPT_MS = 30 * 86_400_000;

/** development: every listener on loopback and no key. */
type Mode = RunningServer['mode'];

/** Opened on the way up, closed on the way down. */
type Undo = () => PromiseLike<void> | void;

/**
 * Starts everything in this process.
 * @throws ImgoError data_locked, data_newer, data_damaged, key_required, key_invalid, port_in_use and the system's errors
 */
export async function startServer(config: Config, options: StartOptions): Promise<RunningServer> {
  const { log, clock = systemClock } = options;
  const undo: Undo[] = [];
  const stop = once(() => runAll(undo.reverse()));
  try {
    const { buckets, credentials, close } = await openStore(config, clock, options.version);
    undo.push(close);
    const mode = await chooseMode(config, credentials, clock, options.adminKey);
    const processes = await workerCount(config);
    const live = new LiveOptions(config, mode === 'development', processes);

    const { ackMs, leaseMs } = workerTimes(processes, availableParallelism());
    const registry = createMemoryRegistry({ clock, leaseMs });
    const node = `n-${Buffer.from(clock.randomBytes(4)).toString('hex')}` as NodeId;
    let comets: Comets | undefined;
    const cometFor = (asked: NodeId): CometService | undefined => comets?.cometFor(asked);
    const parts: LogicParts = { buckets, credentials, registry, clock, options: live.logic, cometFor };
    const logic = createLogicService(parts);

    const queue = createEmbeddedQueue({ epoch: buckets.epoch, clock, maxWaitingBytes: QUEUE_BYTES });
    const job = createJob({
      queue,
      buckets,
      registry,
      clock,
      ackMs,
      cometFor: (record) => {
        const service = cometFor(record.node);
        if (service === undefined) throw new ImgoError('node_unreachable', { node: record.node });
        return service;
      },
      onFailure: (cause) => log.error({ cause: String(cause) }, 'a batch could not be applied; it is tried again'),
    });

    const started = await startComets(live.comet, processes, { ...options, logic, registry, buckets, clock, node });
    comets = started;
    undo.push(() => started.stop(config.shutdownTimeoutMs));
    const consuming = new AbortController();
    const running = job.run(consuming.signal);
    undo.push(async () => {
      consuming.abort();
      await queue[Symbol.asyncDispose]();
      await running;
    });

    const counters = (): Readonly<Record<string, number>> => ({ ...job.counters });
    const nodes = (): GoimNodes | undefined => goimNodes(comets?.addresses());
    const httpParts = { ...parts, queue, job: counters, goimNodes: nodes, origins: live.origins };
    const http = await openHttp(config, httpParts, logic, options, mode);
    if (http !== undefined) undo.push(() => http.stop());
    await comets.listen();
    await http?.listen();
    const upkeep = keepUp(buckets, credentials, clock, log);
    undo.push(() => clock.clear(upkeep));
    return {
      addresses: { ...comets.addresses(), ...(http?.addresses() ?? { http: undefined, legacyHttp: undefined }) },
      mode,
      epoch: buckets.epoch,
      reload: (next, changed) => live.reload(next, changed),
      stop,
    };
  } catch (error) {
    await stop().catch((late: unknown) => log.warn({ error: String(late) }, 'not all could be closed'));
    throw error;
  }
}

/** Where connections are held: in this process, or in its workers. */
interface Comets {
  cometFor(node: NodeId): CometService | undefined;
  listen(): Promise<void>;
  addresses(): CometAddresses;
  stop(timeoutMs: number): Promise<void>;
}

interface CometsParts extends StartOptions {
  readonly logic: LogicService;
  readonly registry: Registry;
  readonly buckets: Buckets;
  readonly clock: Clock;
  readonly node: NodeId;
}

async function startComets(options: CometOptions, count: number, parts: CometsParts): Promise<Comets> {
  const { log, node, version } = parts;
  if (count > 1) {
    const { Supervisor } = await import('./workers/supervisor.js');
    const supervisor = new Supervisor({
      ...parts,
      count,
      orders: { options, version, renewMs: RENEW_MS },
    });
    try {
      await supervisor.start();
    } catch (error) {
      await supervisor.stop(0);
      throw error;
    }
    return supervisor;
  }
  const { createComet } = await import('./comet/comet.js');
  const comet = await createComet({ ...parts, log, options, renewMs: RENEW_MS });
  return {
    cometFor: (asked) => (asked === node ? comet.service : undefined),
    listen: () => comet.listen(),
    addresses: () => comet.addresses(),
    stop: (timeoutMs) => comet.stop(timeoutMs),
  };
}

/** `auto`: a process for each core, and as many as the connections asked for need descriptors. */
async function workerCount({ workers, limits: { maxConns, reserveFds } }: Config): Promise<number> {
  if (workers !== 'auto') return workers;
  const { descriptorLimit } = await import('./comet/limits.js');
  const each = Math.max(1, descriptorLimit() - reserveFds - PROCESS_FDS);
  return Math.max(availableParallelism(), maxConns === 'auto' ? 1 : Math.ceil(maxConns / each));
}

/** Every step is taken, in order, whatever becomes of the others. Throws the first error. */
async function runAll(steps: readonly Undo[]): Promise<void> {
  let failed: { readonly error: unknown } | undefined;
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failed ??= { error };
    }
  }
  if (failed !== undefined) throw failed.error;
}

interface OpenedStore {
  readonly buckets: Buckets;
  readonly credentials: Credentials;
  readonly close: Undo;
}

/** Opens the store of a config: for servers, and for `key create` without one. */
export async function openStore(config: Config, clock: Clock, version: string): Promise<OpenedStore> {
  const options: BucketsOptions = {
    keep: config.delivery.keep,
    rooms: config.rooms.keep,
    devicesPerUser: config.limits.devicesPerUser,
    newDevice: config.delivery.newDevice,
    idempotency: config.delivery.idempotency,
    forgetLogAfterMs: FORGET_LOG_AFTER_MS,
  };
  if (config.data.kind === 'memory') {
    const { createMemoryBuckets } = await import('./store/memory.js');
    const { createMemoryCredentials } = await import('./store/memory-credentials.js');
    const buckets = createMemoryBuckets(options, clock);
    return { buckets, credentials: createMemoryCredentials(), close: () => buckets[Symbol.asyncDispose]() };
  }
  const { openLmdbStore } = await import('./store/lmdb.js');
  const { reserveBytes } = config.store;
  const store = await openLmdbStore({ path: config.data.folder, options, clock, version, reserveBytes });
  return {
    buckets: store.buckets,
    credentials: store.credentials,
    close: () => store[Symbol.asyncDispose](),
  };
}

/** Imports the key that was given, and refuses to face a network without one. */
async function chooseMode(
  config: Config,
  credentials: Credentials,
  clock: Clock,
  adminKey: string | undefined,
): Promise<Mode> {
  if (adminKey !== undefined) {
    const key = await importKey(credentials, clock, adminKey, {
      name: 'key file',
      scopes: ['admin'],
      ttlMs: undefined,
    });
    // Whoever gives a key wants it to be asked for: without it the server would be open to all of this machine.
    if (!isValid(key, clock.now())) throw new ImgoError('key_invalid');
  }
  const keys = await credentials.keys();
  if (keys.some((key) => isValid(key, clock.now()))) return 'production';
  const exposed = listeners(config).find(([, { host }]) => !isLoopback(host));
  if (exposed !== undefined) {
    const [, { host, port }] = exposed;
    throw new ImgoError('key_required', { host, port: String(port) });
  }
  return 'development';
}

function isValid({ revokedAt, expiresAt }: KeyRecord, now: number): boolean {
  return revokedAt === undefined && (expiresAt ?? now + 1) > now;
}

async function openHttp(
  config: Config,
  parts: PushParts & Pick<LogicHttpOptions, 'job' | 'goimNodes' | 'origins'>,
  service: ReturnType<typeof createLogicService>,
  options: StartOptions,
  mode: Mode,
): Promise<LogicHttp | undefined> {
  const { http, legacyHttp } = config.listen;
  if (http === undefined) return undefined;
  const { createLogicHttp } = await import('./logic/http.js');
  return createLogicHttp({
    ...parts,
    service,
    log: options.log,
    version: options.version,
    http: addressOf(http),
    legacyHttp: legacyHttp === undefined ? undefined : addressOf(legacyHttp),
    development: mode === 'development',
  });
}

/** Where goim's clients connect: their own port, which speaks both transports, else the normal ones (with a token). */
function goimNodes(at: CometAddresses | undefined): GoimNodes | undefined {
  const tcp = at?.goim ?? at?.tcp;
  const ws = at?.goim ?? (at?.ws === undefined ? undefined : new URL(at.ws).host);
  const listening = tcp ?? ws;
  if (listening === undefined) return undefined;
  const { hostname: host } = new URL(`tcp://${listening}`);
  const portOf = (address: string | undefined) => Number(/\d+$/.exec(address ?? '')?.[0] ?? 0);
  const domain = host === '0.0.0.0' || host === '[::]' ? hostname() : host;
  return { domain, tcpPort: portOf(tcp), wsPort: portOf(ws), wssPort: 0 };
}

function keepUp(buckets: Buckets, credentials: Credentials, clock: Clock, log: Logger): ReturnType<Clock['every']> {
  let busy = false;
  let turns = 0;
  return clock.every(MAINTAIN_MS, () => {
    if (busy) return;
    busy = true;
    turns++;
    const work = [buckets.maintain()];
    if (turns % 3_600 === 0) work.push(credentials.forget(clock.now() - CREDENTIALS_KEPT_MS));
    Promise.all(work)
      .catch((error: unknown) => log.warn({ error: String(error) }, 'upkeep of the store failed; it is tried again'))
      .finally(() => {
        busy = false;
      });
  });
}

function addressOf({ host, port }: ListenerConfig): { readonly host: string; readonly port: number } {
  return { host, port };
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= run();
    return running;
  };
}
