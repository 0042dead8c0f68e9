// The HTTP side of logic: Fastify on one port (native API, both legacy APIs, probes, metrics, OpenAPI) and, where it is
// asked for, a second one without keys for the legacy routes alone. Every route has a schema and stands in /openapi.json.

import type { AddressInfo } from 'node:net';
import swagger from '@fastify/swagger';
import Fastify, { type FastifyInstance } from 'fastify';
import { ImgoError } from '../../protocol/errors.js';
import type { AlertCount } from '../observe/alarm.js';
import type { EventHub } from '../observe/hub.js';
import type { LatencyFigures } from '../observe/latency.js';
import type { PushFigures } from '../observe/metrics.js';
import type { MetricsPage } from '../observe/metrics-page.js';
import type { WatchedNode } from '../observe/stream.js';
import type { NodeRecord } from '../router/registry.js';
import type { DrainOrder, NodeReport, NodeService } from '../rpc/services.js';
import { type AcceptCounters, Acceptor } from './accept.js';
import { Access, KEYLESS } from './access.js';
import { ClusterWatch } from './cluster-watch.js';
import { registerGoim } from './legacy-goim.js';
import { registerImgo } from './legacy-imgo.js';
import type { GoimNodes, LogicLogger, PushParts } from './options.js';
import { logDefect, problemText, sendProblem, toImgoError } from './problem.js';
import { registerBatch } from './routes/batch.js';
import { registerCluster } from './routes/cluster.js';
import { registerDrain } from './routes/drain.js';
import { registerDryRun } from './routes/dry-run.js';
import { registerEvents } from './routes/events.js';
import { registerKeys } from './routes/keys.js';
import { registerLogs } from './routes/logs.js';
import { registerMessages } from './routes/messages.js';
import { registerPage } from './routes/page.js';
import { registerProbes } from './routes/probes.js';
import { registerPush } from './routes/push.js';
import type { RouteContext } from './routes/route.js';
import { registerKicks, registerSessions } from './routes/sessions.js';
import { registerTokens } from './routes/tokens.js';
import { registerTop } from './routes/top.js';
import { registerTraces } from './routes/trace.js';
import { compileSerializer, compileValidator, describeApi } from './schemas.js';
import type { Logic } from './sessions.js';
import { SlowBodies } from './slow-bodies.js';
import { Tokens } from './tokens.js';
import type { TryItParts } from './try-it.js';

/** Where to listen. Port 0: any free one. */
export interface HttpListener {
  readonly host: string;
  readonly port: number;
}

export interface LogicHttpOptions extends PushParts {
  readonly service: Logic;
  readonly log: LogicLogger;
  readonly version: string;
  readonly http: HttpListener;
  /** The keyless listener for imgo's and goim's callers. */
  readonly legacyHttp?: HttpListener | undefined;
  /** Loopback and no key: nobody needs one, and Host must name this machine. */
  readonly development: boolean;
  /** `listen.origins`. */
  readonly origins: readonly string[];
  /** What /metrics answers. */
  readonly metrics: MetricsPage;
  /** Where goim's clients connect, for `/goim/nodes/weighted`; asked for with each call. */
  readonly goimNodes?: () => GoimNodes | undefined;
  /** How a comet is emptied where the caller does not say; as in [drain]. */
  readonly drain: DrainOrder;
  /** What these nodes say of themselves, in their order; undefined: no answer. */
  readonly reports: (nodes: readonly NodeRecord[]) => Promise<readonly (NodeReport | undefined)[]>;
  /** Where events of this process go. */
  readonly hub?: EventHub;
  /** Nodes whose events can be had, as they are now. */
  readonly watched: () => Promise<readonly WatchedNode[]>;
  /** What this process says of itself, where it may be no node of its own: the parent of workers. */
  readonly self?: () => NodeReport;
  /** What a node of another process offers logics; undefined: there is no link to it. */
  readonly nodeFor?: ((node: NodeRecord) => NodeService | undefined) | undefined;
  /** Codes of what keeps this process from its work. */
  readonly problems?: () => readonly string[];
  /** The page at /; undefined: there is none. */
  readonly tryIt?: TryItParts | undefined;
  /** Connections at a time; more are closed at once. */
  readonly maxConnections?: number;
}

