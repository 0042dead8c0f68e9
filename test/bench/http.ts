// Pushes over HTTP: how many a second of the server's CPU, beside Fastify with an lmdb put alone in the same run. The server
// is a process of its own with one live session, its comet only counts; the load comes from this process.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type ClientRequest, request } from 'node:http';
import { join } from 'node:path';
import autocannon from 'autocannon';
import type { Bench, BenchRow } from './row.js';

const SECONDS = 1;
const ROUNDS = 6;
const CONNECTIONS = 100;
const BODY = '{"to":{"user":"1"},"message":{"test":1}}';
const BATCH_LINES = 60_000;

interface Server {
  readonly port: number;
  readonly cpu: () => Promise<number>;
  readonly stop: () => void;
}

async function start(...args: string[]): Promise<Server> {
  const child: ChildProcess = fork(join(import.meta.dirname, 'http-server.ts'), args, {
    execArgv: ['--import', join(import.meta.dirname, '../../scripts/typescript.mjs')],
  });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return {
    port,
    async cpu() {
      child.send('cpu');
      const [{ cpuSeconds }] = (await once(child, 'message')) as [{ cpuSeconds: number }];
      return cpuSeconds;
    },
    stop: () => child.disconnect(),
  };
}

/** Pushes for a CPU second, and the latencies that the load saw. */
async function load(server: Server, connections: number, seconds: number, rate?: number) {
  const before = await server.cpu();
  const result = await autocannon({
    url: `http://127.0.0.1:${server.port}/v1/push`,
    method: 'POST',
    body: BODY,
    headers: { 'content-type': 'application/json' },
    connections,
    duration: seconds,
    ...(rate === undefined ? {} : { overallRate: rate }),
  });
  const cpu = (await server.cpu()) - before;
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} refused, ${result.errors} errors`);
  const total = result.requests.total;
  return { perCpu: total / cpu, perSecond: total / seconds, p50: result.latency.p50, p99: result.latency.p99 };
}

/** Lines for a CPU second. */
async function batch(server: Server, lines: number): Promise<{ perCpu: number; perSecond: number }> {
  const chunk = Buffer.from(`${BODY}\n`.repeat(1_000));
  const before = await server.cpu();
  const from = performance.now();
  const url = `http://127.0.0.1:${server.port}/v1/push/batch`;
  const sent: ClientRequest = request(url, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' } });
  const answered = new Promise<number>((resolve, reject) => {
    sent.on('error', reject);
    sent.on('response', (response) => {
      let results = 0;
      response.on('data', (part: Buffer) => {
        for (let at = part.indexOf(10); at >= 0; at = part.indexOf(10, at + 1)) results++;
      });
      response.on('end', () => resolve(results));
      response.on('error', reject);
    });
  });
  for (let line = 0; line < lines; line += 1_000) if (!sent.write(chunk)) await once(sent, 'drain');
  sent.end();
  const results = await answered;
  const seconds = (performance.now() - from) / 1_000;
  const cpu = (await server.cpu()) - before;
  if (results !== lines) throw new Error(`${lines} lines, ${results} results`);
  return { perCpu: lines / cpu, perSecond: lines / seconds };
}

async function run(): Promise<readonly BenchRow[]> {
  const store = process.env['BENCH_STORE'] ?? 'lmdb';
  const bare = await start('bare');
  const server = await start('imgo', store);
  const best = {
    bare: { perCpu: 0, perSecond: 0 },
    push: { perCpu: 0, perSecond: 0, p99: 0 },
    batch: { perCpu: 0, perSecond: 0 },
  };
  // They take turns, so that both see the same machine; what disturbs a round only adds to its CPU: the best one counts.
  for (let turn = 0; turn <= ROUNDS; turn++) {
    const alone = await load(bare, CONNECTIONS, SECONDS);
    const pushed = await load(server, CONNECTIONS, SECONDS);
    const lines = await batch(server, BATCH_LINES);
    if (turn === 0) continue;
    if (alone.perCpu > best.bare.perCpu) best.bare = alone;
    if (pushed.perCpu > best.push.perCpu) best.push = pushed;
    if (lines.perCpu > best.batch.perCpu) best.batch = lines;
  }
  const { bare: reference, push, batch: lines } = best;
  const half = await load(server, CONNECTIONS, 3, Math.round(push.perSecond / 2));
  bare.stop();
  server.stop();
  const round = Math.round;
  return [
    {
      name: `POST /v1/push, ${store}, 1 live session`,
      figure: push.perCpu,
      reference: reference.perCpu,
      unit: 'pushes/CPU s',
      bound: { least: 25_000 },
      note: `${round(push.perSecond)}/s, p99 ${push.p99} ms; bare ${round(reference.perSecond)}/s`,
    },
    { name: 'POST /v1/push, p99 at half load', figure: half.p99, unit: 'ms', bound: { most: 20 } },
    {
      name: 'POST /v1/push/batch, lines',
      figure: lines.perCpu,
      unit: 'lines/CPU s',
      bound: { least: 120_000 },
      note: `${round(lines.perSecond)}/s`,
    },
  ];
}

/** The benchmark. */
export const http: Bench = { name: 'http', run };
