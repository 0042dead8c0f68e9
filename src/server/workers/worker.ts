// A worker process: a comet on shared ports whose logic and registry are its parent's, over a Unix socket. When the parent is
// gone it takes no more connections, keeps those that it has as long as its lease could hold, and ends.

import { connect } from 'node:net';
import { availableParallelism } from 'node:os';
import type { NodeId } from '../../protocol/ids.js';
import { pause, systemClock } from '../clock.js';
import { type Comet, createComet } from '../comet/comet.js';
import { EventHub } from '../observe/hub.js';
import { openSpans } from '../observe/open-spans.js';
import { TraceStore } from '../observe/traces.js';
import type { LeaseService } from '../rpc/calls.js';
import { Link } from '../rpc/link.js';
import { serve, twin } from '../rpc/remote.js';
import type { CometService, LogicService } from '../rpc/services.js';
import { CALLS, type ParentService, type WorkerService, workerTimes } from './protocol.js';
import { Turns } from './turns.js';

const clock = systemClock;
const STOP_MS = 30_000;

async function work(path: string, node: NodeId, workers: number): Promise<void> {
  const times = workerTimes(workers, availableParallelism());
  // Its parent decides when it ends: Ctrl-C, and a terminal that hangs up, reach all processes of it.
  process.on('SIGINT', () => undefined);
  process.on('SIGHUP', () => undefined);
  const made = Promise.withResolvers<Comet>();
  let endSpans: (() => Promise<void>) | undefined;
  let stopping: Promise<void> | undefined;
  const stop = (timeoutMs: number): Promise<void> => {
    stopping ??= made.promise.then((comet) => comet.stop(timeoutMs));
    return stopping;
  };
  const self: WorkerService = {
    async listen({ tcp, ws, goim }) {
      const comet = await made.promise;
      await comet.listen({
        ...(tcp === undefined ? {} : { tcp }),
        ...(ws === undefined ? {} : { ws }),
        ...(goim === undefined ? {} : { goim }),
      });
      return comet.addresses();
    },
    async reload(live) {
      (await made.promise).reload(live);
    },
    async stop(timeoutMs) {
      await stop(timeoutMs);
      await endSpans?.();
      clock.soon(() => link.close());
    },
  };
  const comet = Object.fromEntries(
    CALLS.comet.map((method) => [
      method,
      async (...args: unknown[]) => {
        const { service } = await made.promise;
        return (service[method] as (...all: unknown[]) => Promise<unknown>).apply(service, args);
      },
    ]),
  );
  const turns = times.turnMs > 0 ? new Turns(clock, times.turnMs) : undefined;
  const hub = new EventHub(node, clock);
  const socket = connect(path);
  if (turns !== undefined) socket.on('data', () => turns.took());
  const link = new Link({
    socket,
    clock,
    hello: { node, role: 'worker' },
    handler: serve([
      { name: 'worker', methods: CALLS.worker, service: self },
      { name: 'comet', methods: CALLS.comet, service: comet as unknown as CometService },
      { name: 'events', methods: CALLS.events, service: hub },
    ]),
    ...times,
  });
  const call = (method: string, args: readonly unknown[]) => link.call(method, args);
  await link.hello;
  const parent = twin<ParentService, keyof ParentService>('parent', CALLS.parent, call);
  const { options, version, renewMs, otlp } = await parent.orders();
  const warn = (details: object, message: string) => void parent.warn(details, message).catch(() => undefined);
  const traces = new TraceStore(clock, node);
  endSpans = await openSpans(traces, otlp, { clock, version, warn });
  made.resolve(
    await createComet({
      options,
      logic: twin<LogicService, keyof LogicService>('logic', CALLS.logic, call),
      registry: twin<LeaseService, keyof LeaseService>('lease', CALLS.lease, call),
      clock,
      log: { warn },
      node,
      version,
      renewMs,
      hub,
      traces,
      ...(turns === undefined ? {} : { turns }),
    }),
  );
  process.on('SIGTERM', () => void stop(STOP_MS).finally(() => link.close()));
  await link.ended;
  if (stopping === undefined) {
    const { promise } = made;
    await (await promise).close();
    await pause(clock, times.leaseMs);
  }
  process.exit(0);
}

const [path = '', node = '', workers = '1'] = process.argv.slice(2);
work(path, node as NodeId, Number(workers)).catch((error: unknown) => {
  process.stderr.write(`worker ${node}: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
