/**
 * The assembly: it knows the engines and which roles run here, and wires comet, logic, queue and job: by direct calls where
 * they are in this process, over links where they are not. Whatever fails on the way closes what was opened before. Stopping
 * goes the other way round: nothing new, what was accepted is applied and told, sessions are closed, the store last. Each
 * subject has a file of its own under assemble/.
 */
import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import { ImgoError } from '../protocol/errors.js';
import type { NodeId } from '../protocol/ids.js';
import { isAway, waitAway } from './assemble/away.js';
import { type Cluster, enterCluster } from './assemble/cluster.js';
import { type Comets, startComets, workerCount } from './assemble/comets.js';
import type { Engines } from './assemble/engine-set.js';
import { openEngines } from './assemble/engines.js';
import { goimNodes, openHttp } from './assemble/http.js';
import { chooseMode, type Mode } from './assemble/mode.js';
import { SelfWatch } from './assemble/self-watch.js';
import { TcpMemory } from './assemble/tcp-memory.js';
import { once, runAll, type Undo } from './assemble/undo.js';
import { keepUp } from './assemble/upkeep.js';
import { type Clock, pause, systemClock } from './clock.js';
import { ClusterClock } from './cluster-clock.js';
import { type Config, isEmbedded, isLoopback, listeners } from './config.js';
import { Failures } from './failures.js';
import { createJob, type Job } from './job/job.js';
import { LiveOptions, type Reloaded } from './live-options.js';
import { gateFor } from './logic/gate.js';
import type { LogicHttp } from './logic/http.js';
import type { LogicParts } from './logic/options.js';
import { createLogicService, type Logic } from './logic/sessions.js';
import { EventHub } from './observe/hub.js';
import { Metrics } from './observe/metrics.js';
import { type MetricsPage, metricsPage } from './observe/metrics-page.js';
import { openSpans } from './observe/open-spans.js';
import { type OtlpSettings, otlpSettings } from './observe/otlp-settings.js';
import type { WatchedNode } from './observe/stream.js';
import { TraceStore } from './observe/traces.js';
import { startProbes } from './probes.js';
import type { NodeRecord } from './router/registry.js';
import type { Peer } from './rpc/admission.js';
import { SERVICE_CALLS } from './rpc/calls.js';
import type { LinkHandler } from './rpc/link.js';
import { serve } from './rpc/remote.js';
import type { CometService, NodeReport, NodeService } from './rpc/services.js';
import { workerTimes } from './workers/protocol.js';

export { openStore } from './assemble/engines.js';

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
  /** Where other nodes reach it: `127.0.0.1:7173`. */
  readonly rpc: string | undefined;
}

export interface RunningServer {
  readonly addresses: ServerAddresses;
  /** development: every listener on loopback and no key. */
  readonly mode: Mode;
  /** Its name among the nodes. */
  readonly node: string;
  /** Rejects when it cannot go on: node_taken. Never resolves. */
  readonly failed: Promise<never>;
  /** Takes over what it can of settings that changed. `changed`: their keys. */
  reload(config: Config, changed: readonly string[]): Reloaded;
  /** Graceful, within `shutdown_timeout`. Idempotent. */
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly log: Logger;
  readonly version: string;
  /** How the command line is called here, for texts to copy; `imgo` unless given. */
  readonly command?: string;
  /** An API key to import as admin before listening. */
  readonly adminKey?: string;
  readonly clock?: Clock;
  /** Gives up a start that waits for what it needs. */
  readonly signal?: AbortSignal;
  /** That are open already: processes of a test can share them. */
  readonly engines?: Engines;
}

/**
 * Starts the roles of this process. What is away is waited for, whenever in the course of it that is found.
 * @throws ImgoError data_locked, data_newer, data_damaged, key_required, key_invalid, cluster_key_invalid, port_in_use, what
 * the engines throw, and the system's errors
 */
