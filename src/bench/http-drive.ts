// The process that calls the push API in a closed loop: each connection sends its next message when the last one is answered.

import type { Aiming } from './aims.js';
import { aimOf } from './aims.js';
import type { Percentiles } from './figures.js';
import { HttpCaller } from './http-caller.js';
import { payloadOf } from './payload.js';
import { type PushNames, pushApi } from './push.js';

export type DriveOrder =
  | {
      readonly do: 'drive';
      readonly url: string;
      readonly key: string | undefined;
      readonly names: PushNames;
      readonly aiming: Aiming;
      readonly connections: number;
      readonly sizeBytes: number;
      readonly durationMs: number;
    }
  | { readonly do: 'stop' };

/** What autocannon found. */
export interface DriveDone {
  readonly accepted: number;
  readonly non2xx: number;
  readonly errors: number;
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly latencyMs: Percentiles;
}

export type DriveWord =
  | { readonly say: 'requests'; readonly requests: number }
  | { readonly say: 'done'; readonly done: DriveDone };

const TELL_MS = 500;

const say = (word: DriveWord) => process.send?.(word);

async function drive(order: DriveOrder & { do: 'drive' }): Promise<{ stop(): void }> {
  const { default: autocannon } = await import('autocannon');
  const api = pushApi(new HttpCaller(order.url, order.key), order.names);
  const authorization = order.key === undefined ? {} : { authorization: `Bearer ${order.key}` };
  let n = 0;
  let requests = 0;
  const instance = autocannon(
    {
      url: order.url,
      connections: order.connections,
      duration: Math.max(1, Math.round(order.durationMs / 1_000)),
      requests: [
        {
          method: 'POST',
          headers: { 'content-type': 'application/json', ...authorization },
          setupRequest: (request) => {
            n++;
            const { path, body } = api.request(aimOf(order.aiming, n), payloadOf(n, order.sizeBytes));
            return { ...request, path, body };
          },
        },
      ],
    },
    (error, result) => {
      if (error !== null && error !== undefined) process.exit(1);
      const { latency } = result;
      say({
        say: 'done',
        done: {
          accepted: result['2xx'],
          non2xx: result.non2xx,
          errors: result.errors,
          requestsPerSecond: result.requests.average,
          bytesPerSecond: result.throughput.average,
          latencyMs: {
            p50: latency.p50,
            p90: latency.p90,
            p99: latency.p99,
            p999: latency.p99_9,
            max: latency.max,
          },
        },
      });
    },
  );
  instance.on('response', () => requests++);
  setInterval(() => say({ say: 'requests', requests }), TELL_MS).unref();
  return { stop: () => instance.stop() };
}

let driven: Promise<{ stop(): void }> | undefined;
process.on('message', (order: DriveOrder) => {
  if (order.do === 'drive') driven ??= drive(order);
  else void driven?.then((instance) => instance.stop());
});
process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => undefined);