export interface LogicHttp {
  /** Starts to listen. @throws the system's error (EADDRINUSE, …) with nothing left open */
  listen(): Promise<void>;
  /** `http://127.0.0.1:7172`. */
  addresses(): { readonly http: string; readonly legacyHttp: string | undefined };
  /** Takes nothing new, ends waits and batches, answers what was accepted, closes; within a few seconds. */
  stop(): Promise<void>;
  /** What was pushed through it. */
  readonly push: () => AcceptCounters & { readonly took: LatencyFigures };
  /** The same for /metrics, with what HTTP itself counts. */
  figures(): PushFigures;
  /** How many subjects each alert holds for, 0 included. */
  alerts(): readonly AlertCount[];
  /** For tests: the native instance. */
  readonly app: FastifyInstance;
}

export function createLogicHttp(options: LogicHttpOptions): LogicHttp {
  const acceptor = new Acceptor(options);
  const access = new Access(options);
  const stopped = new AbortController();
  const slowBodies = new SlowBodies(options.clock, options.options.bodyMs);
  const cluster = new ClusterWatch(options);
  const context: RouteContext = {
    ...options,
    acceptor,
    access,
    tokens: new Tokens(options),
    connections: { refused: 0 },
    slowBodies,
    cluster,
    stopped: stopped.signal,
  };
  const app = createApp(options, context, registerNative);
  const legacy = options.legacyHttp === undefined ? undefined : createApp(options, context, registerKeyless);
  const close = async () => {
    await Promise.all([app.close(), legacy?.close()]);
    acceptor.stop();
    cluster.stop();
  };
  return {
    app,
    push: () => ({ ...acceptor.counters, took: acceptor.latency.figures(options.clock.monotonic()) }),
    figures: () => ({
      ...acceptor.counters,
      acceptance: acceptor.acceptance,
      refusedConnections: context.connections.refused,
      slowBodies: slowBodies.cut,
    }),
    alerts: () => cluster.alertCounts,
    async listen() {
      try {
        await app.listen({ host: options.http.host, port: options.http.port });
        cluster.start();
        if (legacy !== undefined && options.legacyHttp !== undefined) {
          await legacy.listen({ host: options.legacyHttp.host, port: options.legacyHttp.port });
          options.log.warn(
            { address: addressOf(legacy) },
            'imgo and goim callers need no key on this port: whoever reaches it can push to everybody',
          );
        }
      } catch (error) {
        await close();
        throw error;
      }
    },
    addresses: () => ({ http: addressOf(app), legacyHttp: legacy === undefined ? undefined : addressOf(legacy) }),
    async stop() {
      stopped.abort();
      // Who does not read the end of an answer does not hold up the stop.
      const late = options.clock.after(STOP_MS, () => {
        for (const { server } of [app, ...(legacy === undefined ? [] : [legacy])]) server.closeAllConnections();
      });
      await close();
      options.clock.clear(late);
      slowBodies.stop();
    },
  };
}

/** How long requests in flight may take to end once the server stops. */
const STOP_MS = 5_000;

type Register = (app: FastifyInstance, context: RouteContext) => void;

/** Everything: each file of routes in a scope of its own, because bodies and keys differ. */
function registerNative(app: FastifyInstance, context: RouteContext): void {
  for (const register of [
    registerPush,
    registerBatch,
    registerTokens,
    registerKeys,
    registerSessions,
    registerKicks,
    registerLogs,
    registerMessages,
    registerTraces,
    registerDryRun,
    registerCluster,
    registerTop,
    registerDrain,
    registerEvents,
    registerProbes,
    registerPage,
  ]) {
    app.register(async (scope) => register(scope, context));
  }
  app.register(async (scope) => registerImgo(scope, context, false));
  app.register(async (scope) => registerGoim(scope, context, false));
}