export async function startServer(config: Config, options: StartOptions): Promise<RunningServer> {
  const { log, signal, clock = systemClock } = options;
  for (;;) {
    const assembly = new Assembly(config, options);
    try {
      await assembly.start();
      return assembly.running();
    } catch (error) {
      await assembly.stop().catch((late: unknown) => log.warn({ error: String(late) }, 'not all could be closed'));
      if (!isAway(error)) throw error;
      const { code, message: why } = error;
      log.warn({ code, why }, 'what this process needs went away while it started');
      await waitAway(code, config, clock, signal);
      if (signal?.aborted) throw new ImgoError('interrupted', {}, { cause: error });
    }
  }
}

/** How long another node may take to tell how it is. */
const REPORT_MS = 1_000;

class Assembly {
  readonly #config: Config;
  readonly #options: StartOptions;
  readonly #clock: Clock;
  /** The same; of a process that is alone it is this machine's. */
  readonly #clusterClock: ClusterClock | undefined;
  readonly #node: NodeId;
  readonly #undo: Undo[] = [];
  readonly #failed = Promise.withResolvers<never>();
  readonly #stopping = new AbortController();
  readonly #hub: EventHub;
  #engines: Engines | undefined;
  #cluster: Cluster | undefined;
  #logic: Logic | undefined;
  #job: Job | undefined;
  #comets: Comets | undefined;
  #live: LiveOptions | undefined;
  #mode: Mode = 'production';
  #http: { readonly http: string | undefined; readonly legacyHttp: string | undefined } | undefined;
  #figures: LogicHttp['figures'] | undefined;
  #alerts: LogicHttp['alerts'] | undefined;
  readonly #metrics: Metrics;
  #page: MetricsPage | undefined;
  /** Code of what the start waits for. */
  #waiting: string | undefined;
  #push: (() => NodeReport['push']) | undefined;
  readonly #self: SelfWatch;
  readonly #traces: TraceStore;
  readonly #otlp: OtlpSettings | undefined;

