// What a session costs: CPU of the server to accept and authenticate it, memory of the server while it stays. Each beside a
// bare server that accepts, hears one message and answers 16 bytes, with the same clients in the same run.

import { setTimeout as pause } from 'node:timers/promises';
import { bareServer, forkScript, imgoServer, type MeasuredServer, makeTokens, median, newFolder } from './measured.js';
import type { Usage } from './probe.js';
import type { Bench, BenchRow } from './row.js';
import type { SwarmDialect, SwarmOrder } from './swarm.js';

/** Rounds before the measured ones: code that runs for weeks is compiled, and so are these. */
const WARM_UPS = 3;
const ROUNDS = 5;
const A_ROUND = 2_000;
/** For memory. More than some 14,000 connections from one address to one port would slow connect() down. */
const SESSIONS = 10_000;
/** Before the look at the idle process: short sessions, so many at a time, so that code is compiled and V8's young
 * generation has grown, which the first sessions would otherwise seem to cost. What they leave free is a hundredth. */
const BEFORE = { rounds: 20, sessions: 100 };
/** After closing: the store is told, group commits end. */
const PAUSE_MS = 300;
/** After the last connection, and before the look at the idle process. */
const SETTLE_MS = 2_000;

/** What clients do, and what they do it to. */
interface Case {
  readonly transport: 'tcp' | 'ws';
  readonly dialect: SwarmDialect;
}

/** Bytes a session, beyond the idle process: resident after and before a collection, and what the first consist of. */
interface Memory {
  readonly rss: number;
  readonly uncollected: number;
  readonly heapUsed: number;
  readonly external: number;
}

export class Swarm {
  readonly #child = forkScript('swarm.ts', [], false);
  readonly #settings: Case & { readonly port: number };
  #orders = 0;

  constructor(settings: Case & { readonly port: number }) {
    this.#settings = settings;
  }

  async ready(): Promise<void> {
    await this.#child.answer((message: { ready?: true }) => message.ready);
  }

  async give(what: SwarmOrder['do'], tokens: readonly string[] = []): Promise<void> {
    const order: SwarmOrder = { ...this.#settings, order: ++this.#orders, do: what, tokens };
    const answered = this.#child.answer((message: { order?: number; failed?: string }) =>
      message.order === order.order ? message : undefined,
    );
    this.#child.process.send(order);
    const { failed } = await answered;
    if (failed !== undefined) throw new Error(`the swarm: ${failed}`);
  }

  end(): Promise<void> {
    return this.#child.end();
  }
}

async function withSwarm<T>(of: Case, server: MeasuredServer, work: (swarm: Swarm) => Promise<T>): Promise<T> {
  const swarm = new Swarm({ port: of.transport === 'tcp' ? server.tcp : server.ws, ...of });
  try {
    await swarm.ready();
    return await work(swarm);
  } finally {
    await swarm.end();
    await server.stop();
  }
}

/** Connections for a CPU second of the server. */
async function rate(of: Case): Promise<number> {
  const bare = of.dialect === 'bare';
  const server = bare ? await bareServer(of.transport) : await imgoServer(newFolder());
  const tokens = bare ? Array.from({ length: A_ROUND }, () => '') : await makeTokens(server.http, A_ROUND);
  return withSwarm(of, server, async (swarm) => {
    const rates: number[] = [];
    for (let round = 0; round < WARM_UPS + ROUNDS; round++) {
      const before = await server.child.usage();
      await swarm.give('connect', tokens);
      const after = await server.child.usage();
      rates.push(A_ROUND / (after.cpuSeconds - before.cpuSeconds));
      await swarm.give('drop');
      await pause(PAUSE_MS);
    }
    return median(rates.slice(WARM_UPS));
  });
}

/** Memory of a server that just started. The tokens were made by one before it, on the same folder. */
async function memory(of: Case): Promise<Memory> {
  const bare = of.dialect === 'bare';
  let tokens: readonly string[] = Array.from({ length: SESSIONS }, () => '');
  const folder = newFolder();
  if (!bare) {
    const before = await imgoServer(folder);
    tokens = await makeTokens(before.http, SESSIONS);
    await before.stop({ keep: true });
  }
  const server = bare ? await bareServer(of.transport) : await imgoServer(folder);
  return withSwarm(of, server, async (swarm) => {
    for (let round = 0; round < BEFORE.rounds; round++) {
      await swarm.give('connect', tokens.slice(0, BEFORE.sessions));
      await swarm.give('drop');
    }
    await pause(SETTLE_MS);
    const idle = await server.child.usage(true);
    await swarm.give('connect', tokens);
    await pause(SETTLE_MS);
    const uncollected = await server.child.usage();
    const full = await server.child.usage(true);
    const each = (field: keyof Usage) => (full[field] - idle[field]) / SESSIONS;
    return {
      rss: each('rss'),
      uncollected: (uncollected.rss - idle.rss) / SESSIONS,
      heapUsed: each('heapUsed'),
      external: each('external'),
    };
  });
}

/** `native`: what neither V8's heap nor its buffers account for: libuv's and Node's handles, and free space in pages. */
function parts(of: Memory): string {
  const bytes = (value: number) => Math.round(value).toLocaleString('en');
  const native = of.rss - of.heapUsed - of.external;
  const all = [`heap ${bytes(of.heapUsed)}`, `buffers ${bytes(of.external)}`, `native ${bytes(native)}`];
  return `${all.join(' + ')}; ${bytes(of.uncollected)} uncollected`;
}

const BARE_TCP: Case = { transport: 'tcp', dialect: 'bare' };
const BARE_WS: Case = { transport: 'ws', dialect: 'bare' };
const NATIVE_TCP: Case = { transport: 'tcp', dialect: 'native' };
const NATIVE_WS: Case = { transport: 'ws', dialect: 'native' };
const IMGO_TCP: Case = { transport: 'tcp', dialect: 'imgo' };

async function run(): Promise<readonly BenchRow[]> {
  const bareRate = { tcp: await rate(BARE_TCP), ws: await rate(BARE_WS) };
  const rateRow = async (name: string, of: Case, bound?: { least: number }): Promise<BenchRow> => ({
    name,
    figure: await rate(of),
    reference: bareRate[of.transport],
    unit: 'conns/CPU s',
    ...(bound === undefined ? {} : { bound }),
  });
  const bareMemory = { tcp: await memory(BARE_TCP), ws: await memory(BARE_WS) };
  const memoryRow = async (name: string, of: Case, most: number): Promise<BenchRow> => {
    const bare = bareMemory[of.transport];
    const used = await memory(of);
    const note = `${parts(used)} | bare: ${parts(bare)}`;
    return { name, figure: used.rss, reference: bare.rss, unit: 'bytes', bound: { most }, note };
  };
  return [
    await rateRow('connect + AUTH, TCP, native', NATIVE_TCP, { least: 10_000 }),
    await rateRow('connect + AUTH, TCP, imgo', IMGO_TCP, { least: 10_000 }),
    await rateRow('upgrade + AUTH, WebSocket, native', NATIVE_WS),
    await memoryRow('resident, TCP session, native', NATIVE_TCP, 5 * 1_024),
    await memoryRow('resident, WebSocket session, native', NATIVE_WS, 9 * 1_024),
  ];
}

/** The benchmark. */
export const sessions: Bench = { name: 'sessions', run };
