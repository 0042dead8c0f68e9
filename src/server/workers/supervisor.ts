/**
 * The parent's side of worker processes: starts them, answers them, and has their comets at hand for jobs and logics. A
 * worker that ends is started again; from that moment its sessions are gone for look-ups, and pushes go on without it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { getCompileCacheDir } from 'node:module';
import { createServer, type Server, type Socket } from 'node:net';
import { availableParallelism, setPriority, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { ImgoError } from '../../protocol/errors.js';
import type { NodeId } from '../../protocol/ids.js';
import { type Clock, pause } from '../clock.js';
import type { CometAddresses } from '../comet/listeners.js';
import type { LiveCometOptions } from '../comet/options.js';
import type { WatchService } from '../observe/hub.js';
import type { Registry } from '../router/registry.js';
import type { LeaseService } from '../rpc/calls.js';
import { Link } from '../rpc/link.js';
import { serve, twin } from '../rpc/remote.js';
import { type CometService, type LogicService, NUMBERS_ONLY } from '../rpc/services.js';
import type { Buckets } from '../store/buckets.js';
import {
  CALLS,
  isCrowded,
  type ParentService,
  type WorkerOrders,
  type WorkerPorts,
  type WorkerService,
  type WorkerTimes,
  workerTimes,
} from './protocol.js';

export interface SupervisorOptions {
  /** How many processes. */
  readonly count: number;
  /** The parent's name: its workers are `NODE/1` and so on. */
  readonly node: NodeId;
  readonly orders: WorkerOrders;
  readonly logic: LogicService;
  readonly registry: Registry;
  readonly buckets: Pick<Buckets, 'dropComet'>;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Worker {
  readonly node: NodeId;
  process: ChildProcess | undefined;
  link: Link | undefined;
  comet: CometService | undefined;
  events: WatchService | undefined;
  control: WorkerService | undefined;
  incarnation: number;
  startedAt: number;
}

/** What a process needs to end when it is asked to. */
const END_MS = 3_000;
/** How far workers stand back where many share a core: the parent, which all of them wait for, is not one among many. */
const CROWDED_NICE = 15;
/** Sessions live long: a large young generation would only keep more memory resident, in each of many processes. */
const CROWDED_FLAGS = ['--max-semi-space-size=1'];
/** Between two starts of a worker that does not live long: doubled each time, within these. */
const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 10_000;
/** Who lived this long starts again at once. */
const LIVED_MS = 10_000;

