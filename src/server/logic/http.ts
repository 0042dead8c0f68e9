// The HTTP side of logic: Fastify on one port (native API, both legacy APIs, probes, metrics, OpenAPI) and, where it is
// asked for, a second one without keys for the legacy routes alone. Every route has a schema and stands in /openapi.json.

import type { AddressInfo } from 'node:net';
import swagger from '@fastify/swagger';
import Fastify, { type FastifyInstance } from 'fastify';
import { ImgoError } from '../../protocol/errors.js';
import { Acceptor } from './accept.js';
import { Access, KEYLESS } from './access.js';
import type { LogicLogger, PushParts } from './options.js';
import { logDefect, problemText, sendProblem, toImgoError } from './problem.js';
import { registerBatch } from './routes/batch.js';
import { registerPush } from './routes/push.js';
import type { RouteContext } from './routes/route.js';
import { registerTokens } from './routes/tokens.js';
import { compileSerializer, compileValidator, describeApi } from './schemas.js';
import type { Logic } from './sessions.js';
import { Tokens } from './tokens.js';

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
  /** Connections at a time; more are closed at once. */
  readonly maxConnections?: number;
}

export interface LogicHttp {
  /** Starts to listen. @throws the system's error (EADDRINUSE, …) with nothing left open */
  listen(): Promise<void>;
  /** `http://127.0.0.1:7172`. */
  addresses(): { readonly http: string; readonly legacyHttp: string | undefined };
  /** Takes nothing new, answers what was accepted, closes. */
  stop(): Promise<void>;
  /** For tests: the native instance. */
  readonly app: FastifyInstance;
}

export function createLogicHttp(options: LogicHttpOptions): LogicHttp {
  const acceptor = new Acceptor(options);
  const access = new Access(options);
  const context: RouteContext = { ...options, acceptor, access, tokens: new Tokens(options) };
  const app = createApp(options, context);
  return {
    app,
    async listen() {
      await app.listen({ host: options.http.host, port: options.http.port });
    },
    addresses: () => ({ http: addressOf(app), legacyHttp: undefined }),
    async stop() {
      acceptor.stop();
      await app.close();
    },
  };
}

function createApp(options: LogicHttpOptions, context: RouteContext): FastifyInstance {
  const app = Fastify({
    logger: false,
    bodyLimit: options.options.requestBytes,
    connectionTimeout: 120_000,
    keepAliveTimeout: 75_000,
    requestIdHeader: false,
    // A name of 128 bytes, percent-encoded.
    routerOptions: { maxParamLength: 384 },
    clientErrorHandler(_error, socket) {
      const body = problemText(new ImgoError('invalid_request', { detail: 'it breaks the rules of HTTP' }));
      if (!socket.writable) return;
      socket.end(
        `HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    },
  });
  app.server.maxConnections = options.maxConnections ?? 10_000;
  app.decorateRequest('caller');
  app.setValidatorCompiler(compileValidator);
  app.setSerializerCompiler(compileSerializer);
  app.setErrorHandler((thrown, request, reply) => {
    const error = toImgoError(thrown, options.options);
    if (error.code === 'internal') logDefect(options.log, request, error);
    return sendProblem(reply, error);
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, new ImgoError('not_found', { path: pathOf(request.url) })),
  );
  app.addHook('onRequest', (request, _reply, done) => {
    try {
      request.caller = KEYLESS;
      context.access.checkBrowser(request);
      done();
    } catch (error) {
      done(error as Error);
    }
  });
  app.register(swagger, describeApi(options.version));
  app.register(async (scope) => registerPush(scope, context));
  app.register(async (scope) => registerBatch(scope, context));
  app.register(async (scope) => registerTokens(scope, context));
  app.register(async (scope) => {
    scope.get('/openapi.json', { schema: { summary: 'This description' } }, () => app.swagger());
  });
  return app;
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
