// HTTP of a process without a logic, or whose logic cannot work yet: whether it lives, whether it can work, and its metrics. No
// body is read; only the metrics ask for a key.

import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isLoopback } from './config.js';
import { CONTENT_TYPE } from './observe/exposition.js';
import type { MetricsPage } from './observe/metrics-page.js';

export interface Probes {
  /** `http://127.0.0.1:7172` */
  readonly address: string;
  stop(): Promise<void>;
}

/**
 * Listens. `problems`: codes of what keeps the process from its work. `api`: it is to have one once it can work; until then
 * whoever calls it may call again. `metrics`: its page. Rejects with the system's error.
 */
export async function startProbes(
  at: { readonly host: string; readonly port: number },
  problems: () => readonly string[],
  { api = false, metrics }: { readonly api?: boolean; readonly metrics?: MetricsPage | undefined } = {},
): Promise<Probes> {
  const server = createServer(
    { requestTimeout: 5_000, headersTimeout: 5_000, keepAliveTimeout: 5_000 },
    (request, reply) => {
      request.resume();
      const path = request.url?.split('?', 1)[0];
      if (path === '/healthz') return answer(reply, 200, { ok: true });
      if (path === '/metrics' && metrics !== undefined) {
        const open = isLoopback(at.host) || metrics.opens(request.headers.authorization);
        return open ? void scrape(reply, metrics) : answer(reply, 401, { error: METRICS_KEY });
      }
      const reasons = problems();
      if (path !== '/readyz' && api) return answer(reply, 503, { status: 503, code: reasons[0], retryable: true });
      if (path !== '/readyz')
        return answer(reply, 404, { error: 'this process has no API: it is neither logic nor all' });
      answer(reply, reasons.length === 0 ? 200 : 503, { ready: reasons.length === 0, reasons });
    },
  );
  server.maxConnections = 64;
  await listening(server, at);
  const { address, port, family } = server.address() as AddressInfo;
  return {
    address: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const METRICS_KEY =
  'off loopback /metrics of a node without the API wants the key of observe.metrics_key_file as Authorization: Bearer';

async function scrape(reply: ServerResponse, metrics: MetricsPage): Promise<void> {
  try {
    const text = await metrics.text();
    reply.writeHead(200, { 'content-type': CONTENT_TYPE });
    reply.end(text);
  } catch {
    answer(reply, 500, { error: 'the metrics could not be gathered' });
  }
}

function answer(reply: ServerResponse, status: number, body: object): void {
  reply.writeHead(status, { 'content-type': 'application/json', ...(status === 503 ? { 'retry-after': '1' } : {}) });
  reply.end(`${JSON.stringify(body)}\n`);
}

function listening(server: Server, at: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, () => resolve());
  });
}
