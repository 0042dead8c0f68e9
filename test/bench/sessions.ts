// What a session costs: CPU of the server to accept and authenticate it, memory of the server while it stays. Each beside a
// bare server that accepts, hears one message and answers 16 bytes, with the same clients in the same run.

import { setTimeout as pause } from 'node:timers/promises';
import { bareServer, forkScript, imgoServer, type MeasuredServer, makeTokens, newFolder } from './measured.js';
import type { Usage } from './probe.js';
import type { Bench, BenchRow } from './row.js';
import type { SwarmDialect, SwarmOrder } from './swarm.js';

/** Rounds before the measured ones: code that runs for weeks is compiled, and so are these. */
const WARM_UPS = 12;
const ROUNDS = 6;
const A_ROUND = 1_500;
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
  readonly #child = forkScript('swarm.ts');
  readonly #settings: Case & { readonly port: number };

  constructor(settings: Case & { readonly port: number }) {
    this.#settings = settings;
  }

  async ready(): Promise<void> {
    await this.#child.answer((message: { ready?: true }) => message.ready);
  }

  async give(what: SwarmOrder['do'], tokens: readonly string[] = []): Promise<void> {
    const order: Omit<SwarmOrder, 'order'> = { ...this.#settings, do: what, tokens };
    await this.#child.tell(order);
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

/** A server, its clients, and what they did in each round: connections for a CPU second of the server. */
interface Contestant {
  readonly server: MeasuredServer;
  readonly swarm: Swarm;
  readonly tokens: readonly string[];
  readonly rounds: number[];
}

async function contestant(of: Case): Promise<Contestant> {
  const bare = of.dialect === 'bare';
  const server = bare ? await bareServer(of.transport) : await imgoServer(newFolder());
  const tokens = bare ? Array.from({ length: A_ROUND }, () => '') : await makeTokens(server.http, A_ROUND);
  const swarm = new Swarm({ port: of.transport === 'tcp' ? server.tcp : server.ws, ...of });
  await swarm.ready();
  return { server, swarm, tokens, rounds: [] };
}

/** Connections for a CPU second of each server. They take turns, so that all see the same machine; the best round counts. */
async function rates(cases: readonly Case[]): Promise<readonly number[]> {
  const contestants: Contestant[] = [];
  try {
    for (const of of cases) contestants.push(await contestant(of));
    for (let round = 0; round < WARM_UPS + ROUNDS; round++) {
      for (const { server, swarm, tokens, rounds } of contestants) {
        const before = await server.child.usage();
        await swarm.give('connect', tokens);
        const after = await server.child.usage();
        rounds.push(A_ROUND / (after.cpuSeconds - before.cpuSeconds));
        await swarm.give('drop');
        await pause(PAUSE_MS);
      }
    }
  } finally {
    for (const { server, swarm } of contestants) {
      await swarm.end();
      await server.stop();
    }
  }
  return contestants.map(({ rounds }) => Math.max(...rounds.slice(WARM_UPS)));
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
  const [bareTcp, bareWs, native, imgo, nativeWs] = (await rates([
    BARE_TCP,
    BARE_WS,
    NATIVE_TCP,
    IMGO_TCP,
    NATIVE_WS,
  ])) as [number, number, number, number, number];
  const rate = (name: string, figure: number, reference: number, bound?: { least: number }): BenchRow => ({
    name,
    figure,
    reference,
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
    rate('connect + AUTH, TCP, native', native, bareTcp, { least: 10_000 }),
    rate('connect + AUTH, TCP, imgo', imgo, bareTcp, { least: 10_000 }),
    rate('upgrade + AUTH, WebSocket, native', nativeWs, bareWs),
    await memoryRow('resident, TCP session, native', NATIVE_TCP, 5 * 1_024),
    await memoryRow('resident, WebSocket session, native', NATIVE_WS, 9 * 1_024),
  ];
}

/** The benchmark. */
export const sessions: Bench = { name: 'sessions', run };