  constructor(config: Config, options: StartOptions) {
    this.#config = config;
    this.#options = options;
    const clock = options.clock ?? systemClock;
    this.#clusterClock = isEmbedded(config) ? undefined : new ClusterClock(clock, options.log);
    this.#clock = this.#clusterClock ?? clock;
    const made = `n-${Buffer.from(this.#clock.randomBytes(4)).toString('hex')}`;
    this.#node = (config.cluster.node ?? made) as NodeId;
    this.#metrics = this.#measured();
    this.#hub = new EventHub(this.#node, this.#clock);
    this.#traces = new TraceStore(this.#clock, this.#node);
    this.#otlp = otlpSettings(config.otlp, process.env);
    this.#failed.promise.catch(() => undefined);
    this.#self = new SelfWatch(this.#clock, config.cluster.tls?.cert);
    this.#undo.push(() => this.#self.stop());
    options.signal?.addEventListener('abort', () => this.#stopping.abort(), { once: true });
  }

  readonly #onTime = (said: number, askedAt: number): void => this.#clusterClock?.learn(said, askedAt);

  readonly stop = once(() => {
    this.#stopping.abort();
    return runAll(this.#undo.reverse());
  });

  running(): RunningServer {
    const { ws, tcp, goim } = this.#comets?.addresses() ?? { ws: undefined, tcp: undefined, goim: undefined };
    const { http, legacyHttp } = this.#http ?? { http: undefined, legacyHttp: undefined };
    return {
      addresses: { http, ws, tcp, goim, legacyHttp, rpc: this.#cluster?.address },
      mode: this.#mode,
      node: this.#node,
      failed: this.#failed.promise,
      reload: (next, changed) =>
        this.#live?.reload(next, changed, (live) => this.#comets?.reload(live)) ?? { taken: [], waiting: changed },
      stop: this.stop,
    };
  }

  async start(): Promise<void> {
    const config = this.#config;
    const { roles } = config;
    const embedded = isEmbedded(config) && this.#options.engines === undefined;
    const opened = (close: Undo) => void this.#undo.push(close);
    this.#page = metricsPage(this.#metrics, config.metricsKeyFile);
    this.#undo.push(() => this.#metrics.stop());
    opened(() => this.#hub.stop());
    const spans = await openSpans(this.#traces, this.#otlp, {
      clock: this.#clock,
      version: this.#options.version,
      warn: (details, message) => this.#options.log.warn(details, message),
    });
    if (spans !== undefined) opened(spans);
    const processes = roles.includes('comet') ? await workerCount(config) : 1;
    const times = workerTimes(processes, availableParallelism());
    if (roles.includes('logic') || roles.includes('job')) {
      this.#engines = this.#options.engines ?? (await this.#openEngines(times.leaseMs, embedded, opened));
    }
    if (!embedded) this.#cluster = await this.#enter(opened);
    this.#mode = await this.#chooseMode();
    const live = new LiveOptions(config, this.#mode === 'development', processes);
    this.#live = live;
    const logicParts = this.#logicParts(live);
    if (roles.includes('logic') && logicParts !== undefined) this.#logic = createLogicService(logicParts);
    if (roles.includes('job')) this.#job = this.#createJob(times.ackMs);
    if (roles.includes('comet')) await this.#startComets(live, processes);
    else await this.#holdLease();
    if (this.#job !== undefined) this.#consume(this.#job);
    else this.#undo.push(() => this.#closeQueue());
    await this.#openHttp(live, logicParts);
    if (this.#engines !== undefined && this.#logic !== undefined) {
      const upkeep = keepUp(this.#engines, this.#clock, this.#options.log, embedded);
      this.#undo.push(() => this.#clock.clear(upkeep));
    }
  }

  /** Where they are outside, and away, the process waits for them; its probes say so. */
  async #openEngines(leaseMs: number, embedded: boolean, opened: (close: Undo) => void): Promise<Engines> {
    const { log, version } = this.#options;
    const onWaiting = (code: string | undefined) => {
      this.#waiting = code;
    };
    const { http } = this.#config.listen;
    const api = this.#config.roles.includes('logic');
    const problems = () => [this.#waiting ?? 'starting'];
    const probes =
      embedded || http === undefined ? undefined : await startProbes(http, problems, { api, metrics: this.#page });
    try {
      const signal = this.#stopping.signal;
      const parts = { clock: this.#clock, log, version, leaseMs, name: this.#node, signal };
      const options = { ...parts, onWaiting, onTime: this.#onTime };
      return await openEngines(this.#config, options, opened);
    } finally {
      await probes?.stop();
    }
  }

  #enter(opened: (close: Undo) => void): Promise<Cluster> {
    const { log, version } = this.#options;
    return enterCluster(
      {
        config: this.#config,
        clock: this.#clock,
        log,
        version,
        node: this.#node,
        registry: this.#engines?.registry,
        onTime: this.#onTime,
        handlerFor: (peer) => this.#handlerFor(peer),
      },
      opened,
    );
  }

  async #chooseMode(): Promise<Mode> {
    const { roles } = this.#config;
    const { credentials } = this.#engines ?? {};
    if (roles.includes('logic') && credentials !== undefined) {
      return chooseMode(this.#config, credentials, this.#clock, this.#options.adminKey);
    }
    if (this.#cluster?.logics === undefined) return 'production';
    const { signal } = this.#stopping;
    const { http } = this.#config.listen;
    const probes = http === undefined ? undefined : await startProbes(http, () => ['logic_unreachable']);
    const welcome = await this.#cluster.logics.start(signal).finally(() => probes?.stop());
    if (signal.aborted) throw new ImgoError('interrupted');
    const exposed = listeners(this.#config).some(([, { host }]) => !isLoopback(host));
    return welcome?.development === true && !exposed ? 'development' : 'production';
  }

  #logicParts({ logic: options }: LiveOptions): LogicParts | undefined {
    if (this.#engines === undefined) return undefined;
    const { buckets, credentials, registry } = this.#engines;
    return {
      buckets,
      credentials,
      registry: this.#cluster?.nodes?.learning(registry) ?? registry,
      clock: this.#clock,
      options,
      traces: this.#traces,
      cometFor: (node) => this.#comets?.cometFor(node) ?? this.#cluster?.nodes?.cometNamed(node),
    };
  }

  #createJob(ackMs: number): Job | undefined {
    if (this.#engines === undefined) return undefined;
    const failures = new Failures(this.#clock, this.#options.log, 'applying a batch');
    return createJob({
      ...this.#engines,
      clock: this.#clock,
      hub: this.#hub,
      ackMs,
      traces: this.#traces,
      cometFor: (record) => this.#cometOf(record),
      onFailure: (cause) => failures.report(cause),
      onApplied: () => failures.over(),
    });
  }

  #cometOf(record: NodeRecord): CometService {
    const service = this.#comets?.cometFor(record.node) ?? this.#cluster?.nodes?.comet(record);
    if (service === undefined) throw new ImgoError('node_unreachable', { node: record.node });
    return service;
  }

  async #startComets(live: LiveOptions, processes: number): Promise<void> {
    const logic = this.#logic ?? this.#cluster?.logics?.logic;
    const lease = this.#cluster?.lease ?? this.#engines?.registry;
    if (logic === undefined || lease === undefined)
      throw new ImgoError('internal', { detail: 'a comet without a logic' });
    const comets = await startComets(live.comet, processes, {
      ...this.#options,
      logic,
      lease,
      clock: this.#clock,
      node: this.#node,
      roles: this.#config.roles,
      address: this.#cluster?.address ?? '',
      hub: this.#hub,
      onTaken: (holder) => this.#taken(holder),
      traces: this.#traces,
      otlp: this.#otlp,
      store: this.#engines,
    });
    this.#comets = comets;
    this.#undo.push(() => comets.stop(this.#config.shutdownTimeoutMs));
    const memory = new TcpMemory(this.#clock, this.#options.log);
    this.#undo.push(() => memory.stop());
  }

  async #holdLease(): Promise<void> {
    const leave = await this.#cluster?.hold((holder) => this.#taken(holder));
    if (leave !== undefined) this.#undo.push(leave);
  }

  #taken({ node, address }: NodeRecord): void {
    const error = new ImgoError('node_taken', { node, address });
    this.#options.log.error({ node, address }, 'another process has this node’s name now; this one ends');
    this.#failed.reject(error);
  }

  #consume(job: Job): void {
    const consuming = new AbortController();
    const running = job.run(consuming.signal);
    this.#undo.push(async () => {
      consuming.abort();
      await this.#closeQueue();
      await running;
    });
  }

  async #closeQueue(): Promise<void> {
    if (this.#options.engines === undefined) await this.#engines?.queue[Symbol.asyncDispose]();
  }

  async #openHttp(live: LiveOptions, logicParts: LogicParts | undefined): Promise<void> {
    const { http } = this.#config.listen;
    const logic = this.#logic;
    if (logic === undefined || logicParts === undefined || this.#engines === undefined || this.#page === undefined) {
      await this.#comets?.listen();
      if (http === undefined || this.#page === undefined) return;
      const probes = await startProbes(http, () => this.#problems(), { metrics: this.#page });
      this.#http = { http: probes.address, legacyHttp: undefined };
      this.#undo.push(() => probes.stop());
      return;
    }
    const parts = {
      ...logicParts,
      queue: this.#engines.queue,
      metrics: this.#page,
      goimNodes: () => goimNodes(this.#comets?.addresses()),
      origins: live.origins,
      reports: (nodes: readonly NodeRecord[]) => Promise.all(nodes.map((record) => this.#reportOf(record))),
      self: () => this.#report(),
      nodeFor: (record: NodeRecord) => this.#cluster?.nodes?.node(record),
      problems: () => this.#missing(),
      hub: this.#hub,
      watched: () => this.#watched(),
    };
    const ws = () => this.#comets?.addresses().ws;
    const api = await openHttp(this.#config, parts, logic, ws, this.#options, this.#mode);
    if (api !== undefined) this.#undo.push(() => api.stop());
    await this.#comets?.listen();
    await api?.listen();
    this.#http = api?.addresses();
    this.#figures = api?.figures;
    this.#alerts = api?.alerts;
    this.#push = api?.push as (() => NodeReport['push']) | undefined;
  }

  /** Codes of what keeps this process from its work. */
  #problems(): readonly string[] {
    return [...new Set([...(this.#comets?.problems() ?? []), ...this.#missing()])];
  }

  /** Of what it works with. */
  #missing(): readonly string[] {
    const found: string[] = this.#waiting === undefined ? [] : [this.#waiting];
    if (this.#cluster?.logics?.reachable === false) found.push('logic_unreachable');
    const health = this.#engines?.buckets.health();
    if (health?.writable === false) found.push(health.failure?.code ?? health.code ?? 'store_failed');
    found.push(...(this.#engines?.problems?.() ?? []));
    return found;
  }

  /** What a node that has proven its role may ask of this one. */
  #handlerFor(peer: Peer): LinkHandler | undefined {
    const comet = this.#comets?.cometFor(this.#node);
    if (peer.role === 'comet') return this.#gate(peer);
    if (peer.role === 'job') {
      return comet && serve([{ name: 'comet', methods: ['notify'], service: comet }]);
    }
    const node: NodeService = {
      report: async () => this.#report(),
      trace: async (log, key) => this.#traces.find(log, key),
    };
    return serve([
      { name: 'events', methods: SERVICE_CALLS.events, service: this.#hub },
      { name: 'node', methods: SERVICE_CALLS.node, service: node },
      ...(comet === undefined ? [] : [{ name: 'comet', methods: SERVICE_CALLS.comet, service: comet }]),
    ]);
  }

  #gate({ node }: Peer): LinkHandler | undefined {
    const { key, nodes, address } = this.#cluster ?? {};
    if (this.#logic === undefined || this.#engines === undefined || key === undefined) return undefined;
    const welcome = async () => {
      const logics = (nodes?.live ?? []).filter(({ roles }) => roles.includes('logic')).map((one) => one.address);
      const development = this.#mode === 'development';
      return { logics: [...new Set([...logics, address ?? ''])], development, now: this.#clock.now() };
    };
    const statedIdentities = this.#config.listen.goim !== undefined;
    const { registry: lease } = this.#engines;
    return gateFor({ logic: this.#logic, lease, key, welcome, statedIdentities }, node as NodeId);
  }

  /** A node that does not answer in time has none. */
  async #reportOf(record: NodeRecord): Promise<NodeReport | undefined> {
    if (record.node === this.#node) return this.#report();
    // Workers are part of another process.
    if (record.state === 'gone' || record.address === '') return undefined;
    const answer = this.#cluster?.nodes?.node(record).report();
    return Promise.race([answer?.catch(() => undefined), pause(this.#clock, REPORT_MS).then(() => undefined)]);
  }

  #measured(): Metrics {
    const { version } = this.#options;
    return new Metrics({
      clock: this.#clock,
      about: { version, node: this.#node, roles: this.#config.roles },
      problems: () => this.#problems(),
      push: () => this.#figures?.(),
      queue: () => this.#engines?.queue.stats(),
      store: () => this.#engines?.buckets.health(),
      job: () => this.#job?.counters,
      spans: () => this.#traces.sink?.counters,
      alerts: () => this.#alerts?.(),
      traces: () => this.#traces.counters,
      comets: () => this.#comets?.all() ?? [],
    });
  }

  /** Every node whose events can be had: this one, its workers, the others. */
  async #watched(): Promise<readonly WatchedNode[]> {
    const records = (await this.#engines?.registry.nodes()) ?? [];
    const others = records.filter(({ node, state }) => node !== this.#node && state !== 'gone');
    return [
      { node: this.#node, service: this.#hub },
      ...others.map((record) => ({
        node: record.node,
        service:
          this.#comets?.eventsFor(record.node) ??
          (record.address === '' ? undefined : this.#cluster?.nodes?.events(record)),
      })),
    ];
  }

  #report(): NodeReport {
    const push = this.#push?.();
    return {
      node: this.#node,
      problems: this.#problems(),
      ...this.#self.figures(),
      ...(push === undefined ? {} : { push }),
      ...(this.#job === undefined ? {} : { job: { ...this.#job.counters } }),
      ...(this.#job === undefined || this.#engines === undefined ? {} : { queue: this.#engines.queue.stats() }),
    };
  }
}