/** The script of a worker, beside this one. */
const SCRIPT = fileURLToPath(new URL('./worker.js', import.meta.url));

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #folder: string;
  readonly #path: string;
  readonly #server: Server;
  readonly #workers = new Map<NodeId, Worker>();
  readonly #arrivals = new Map<NodeId, (link: Link) => void>();
  readonly #links = new Set<Link>();
  readonly #times: WorkerTimes;
  readonly #nice: number;
  readonly #flags: readonly string[];
  #ports: WorkerPorts | undefined;
  #addresses: CometAddresses = { tcp: undefined, ws: undefined, goim: undefined };
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const cores = availableParallelism();
    this.#times = workerTimes(options.count, cores);
    const crowded = isCrowded(options.count, cores);
    this.#nice = crowded ? CROWDED_NICE : 0;
    this.#flags = crowded ? CROWDED_FLAGS : [];
    this.#folder = mkdtempSync(join(tmpdir(), 'imgo-workers-'));
    chmodSync(this.#folder, 0o700);
    this.#path = join(this.#folder, 'parent.sock');
    this.#server = createServer((socket) => this.#accept(socket));
    for (let at = 1; at <= options.count; at++) {
      const node = `${options.node}/${at}` as NodeId;
      const none = { process: undefined, link: undefined, comet: undefined, events: undefined, control: undefined };
      this.#workers.set(node, { node, ...none, incarnation: 0, startedAt: 0 });
    }
  }

  /** Starts all of them and waits until each has joined. @throws ImgoError internal when one does not start */
  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#path, resolve);
    });
    await Promise.all([...this.#workers.values()].map((worker) => this.#spawn(worker)));
  }

  /** All take connections, on the same ports. @throws ImgoError port_in_use, listen_refused */
  async listen(): Promise<void> {
    const [first, ...others] = this.#workers.values();
    if (first?.control === undefined) throw new ImgoError('node_unreachable', { node: this.#options.node });
    this.#addresses = await first.control.listen({});
    this.#ports = portsOf(this.#addresses);
    await Promise.all(others.map((worker) => worker.control?.listen(this.#ports as WorkerPorts)));
  }

  /** Each takes it over; one that starts meanwhile has it in its orders, which are the same object. */
  reload(live: LiveCometOptions): void {
    // A link that breaks is a worker that ends, and starts with these.
    for (const { control } of this.#workers.values()) control?.reload(live).catch(() => undefined);
  }

  addresses(): CometAddresses {
    return this.#addresses;
  }

  /** The comet of that worker, while a link to it exists. */
  cometFor(node: NodeId): CometService | undefined {
    return this.#workers.get(node)?.comet;
  }

  /** Comets of the workers that a link to exists of. */
  all(): readonly CometService[] {
    return [...this.#workers.values()].flatMap(({ comet }) => comet ?? []);
  }

  /** Events of that worker, likewise. */
  eventsFor(node: NodeId): WatchService | undefined {
    return this.#workers.get(node)?.events;
  }

  /** Graceful, all at once; who has not ended by then is killed. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.#workers.values()].map((worker) => this.#end(worker, timeoutMs)));
    for (const link of this.#links) link.close();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #end(worker: Worker, timeoutMs: number): Promise<void> {
    const { process: child, control, link } = worker;
    if (child === undefined) return;
    const ended = exitOf(child);
    if (control !== undefined && link !== undefined) {
      await link.call('worker.stop', [timeoutMs], timeoutMs + END_MS).catch(() => undefined);
    }
    await Promise.race([ended, pause(this.#options.clock, END_MS)]);
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
  }

  async #spawn(worker: Worker): Promise<void> {
    const { clock } = this.#options;
    const arrived = Promise.withResolvers<Link>();
    this.#arrivals.set(worker.node, arrived.resolve);
    worker.startedAt = clock.monotonic();
    const args = [...process.execArgv, ...this.#flags, SCRIPT, this.#path, worker.node, String(this.#options.count)];
    const cache = getCompileCacheDir();
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: dirname(cache) }) },
    });
    if (this.#nice > 0 && child.pid !== undefined) this.#stepBack(child.pid);
    worker.process = child;
    const ended = exitOf(child);
    void ended.then((how) => this.#gone(worker, child, how));
    const link = await Promise.race([arrived.promise, ended, pause(clock, this.#times.startMs)]);
    this.#arrivals.delete(worker.node);
    if (!(link instanceof Link)) throw this.#failed(worker, child);
    const call = (method: string, args: readonly unknown[]) => link.call(method, args);
    worker.link = link;
    worker.comet = twin<CometService, keyof CometService>('comet', CALLS.comet, call);
    worker.events = twin<WatchService, keyof WatchService>('events', CALLS.events, call);
    worker.control = twin<WorkerService, keyof WorkerService>('worker', CALLS.worker, call);
    // Answers once it has joined.
    await worker.comet.stats(NUMBERS_ONLY).catch(() => {
      throw this.#failed(worker, child);
    });
    // A link that breaks is a worker that hangs, or cannot be told anything: another one takes its place.
    void link.ended.then(() => child.kill(this.#stopping ? 'SIGTERM' : 'SIGKILL'));
  }

  /** Without it the server works as well, only not as evenly. */
  #stepBack(pid: number): void {
    try {
      setPriority(pid, this.#nice);
    } catch (error) {
      this.#options.log.warn({ pid, error: String(error) }, 'the priority of a worker cannot be set');
    }
  }

  /** It is given up before it was of any use; whoever started it tries again. */
  #failed(worker: Worker, child: ChildProcess): ImgoError {
    worker.process = undefined;
    worker.link?.close();
    worker.link = worker.comet = worker.events = worker.control = undefined;
    child.kill('SIGKILL');
    return new ImgoError('internal', { detail: `worker ${worker.node} did not start` });
  }

  /** A process has ended: its sessions are gone at once, and another one is started. */
  async #gone(worker: Worker, child: ChildProcess, how: string): Promise<void> {
    if (worker.process !== child) return;
    const { registry, buckets, clock, log } = this.#options;
    worker.link?.close();
    worker.process = worker.link = worker.comet = worker.events = worker.control = undefined;
    if (this.#stopping) return;
    try {
      await registry.leave({ node: worker.node, incarnation: worker.incarnation, holdsMs: 0 });
      const sessions = await buckets.dropComet(worker.node, undefined);
      log.warn({ worker: worker.node, ended: how, sessions }, 'a worker ended; it is started again');
    } catch (error) {
      log.error({ worker: worker.node, error: String(error) }, 'what a worker held could not be given up');
    }
    let wait = clock.monotonic() - worker.startedAt > LIVED_MS ? 0 : RESTART_MIN_MS;
    while (!this.#stopping) {
      await pause(clock, wait);
      if (this.#stopping) return;
      try {
        await this.#spawn(worker);
        await this.#listenAgain(worker);
        return;
      } catch (error) {
        log.error({ worker: worker.node, error: String(error) }, 'a worker could not be started; it is tried again');
        // It runs and does not listen: when it has ended, this begins anew.
        if (killed(worker)) return;
        wait = Math.min(Math.max(wait, RESTART_MIN_MS) * 2, RESTART_MAX_MS);
      }
    }
  }

  async #listenAgain({ control }: Worker): Promise<void> {
    if (this.#ports !== undefined) await control?.listen(this.#ports);
  }

  #accept(socket: Socket): void {
    const { clock, logic, node } = this.#options;
    let name: NodeId | undefined;
    const link: Link = new Link({
      socket,
      clock,
      hello: { node, role: 'parent' },
      handler: serve([
        { name: 'parent', methods: CALLS.parent, service: this.#parent(() => name) },
        { name: 'lease', methods: CALLS.lease, service: this.#lease(() => name) },
        { name: 'logic', methods: CALLS.logic, service: logic },
      ]),
      ...this.#times,
    });
    this.#links.add(link);
    void link.ended.then(() => this.#links.delete(link));
    link.hello.then(
      (hello) => {
        const arrived = this.#arrivals.get(hello.node as NodeId);
        if (arrived === undefined) link.close();
        else {
          name = hello.node as NodeId;
          arrived(link);
        }
      },
      () => undefined,
    );
  }

  #parent(name: () => NodeId | undefined): ParentService {
    const { orders, log } = this.#options;
    return {
      orders: async () => orders,
      warn: async (details, message) => log.warn({ ...details, worker: name() }, message),
    };
  }

  /** The registry, for the worker's own lease only. */
  #lease(name: () => NodeId | undefined): LeaseService {
    const { registry } = this.#options;
    const own = (node: NodeId) => {
      if (node !== name()) throw new ImgoError('internal', { detail: `${node} is not this worker` });
    };
    return {
      join: async (node) => {
        own(node.node);
        const lease = await registry.join(node);
        const worker = this.#workers.get(node.node);
        if (worker !== undefined) worker.incarnation = lease.incarnation;
        return lease;
      },
      renew: async (lease, state) => {
        own(lease.node);
        return registry.renew(lease, state);
      },
      leave: async (lease) => {
        own(lease.node);
        await registry.leave(lease);
      },
      resynced: async (lease, resync) => {
        own(lease.node);
        await registry.resynced(lease, resync);
      },
      nodes: async () => (await registry.nodes()).filter(({ node }) => node === name()),
    };
  }
}

/** True when there was a process to kill. */
function killed({ process: child }: Worker): boolean {
  return child?.kill('SIGKILL') === true;
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(String(child.signalCode ?? child.exitCode));
    child.once('exit', (code, signal) => resolve(String(signal ?? code)));
    child.once('error', (error) => resolve(error.message));
  });
}

function portsOf({ tcp, ws, goim }: CometAddresses): WorkerPorts {
  const portOf = (address: string) => Number(new URL(address.includes('//') ? address : `tcp://${address}`).port);
  return {
    ...(tcp === undefined ? {} : { tcp: portOf(tcp) }),
    ...(ws === undefined ? {} : { ws: portOf(ws) }),
    ...(goim === undefined ? {} : { goim: portOf(goim) }),
  };
}