function registerKeyless(app: FastifyInstance, context: RouteContext): void {
  app.register(async (scope) => registerImgo(scope, context, true));
  app.register(async (scope) => registerGoim(scope, context, true));
}

function createApp(options: LogicHttpOptions, context: RouteContext, register: Register): FastifyInstance {
  const app = Fastify({
    logger: false,
    bodyLimit: options.options.requestBytes,
    connectionTimeout: 120_000,
    keepAliveTimeout: 75_000,
    requestIdHeader: false,
    // Its own answer is no problem document: the hook below gives ours.
    return503OnClosing: false,
    // A name of 128 bytes, percent-encoded.
    routerOptions: { maxParamLength: 384 },
    // A path that cannot be decoded: Fastify would repeat it.
    frameworkErrors: (_error, _request, reply) =>
      void sendProblem(reply, new ImgoError('invalid_request', { detail: 'the path cannot be read' })),
    clientErrorHandler(_error, socket) {
      if (socket.writable) socket.end(BAD_HTTP);
    },
  });
  app.server.maxConnections = options.maxConnections ?? 4_096;
  app.server.on('drop', () => context.connections.refused++);
  app.decorateRequest('caller');
  app.setValidatorCompiler(compileValidator);
  app.setSerializerCompiler(compileSerializer);
  app.setErrorHandler((thrown, request, reply) => {
    const error = toImgoError(thrown, options.options);
    if (error.code === 'internal') logDefect(options.log, request, error);
    return sendProblem(reply, error);
  });
  const methods = new KnownPaths();
  app.addHook('onRoute', (route) => methods.add(route.url, route.method));
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request.url);
    const allowed = methods.of(path);
    if (allowed.length === 0) return sendProblem(reply, new ImgoError('not_found', { path }));
    reply.header('allow', allowed.join(', '));
    return sendProblem(reply, new ImgoError('method_not_allowed', { method: request.method }));
  });
  context.slowBodies.watch(app);
  app.addHook('onRequest', (request, reply, done) => {
    try {
      request.caller = KEYLESS;
      if (context.stopped.aborted) {
        reply.header('connection', 'close');
        throw new ImgoError('shutting_down');
      }
      context.access.checkBrowser(request);
      done();
    } catch (error) {
      done(error as Error);
    }
  });
  app.register(swagger, describeApi(options.version));
  register(app, context);
  return app;
}

const BAD_HTTP = (() => {
  const body = problemText(new ImgoError('invalid_request', { detail: 'it breaks the rules of HTTP' }));
  const length = Buffer.byteLength(body);
  return `HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${body}`;
})();

/** Which methods a path has: a wrong one is told apart from a wrong path. */
class KnownPaths {
  readonly #paths = new Map<string, { readonly pattern: RegExp; readonly methods: Set<string> }>();

  add(url: string, method: string | readonly string[]): void {
    const known = this.#paths.get(url);
    const path = known ?? { pattern: new RegExp(`^${url.replace(/:\w+/g, '[^/]+')}$`), methods: new Set<string>() };
    this.#paths.set(url, path);
    for (const one of typeof method === 'string' ? [method] : method) path.methods.add(one);
  }

  of(path: string): readonly string[] {
    for (const { pattern, methods } of this.#paths.values()) if (pattern.test(path)) return [...methods];
    return [];
  }
}

/** Without the query: it may carry what is secret. */
function pathOf(url: string): string {
  const path = url.split('?', 1)[0] as string;
  return path.length > 128 ? `${path.slice(0, 128)}…` : path;
}

function addressOf(app: FastifyInstance): string {
  const { address, port, family } = app.server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
