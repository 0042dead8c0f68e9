// What every file of routes shares: who may call, bodies as bytes or as strict JSON, and the context they work with.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ImgoError } from '../../../protocol/errors.js';
import { parseJsonBytes } from '../../../protocol/text.js';
import type { MetricsPage } from '../../observe/metrics-page.js';
import type { WatchedNode } from '../../observe/stream.js';
import { type TraceParent, traceParent } from '../../observe/trace-parent.js';
import type { NodeRecord } from '../../router/registry.js';
import type { DrainOrder, NodeReport, NodeService } from '../../rpc/services.js';
import type { Scope } from '../../store/credentials.js';
import type { Acceptor } from '../accept.js';
import type { Access, Caller } from '../access.js';
import type { ClusterWatch } from '../cluster-watch.js';
import type { GoimNodes, LogicLogger, PushParts } from '../options.js';
import type { Logic } from '../sessions.js';
import type { SlowBodies } from '../slow-bodies.js';
import type { Tokens } from '../tokens.js';
import type { TryItParts } from '../try-it.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before a handler runs. */
    caller: Caller;
  }
}

/** What handlers work with. */
export interface RouteContext extends PushParts {
  readonly service: Logic;
  readonly acceptor: Acceptor;
  readonly access: Access;
  readonly tokens: Tokens;
  /** Connections to the HTTP ports that were closed at once, for there were too many. */
  readonly connections: { refused: number };
  readonly slowBodies: SlowBodies;
  readonly cluster: ClusterWatch;
  readonly log: LogicLogger;
  readonly version: string;
  /** What /metrics answers. */
  readonly metrics: MetricsPage;
  /** Where goim's clients connect; undefined where they cannot. */
  readonly goimNodes?: (() => GoimNodes | undefined) | undefined;
  readonly drain: DrainOrder;
  readonly reports: (nodes: readonly NodeRecord[]) => Promise<readonly (NodeReport | undefined)[]>;
  /** Nodes whose events can be had, as they are now. */
  readonly watched: () => Promise<readonly WatchedNode[]>;
  readonly nodeFor?: ((node: NodeRecord) => NodeService | undefined) | undefined;
  readonly problems?: (() => readonly string[]) | undefined;
  /** undefined: there is no page at /. */
  readonly tryIt?: TryItParts | undefined;
  /** Nothing new is taken any more. */
  readonly stopped: AbortSignal;
}

/** The span that calls, where it is sampled and spans are sent somewhere. */
export function tracedCaller({ traces }: RouteContext, { headers }: FastifyRequest): TraceParent | undefined {
  return traces?.sink === undefined ? undefined : traceParent(headers['traceparent']);
}

/** All routes of this scope need a key with this right. `excused`: true for a request that needs none. */
export function requireScope(
  scope: FastifyInstance,
  access: Access,
  needed: Scope,
  excused?: (request: FastifyRequest) => boolean,
): void {
  scope.addHook('onRequest', (request, _reply, done) => {
    if (excused?.(request) === true) {
      done();
      return;
    }
    let caller: Caller | Promise<Caller>;
    try {
      caller = access.caller(request, needed);
    } catch (error) {
      done(error as Error);
      return;
    }
    if (!(caller instanceof Promise)) {
      request.caller = caller;
      done();
      return;
    }
    caller.then(
      (known) => {
        request.caller = known;
        done();
      },
      (error: Error) => done(error),
    );
  });
}

/** Bodies of this scope are bytes, whatever the content type says. */
export function takeBytes(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
}

/** Bodies of this scope are JSON: strict UTF-8, at most 64 deep, whatever the content type says. */
export function takeJson(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseBody(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}

function parseBody(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  // An array is wrapped, so that one parser reads both.
  const isArray = body.find((byte) => byte > 0x20) === 0x5b;
  const text = isArray ? Buffer.concat([Buffer.from('{"":'), body, Buffer.from('}')]) : body;
  const parsed = parseJsonBytes(text);
  if (parsed === 'json_too_deep') throw new ImgoError('json_too_deep', { limit: 64 });
  if (typeof parsed === 'string') throw new ImgoError('invalid_json');
  return isArray ? parsed[''] : parsed;
}

/** A body that came as bytes; none is an empty one. */
export function bytesOf(request: FastifyRequest): Buffer {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
}
